"""The flags of the command line, made from the fields of Recipe.

A field of Recipe is a flag here without further ado: name, type, default, group and help come from recipe.py.
"""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

from cyclopts import Group, Parameter, Token

from impasto.cli.streams import STANDARD
from impasto.errors import OptionError
from impasto.recipe import GROUPS, PATHS, Recipe, flag

__all__ = [
    "FILES",
    "HERE",
    "Elsewhere",
    "Format",
    "KeepExif",
    "Quiet",
    "RecipeFile",
    "gather",
    "named",
    "one",
    "recipe_from",
    "with_recipe_flags",
]

if TYPE_CHECKING:
    from impasto.work.jobs import Carry

Command = TypeVar("Command", bound=Callable[..., Any])

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
ADDRESS = re.compile(r"auto|local|(ray://)?[^/\\\s]+:\d+")  # as Ray takes it
FILES = Group("Files and messages", sort_key=-1)
JOBS = Group("Where the jobs run", sort_key=-1)
OUT = ("-o", "--output")
KeepExif = Annotated[
    bool,
    Parameter(
        group=FILES,
        negative=(),
        show_default=False,
        help="Hand on the photo's date, camera, author and copyright; never the place. DPI are always handed on.",
    ),
]
Format = Literal["png", "jpeg", "webp", "tiff", "jpg", "tif"]
STAND_IN = "\0"  # for `-` on its way through cyclopts, which would take it for a flag; no file is called so
Quiet = Annotated[bool, Parameter(group=FILES, negative=(), show_default=False, help="Show errors only.")]
RecipeFile = Annotated[
    Path | None, Parameter(group=FILES, help="Start from the options in a file, as impasto CONTENT STYLE does.")
]
HELP_GROUPS = {name: Group(name, sort_key=place) for place, name in enumerate(GROUPS)}


def with_recipe_flags(command: Command) -> Command:
    """Give a command that ends in `**options` one flag for every field of Recipe; absent flags are None."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    flags = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name))
        for name in Recipe.model_fields
    ]
    command.__signature__ = signature.replace(parameters=[*own, *flags])  # type: ignore[attr-defined]
    return command


def recipe_from(options: Mapping[str, Any], base: Recipe | None = None) -> Recipe:
    """The recipe of the flags given, over `base` or the defaults; raises OptionError naming the flag."""
    given = {name: value for name, value in options.items() if value is not None}
    if base is not None:
        given = {**base.given(), **given}
    try:
        return Recipe(**given)
    except OptionError as error:
        field, colon, rest = str(error).partition(":")
        name = field.partition(".")[0]
        raise OptionError(f"{flag(name)}:{rest}" if colon and name in Recipe.model_fields else str(error)) from None


def gather(arguments: Sequence[str]) -> list[str]:
    """Join the numbers that follow a flag of several numbers, and only these, so that pictures may follow.

    Likewise the address that may follow --ray. A flag of several paths takes all that follows up to the next flag. A
    lone - is a picture's name: see `named`.

    >>> gather(["--blend", "0.7", "0.3", "photo.jpg"])
    ['--blend=0.7,0.3', 'photo.jpg']
    >>> gather(["--ray", "photo.jpg", "--ray", "10.0.0.1:6379"])
    ['--ray=local', 'photo.jpg', '--ray=10.0.0.1:6379']
    >>> gather(["photo.jpg", "--mask", "sky.png", "rest", "-o", "out.png"])
    ['photo.jpg', '--mask=sky.png', '--mask=rest', '-o', 'out.png']
    """
    paths = {flag(name) for name in PATHS}
    lists = {flag(name) for name in Recipe.model_fields if _several(name) and _kind(name) in (int, float)}
    joined: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*joined, argument, *rest]
        name, equals, value = argument.partition("=")
        if name in lists and (equals or (rest and not rest[0].startswith("--"))):
            values = [value if equals else rest.pop(0)]
            while rest and all(NUMBER.fullmatch(part) for part in rest[0].strip(",").split(",")):
                values.append(rest.pop(0))
            argument = f"{name}={','.join(value.strip(',') for value in values)}"
        elif argument in paths:
            values = list(itertools.takewhile(lambda part: not part.startswith("-"), rest))
            del rest[: len(values)]
            joined += [f"{name}={value}" for value in values]
            argument = "" if values else argument
        elif argument == "--ray":
            argument = f"--ray={rest.pop(0) if rest and ADDRESS.fullmatch(rest[0]) else 'local'}"
        elif argument in OUT and rest[:1] == [STANDARD]:
            argument = f"{OUT[1]}={rest.pop(0)}"
        elif argument == STANDARD:
            argument = STAND_IN
        if argument:
            joined.append(argument)
    return joined


def one(kind: Any, tokens: Sequence[Token]) -> Any:
    """Convert the value of a flag; unlike cyclopts, which rounds 3.5 where a whole number is asked for."""
    return _converted(kind, tokens[0].value)


def named(kind: Any, tokens: Sequence[Token]) -> Any:
    """Convert a picture's name, which may be - for standard input."""
    return STANDARD if tokens[0].value == STAND_IN else kind(tokens[0].value)


@Parameter(name="*")
@dataclass(frozen=True)
class Elsewhere:
    """The flags that say where many jobs are carried out; shared by all commands that have many."""

    ray: Annotated[
        str | None,
        Parameter(
            group=JOBS,
            show_default=False,
            help="Carry the jobs out on Ray: without an address on this machine, with one, HOST:PORT, on that cluster.",
        ),
    ] = None
    cpus_per_job: Annotated[int, Parameter(group=JOBS, converter=one, help="CPUs of a job on Ray.")] = 1
    gpus_per_job: Annotated[
        float | None,
        Parameter(
            group=JOBS,
            show_default=False,
            converter=one,
            help="GPUs of a job on Ray, as in 1 or 0.5; by default 1 where the cluster has GPUs, else 0.",
        ),
    ] = None

    def carrier(self) -> AbstractContextManager[Carry]:
        """Where the jobs are carried out, while entered; raises OptionError or RunError if that is impossible."""
        from impasto.work import cluster, worker

        if self.ray is None:
            return nullcontext(worker.here)
        return cluster.start(self.ray, cpus_per_job=self.cpus_per_job, gpus_per_job=self.gpus_per_job)


HERE = Elsewhere()  # in this process


def _annotation(name: str) -> Any:
    """What cyclopts needs to know of a field."""
    field, kind = Recipe.model_fields[name], _kind(name)
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    shown = _shown(field.default)
    parameter = Parameter(
        name=flag(name),
        group=HELP_GROUPS[str(extra["group"])],
        help=field.description,
        show_default=(lambda _: shown) if shown else False,
        negative=f"--no-{flag(name)[2:]}" if kind is bool else (),
        converter=_paths
        if name in PATHS
        else _many
        if _several(name)
        else None
        if kind is bool or get_origin(kind) is Literal
        else one,
    )
    accepted: Any = tuple.__class_getitem__((kind, ...)) if _several(name) else kind
    return Annotated[accepted | None, parameter]


def _many(kind: Any, tokens: Sequence[Token]) -> tuple[Any, ...]:
    """Convert the values of a flag that takes several, separated by commas or given one by one."""
    parts = [part.strip() for token in tokens for part in token.value.split(",")]
    return tuple(_converted(get_args(kind)[0], part) for part in parts if part)


def _paths(kind: Any, tokens: Sequence[Token]) -> tuple[str, ...]:
    """The values of a flag that takes several paths, given one by one."""
    del kind
    return tuple(token.value for token in tokens)


def _converted(kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a {'whole ' * (kind is int)}number") from None


def _several(name: str) -> bool:
    return get_origin(Recipe.model_fields[name].annotation) is tuple


def _kind(name: str) -> Any:
    """The type of a field, or of its elements where it takes several."""
    kind: Any = Recipe.model_fields[name].annotation
    if _several(name):
        kind = get_args(kind)[0]
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _shown(default: object) -> str:
    """A default as one would type it; empty where there is nothing to say."""
    if isinstance(default, tuple):
        return " ".join(_shown(item) for item in default)
    if isinstance(default, bool):
        return "on" if default else ""
    return f"{default:g}" if isinstance(default, float) else str(default)
