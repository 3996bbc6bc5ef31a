"""Many settings at a glance: fields of Recipe as axes, a cell for every combination, a sheet and a page of them all."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from impasto import jobs, page, saving, sheet
from impasto.console import Console
from impasto.errors import ImpastoError, OptionError, OutputError, shown
from impasto.flags import flag
from impasto.jobs import Carry, Outcome, Task, here
from impasto.layers import nearest
from impasto.recipe import Recipe
from impasto.sheet import Cell, Grid

__all__ = ["Axis", "Sweep", "axis", "cells", "run", "worded"]

MOST_AXES = 3
MOST_CELLS = 400  # of one sweep; more is a slip of the keyboard
LONGEST = 4096  # pixels of a picture's longer side that a sheet can use
ROW = 6  # cells of a sheet's row, where one axis is wrapped
JOIN = re.compile(r"(?<![\d.][eE])\+")  # a + between parts, not that of 1e+2
NONE = "none"  # the empty value of a field that takes several


@dataclass(frozen=True)
class Axis:
    """A field of Recipe and the values that it takes, as Recipe takes them."""

    field: str
    values: tuple[Any, ...]

    @property
    def words(self) -> str:
        """The field as people say it."""
        return self.field.replace("_", " ")


@dataclass(frozen=True)
class Sweep:
    """What a sweep has made: its cells in the order of the axes' values, the last axis fastest; its sheets and page."""

    axes: tuple[Axis, ...]
    outcomes: tuple[Outcome, ...]
    sheets: tuple[Path, ...]
    page: Path


def axis(text: str) -> Axis:
    """Read `field=value,value`; parts of one value are joined by +, and `none` is no value at all.

    Raises OptionError for an unknown field. Values are checked when recipes are made of them.

    >>> axis("content_layer=conv1_2,conv2_2").values
    (('conv1_2',), ('conv2_2',))
    >>> axis("blend=0.2+0.8,1e+0+0").values
    (('0.2', '0.8'), ('1e+0', '0'))
    >>> axis("laplacian=none,4:10,4:10+16:10").values
    ((), ('4:10',), ('4:10', '16:10'))
    """
    name, equals, rest = text.partition("=")
    field = name.strip().removeprefix("--").replace("-", "_")
    if not equals:
        raise OptionError(f"--vary {shown(text)}: must be FIELD=VALUE,VALUE as in content_layer=conv2_2,conv4_2")
    if field not in Recipe.model_fields:
        near = nearest(field, Recipe.model_fields)
        raise OptionError(f"--vary {shown(text)}: no such option {shown(field)!r}; did you mean {near}?")
    parts = [part.strip() for part in rest.split(",")]
    if not all(parts):
        raise OptionError(f"--vary {shown(text)}: a value is missing; give them as {field}=VALUE,VALUE")
    several = isinstance(Recipe.model_fields[field].default, tuple)
    return Axis(field, tuple(_parts(part) if several else part for part in parts))


def _parts(text: str) -> tuple[str, ...]:
    return () if text == NONE else tuple(part.strip() for part in JOIN.split(text))


def worded(value: Any) -> str:
    """A value as one would type it.

    >>> worded(0.001), worded(("4:10", "16:10")), worded(()), worded(True)
    ('0.001', '4:10+16:10', 'none', 'yes')
    """
    if isinstance(value, tuple | list):
        return "+".join(worded(part) for part in value) or NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def cells(axes: Sequence[Axis], recipe: Recipe) -> list[tuple[tuple[Any, ...], Recipe]]:
    """Every combination of values, as the recipes hold them, with its recipe; the last axis fastest.

    Raises OptionError for too many axes or cells, an axis given twice or a value that the field does not take.
    """
    fields = [one.field for one in axes]
    if not 1 <= len(axes) <= MOST_AXES:
        raise OptionError(f"--vary: {len(axes)} axes; give 1 to {MOST_AXES}")
    if len(set(fields)) < len(fields):
        raise OptionError(f"--vary: an option is given twice ({', '.join(fields)})")
    combinations = list(itertools.product(*(one.values for one in axes)))
    if len(combinations) > MOST_CELLS:
        raise OptionError(f"--vary: {len(combinations)} pictures are too many for one sheet (at most {MOST_CELLS})")
    found = []
    for values in combinations:
        try:
            made = recipe.replace(**dict(zip(fields, values, strict=True)))
        except OptionError as error:
            raise OptionError(f"--vary: {error}") from None
        found.append((tuple(getattr(made, field) for field in fields), made))
    if len({values for values, _ in found}) < len(found):
        raise OptionError("--vary: a value is given twice")
    return found


def run(
    content: str,
    styles: Sequence[str],
    axes: Sequence[Axis],
    recipe: Recipe,
    output: Path,
    *,
    cell: int | None = None,
    inputs: bool = True,
    overwrite: bool = False,
    carry: Carry = here,
    console: Console,
) -> Sweep:
    """Paint every cell into the folder `output` without its suffix, and draw the sheets and the page beside it.

    One axis is a row, two are a grid, three a sheet for each value of the first, named after it. `cell`: the longer
    side of a picture on the sheet. `inputs`: whether content and styles are shown in the corner. A second call paints
    only what is missing. Failed cells are outcomes; raises OptionError for impossible axes, OutputError for an
    `output` that cannot be written.
    """
    found = cells(axes, recipe)
    for _, made in found:
        if made.blend and len(made.blend) != len(styles):
            raise OptionError(f"blend: {len(made.blend)} weights for {len(styles)} style pictures; give one each")
    kinds = [Axis(one.field, tuple(dict.fromkeys(v[n] for v, _ in found))) for n, one in enumerate(axes)]
    tasks = [Task(content, tuple(styles), made, _place(kinds, values)) for values, made in found]
    mark = {"sweep": hashlib.sha256("".join(task.key for task in tasks).encode()).hexdigest()}
    sheets, report = _sheets(output, kinds), output.with_suffix(".html")
    ours = all(not path.exists() or _marked(path, mark) for path in sheets)
    for path in sheets:
        saving.check_target(path, overwrite=overwrite or ours, inputs=[content, *styles])
    if report.is_dir() or (report.exists() and not (overwrite or (ours and sheets[0].exists()))):
        raise OutputError(f"{shown(report)}: exists already; choose another name, or --overwrite")
    outcomes = jobs.run(tasks, output.with_suffix(""), extras=True, carry=carry, console=console)

    from impasto import images

    caption = _caption(content, styles, kinds, recipe)
    corner = _corner(content, styles) if inputs else []
    grids = _grids(kinds, [_label(kinds, values) for values, _ in found], outcomes)
    for path, grid in zip(sheets, grids, strict=True):
        picture = sheet.draw(grid.map(_opened), cell=cell, caption=caption, inputs=corner)
        saving.write(path, images.read(picture).rgb, metadata=mark, overwrite=True)
    page.write(report, _title(kinds), [grid.map(_shown) for grid in grids], caption=caption)
    console.line(f"drew {', '.join(str(path) for path in sheets)} and {report}")
    return Sweep(tuple(kinds), tuple(outcomes), tuple(sheets), report)


def _sheets(output: Path, axes: Sequence[Axis]) -> list[Path]:
    if len(axes) < MOST_AXES:
        return [output]
    first = axes[0]
    return [output.with_stem(f"{output.stem}-{first.field}-{_plain(worded(value))}") for value in first.values]


def _place(axes: Sequence[Axis], values: Sequence[Any]) -> str:
    """A cell's name, of its values."""
    return "_".join(f"{one.field}-{_plain(worded(value))}" for one, value in zip(axes, values, strict=True))


def _plain(text: str) -> str:
    """A text as a part of a file's name on every system."""
    return re.sub(r"[^\w.+-]+", "-", text)


def _label(axes: Sequence[Axis], values: Sequence[Any]) -> str:
    return ", ".join(f"{one.words} {worded(value)}" for one, value in zip(axes, values, strict=True))


@dataclass(frozen=True)
class _Place:
    """A cell as it stands in its grid."""

    label: str
    short: str
    outcome: Outcome


def _grids(axes: Sequence[Axis], labels: Sequence[str], outcomes: Sequence[Outcome]) -> list[Grid[_Place]]:
    """One grid, or one for each value of the first of three axes."""
    places = [
        _Place(label, label.removeprefix(f"{axes[0].words} ") if len(axes) == 1 else label, outcome)
        for label, outcome in zip(labels, outcomes, strict=True)
    ]
    if len(axes) == 1:
        across = math.ceil(len(places) / math.ceil(len(places) / ROW))  # rows as even as they can be
        rows = tuple(tuple(places[start : start + across]) for start in range(0, len(places), across))
        return [Grid(rows, title=axes[0].words)]
    down, across_axis = axes[-2:]
    wide, high = len(across_axis.values), len(down.values)
    grids = []
    for start in range(0, len(places), wide * high):
        part = places[start : start + wide * high]
        first = f"{axes[0].words} {worded(axes[0].values[start // (wide * high)])}" if len(axes) == MOST_AXES else ""
        grids.append(
            Grid(
                tuple(tuple(part[n * wide : (n + 1) * wide]) for n in range(high)),
                title=first,
                across=across_axis.words,
                down=down.words,
                columns=tuple(worded(value) for value in across_axis.values),
                sides=tuple(worded(value) for value in down.values),
            )
        )
    return grids


def _opened(place: _Place) -> Cell:
    outcome = place.outcome
    if outcome.file is None:
        return Cell(place.short, None, outcome.error or "")
    from impasto import images

    try:
        picture = images.read(outcome.file).rgb
    except ImpastoError as error:
        return Cell(place.short, None, str(error))
    small = images.resize(picture, images.fit((picture.shape[1], picture.shape[2]), min(LONGEST, max(picture.shape))))
    return Cell(place.short, Image.fromarray(images.to_array(small)))


def _shown(place: _Place) -> page.Shown:
    outcome = place.outcome
    trace = outcome.file.with_suffix(".jsonl") if outcome.file is not None else None
    command = _command(outcome.task, f"{outcome.task.place}.png")
    return page.Shown(place.label, outcome.file, outcome.error or "", outcome.losses, trace, command)


def _command(task: Task, output: str) -> str:
    """The command that paints a cell by itself: the flags that differ from the defaults."""
    pictures = [_clear(path) for path in (task.content, *task.styles)]
    return shlex.join(["impasto", *pictures, "-o", output, *_flags(task.recipe)])


def _clear(path: str) -> str:
    """A path that is taken for nothing else: neither for a flag nor for a command's name."""
    return path if "/" in path or "\\" in path else f"./{path}"


def _flags(recipe: Recipe, without: Sequence[str] = ()) -> list[str]:
    words: list[str] = []
    for name, field in Recipe.model_fields.items():
        value = getattr(recipe, name)
        if value == field.default or name in without:
            continue
        if isinstance(value, bool):
            words.append(flag(name) if value else f"--no-{flag(name)[2:]}")
        elif isinstance(value, tuple):
            words.append(f"{flag(name)}={','.join(str(part) for part in value)}")
        else:
            words += [flag(name), json.dumps(value) if isinstance(value, float) else str(value)]
    return words


def _title(axes: Sequence[Axis]) -> str:
    return " × ".join(one.words for one in axes)


def _caption(content: str, styles: Sequence[str], axes: Sequence[Axis], recipe: Recipe) -> list[str]:
    """The pictures' names, and the settings that all cells share."""
    names = f"{Path(content).name} in the style of {' and '.join(Path(style).name for style in styles)}"
    common = _flags(recipe, without=[*(one.field for one in axes), "net"])
    net = f"network {Path(recipe.net).name}" if not any(one.field == "net" for one in axes) else ""
    return [shown(names), shown(", ".join(part for part in (net, " ".join(common)) if part))]


def _corner(content: str, styles: Sequence[str]) -> list[tuple[str, Image.Image]]:
    """The input pictures, as far as they can be read; those that cannot have failed their cells."""
    from impasto import images

    found = []
    for path in (content, *styles):
        try:
            picture = images.read(path)
        except ImpastoError:
            continue
        found.append((shown(Path(path).name), Image.fromarray(images.to_array(picture.rgb))))
    return found


def _marked(path: Path, mark: Mapping[str, Any]) -> bool:
    """Whether a sheet is of this very sweep, so that it may be drawn anew."""
    try:
        return saving.read_metadata(path) == mark
    except ImpastoError:
        return False
