"""One job of many: bytes in, bytes out, so that it is the same work in this process and on a machine far away.

Imports no torch until a picture is painted.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from impasto import saving
from impasto._version import __version__
from impasto.errors import NO_MEMORY, ImpastoError, shown
from impasto.recipe import Recipe
from impasto.runner import memory_short
from impasto.trace import Trace

if TYPE_CHECKING:
    from impasto.targets import Targets

__all__ = ["Bench", "Blob", "Order", "Painted", "attempt", "here", "paint"]


@dataclass(frozen=True)
class Blob:
    """A file as bytes; `name` is its path where it was read, for messages and for the name inside the result."""

    name: str
    data: bytes = field(repr=False)
    sha256: str

    @classmethod
    def of(cls, name: str, data: bytes) -> Blob:
        """The blob of a file's bytes."""
        return cls(name, data, hashlib.sha256(data).hexdigest())


@dataclass(frozen=True)
class Order:
    """All that one job needs: `init` and `net` hold one file each where the recipe names files, else none.

    `suffix` is the format of the result, `memory` the GiB it may take where the recipe leaves it open; 0: most of what
    is free.
    """

    content: Blob
    styles: tuple[Blob, ...]
    recipe: Recipe
    suffix: str = ".png"
    trace: bool = False
    init: tuple[Blob, ...] = ()
    net: tuple[Blob, ...] = ()
    memory: float = 0.0

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """All files, in one order."""
        return (self.content, *self.styles, *self.init, *self.net)

    def filled(self, parts: Iterable[bytes]) -> Order:
        """The order with other bytes in its files, in the order of `blobs`."""
        rest = iter(parts)

        def fill(group: tuple[Blob, ...]) -> tuple[Blob, ...]:
            return tuple(replace(blob, data=next(rest)) for blob in group)

        (content,) = fill((self.content,))
        return replace(self, content=content, styles=fill(self.styles), init=fill(self.init), net=fill(self.net))


@dataclass(frozen=True)
class Painted:
    """A finished job: `data` is the picture's file, `trace` the text of its steps, empty unless asked for."""

    data: bytes = field(repr=False)
    trace: str = field(repr=False)
    losses: Mapping[str, float]
    seconds: float
    notices: tuple[str, ...]


class Bench:
    """What a process keeps from one job to the next: features of pictures seen before, and networks."""

    def __init__(self) -> None:
        self._targets: Targets | None = None
        self._nets: dict[str, str] = {}

    @property
    def targets(self) -> Targets:
        """The features and networks of the jobs so far."""
        if self._targets is None:
            from impasto.targets import Targets

            self._targets = Targets()
        return self._targets

    def network(self, blob: Blob, form: str, folder: Path) -> str:
        """What `Recipe.net` has to say for a weights file given as bytes; it lies in `folder` only while it is read."""
        known = blob.sha256 + form
        if known not in self._nets:
            net = str(_laid_down(folder, blob)) + form
            self.targets.weights(net)
            self._nets[known] = net
        return self._nets[known]

    def clear(self) -> None:
        """Forget everything."""
        self._targets = None
        self._nets.clear()


def paint(order: Order, tell: Callable[[float], None], bench: Bench | None = None) -> Painted:
    """Carry out a job; `tell` hears, after every step, which share 0…1 of it is done.

    Raises ImpastoError, with the names that the files have where they came from.
    """
    from impasto.transfer import Transfer

    bench = bench or Bench()
    with TemporaryDirectory(prefix="impasto-", ignore_cleanup_errors=True) as scratch:
        home, names = Path(scratch), {}
        try:
            places = []
            for number, blob in enumerate(order.blobs[: len(order.blobs) - len(order.net)]):
                places.append(str(_laid_down(home / str(number), blob)))
                names[places[-1]] = blob.name
            content, *styles = places[: 1 + len(order.styles)]
            options: dict[str, Any] = {"init": places[-1]} if order.init else {}
            if order.net:
                form = order.recipe.net.removeprefix(order.net[0].name) if "@" in order.recipe.net else ""
                names[str(home / "net" / PurePath(order.net[0].name).name)] = order.net[0].name
                options["net"] = bench.network(order.net[0], form, home / "net")
                names[options["net"].removesuffix(form)] = order.net[0].name
            if order.memory and not order.recipe.max_memory:
                options["max_memory"] = order.memory
            transfer = Transfer(content, styles, order.recipe.replace(**options), targets=bench.targets)
            transfer.keep_buffers()
            trace = Trace(home / "trace.jsonl", overwrite=False) if order.trace else None
            if trace is not None:
                recipe = order.recipe.model_dump(mode="json")
                trace.open({"impasto": __version__, "recipe": recipe, "inputs": transfer.inputs})
            try:
                for progress in transfer.steps():
                    if trace is not None:
                        trace.add(progress)
                    tell(progress.fraction)
            finally:
                if trace is not None:
                    trace.close()
            result = replace(transfer.result(), recipe=order.recipe)
            file = home / f"result{order.suffix}"
            saving.write(file, result.image, result.alpha, metadata=result.metadata())
            return Painted(
                data=file.read_bytes(),
                trace=trace.path.read_text(encoding="utf-8") if trace is not None else "",
                losses=dict(result.losses),
                seconds=result.seconds,
                notices=tuple(_named(notice, names) for notice in (*result.notices, *transfer.weights.notices)),
            )
        except ImpastoError as error:
            raise type(error)(_named(str(error), names)) from None


def attempt(order: Order, tell: Callable[[float], None], bench: Bench) -> Painted | str:
    """Carry out a job, whatever happens: the result, or in one line why there is none."""
    try:
        return paint(order, tell, bench)
    except ImpastoError as error:
        return " ".join(str(error).split())
    except Exception as error:
        if memory_short(error):
            text = NO_MEMORY
        elif isinstance(error, OSError):
            text = f"the folder for temporary files cannot be used ({error.strerror or shown(error)}); set TMPDIR"
        else:
            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{PurePath(last.filename).name}:{last.lineno}"
            text = f"this is a bug ({type(error).__name__} at {where}: {shown(error)[:200]}); please report it"
    bench.clear()  # after the error is gone with its frames, which hold tensors
    return text


def here(
    orders: Iterable[tuple[int, Order]], tell: Callable[[int, float], None]
) -> Generator[tuple[int, Painted | str], None, None]:
    """Carry out numbered jobs in this process, one after the other; `tell` hears of the share done of each."""
    bench = Bench()
    for index, order in orders:

        def heard(share: float, index: int = index) -> None:
            tell(index, share)

        yield index, attempt(order, heard, bench)


def _laid_down(folder: Path, blob: Blob) -> Path:
    """The bytes as a file of the same name in a new folder."""
    folder.mkdir()
    file = folder / PurePath(blob.name).name
    file.write_bytes(blob.data)
    return file


def _named(text: str, names: Mapping[str, str]) -> str:
    """A message with the names that the user gave in place of those of the temporary files."""
    for place, name in names.items():
        text = text.replace(shown(place), shown(name))
    return text
