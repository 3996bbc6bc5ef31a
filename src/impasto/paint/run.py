"""The loop that paints, and the calls that most programs need, `steps` and `stylize`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any

from impasto.errors import MemoryShortError, memory_short
from impasto.files import check_place
from impasto.paint.checkpoint import Keeper
from impasto.paint.result import Progress, Result
from impasto.paint.transfer import Transfer
from impasto.pictures.read import Source
from impasto.recipe import Recipe

__all__ = ["follow", "steps", "stylize"]


def follow(transfer: Transfer, watch: Callable[[Progress], object] = lambda _: None) -> Result:
    """Carry a transfer out and return what has become of it: the one loop that paints.

    Every step is shown to `watch`, which ends the work by answering True. Raises DivergenceError and MemoryShortError
    with the best picture so far as `result`, where there is one.
    """
    last: Progress | None = None
    try:
        for last in transfer.steps():
            if watch(last) is True:
                break
        return transfer.result()
    except Exception as error:
        if not memory_short(error):
            raise
    # Outside of the handler: the error's frames hold the tensors that the result needs room for.
    height, width = transfer.scene.size
    place = f" at level {last.level} of {last.levels}" if last is not None else ""
    message = f"not enough memory for {width}×{height}{place}; use a smaller --size"
    raise MemoryShortError(message, transfer.result() if last is not None else None)


def steps(
    content: Source,
    styles: Source | Sequence[Source],
    recipe: Recipe | None = None,
    *,
    files: Mapping[str, Source] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    **options: Any,
) -> Iterator[Progress]:
    """Carry out a transfer, yielding a Progress after every step; arguments as those of `stylize`."""
    transfer = Transfer(content, styles, _with(recipe, options), files=files)
    return _steps(transfer, _keeper(transfer, checkpoint))


def stylize(
    content: Source,
    styles: Source | Sequence[Source],
    recipe: Recipe | None = None,
    *,
    files: Mapping[str, Source] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    **options: Any,
) -> Result:
    """Paint the content in the style of one or several pictures; `options` are fields of Recipe by name.

    Paths, the bytes of files (also as `impasto.Blob`), open files, Pillow images, arrays H×W×3 and tensors 3×H×W are
    accepted alike; `files` holds those that options name, as in
    `stylize(photo, [a, b], mask=("sky", "rest"), files={"sky": array})`.
    `checkpoint` is a file that the run is kept in, every half minute; where it is there already, the run goes on from
    it, and ends as it would have without the stop. It is removed at the end. Raises ImageReadError, WeightsError and
    OptionError before the work (also for a checkpoint of another run), DivergenceError and MemoryShortError (with the
    best picture as `result`) during it.
    """
    transfer = Transfer(content, styles, _with(recipe, options), files=files)
    keeper = _keeper(transfer, checkpoint)
    with keeper:
        return follow(transfer, keeper.step)


def _keeper(transfer: Transfer, path: str | PathLike[str] | None) -> Keeper:
    """What keeps a transfer in a file, if any; it goes on from there."""
    keeper = Keeper(None if path is None else check_place(path, overwrite=True), transfer, tell=warnings.warn)
    keeper.resume()
    return keeper


def _steps(transfer: Transfer, keeper: Keeper) -> Iterator[Progress]:
    with keeper:
        for progress in transfer.steps():
            keeper.step(progress)
            yield progress


def _with(recipe: Recipe | None, options: dict[str, Any]) -> Recipe:
    return (recipe or Recipe()).replace(**options) if options else recipe or Recipe()
