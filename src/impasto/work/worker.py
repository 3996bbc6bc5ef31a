"""A packed job painted: bytes in, bytes out, so that it is the same work in this process and on a machine far away.

Imports no torch until a picture is painted.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from impasto.errors import Failure, ImpastoError, OptionError
from impasto.options import INSTANT
from impasto.work.job import Job

if TYPE_CHECKING:
    from impasto.paint.result import Progress
    from impasto.paint.targets import Targets
    from impasto.recipe import Recipe

__all__ = ["Answer", "attempt", "here", "paint"]


@dataclass(frozen=True)
class Answer:
    """What has become of a job: the picture's file, the text of its trace, empty unless asked for, and its numbers.

    Where there is a `failure`, `data` is the best picture before it, empty if there is none.
    """

    data: bytes = field(default=b"", repr=False)
    trace: str = field(default="", repr=False)
    losses: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    notices: tuple[str, ...] = ()
    failure: Failure | None = None


def paint(job: Job, tell: Callable[[float], object], targets: Targets | None = None) -> Answer:
    """Carry out a job; `tell` hears, after every step, which share 0…1 of it is done.

    It goes on from its checkpoint, where there is one that fits; whoever keeps the answer removes that. A run that ends
    early with a picture is an answer with a `failure`; raises ImpastoError where there is none.
    """
    from impasto.paint.checkpoint import LONG, Keeper
    from impasto.paint.run import follow
    from impasto.paint.trace import Trace, continued
    from impasto.paint.transfer import Transfer
    from impasto.pictures.metadata import made

    recipe = job.recipe
    if job.memory and not recipe.max_memory:
        recipe = recipe.replace(max_memory=job.memory)
    files: dict[str, Any] = dict(job.files)
    if recipe.instant:
        return _instant(job, recipe, files, targets)
    if recipe.init == INSTANT:
        from impasto.onepass.run import instant_start

        files[INSTANT] = instant_start(job.content, job.styles, recipe, files=files, targets=targets)
    transfer = Transfer(job.content, job.styles, recipe, files=files, net=job.net, targets=targets)
    transfer.keep_buffers()
    text, notices = io.StringIO(), list[str]()
    keeper = Keeper(
        job.checkpoint or None, transfer, said=lambda: {"trace": text.getvalue()}, least=LONG, tell=notices.append
    )
    header = made(job.recipe, transfer.scene.inputs)
    try:
        before = continued(str((keeper.resume() or {}).get("trace", "")), header, transfer.taken)
    except OptionError:  # begun by another version, or with other threads
        before, keeper.kept = None, True
    text.write(before or "")
    trace = Trace(text, None if before else header) if job.trace else None

    def watch(progress: Progress) -> None:
        if trace is not None:
            trace.add(progress)
        keeper.step(progress)
        tell(progress.fraction)

    failure = None
    try:
        result = follow(transfer, watch)
    except ImpastoError as error:
        if getattr(error, "result", None) is None:
            raise
        failure, result = Failure.of(error), error.result  # type: ignore[attr-defined]
    result = replace(result, recipe=job.recipe)
    said = (*result.notices, *notices)
    return Answer(
        result.encode(job.suffix, keep_exif=job.keep_exif),
        text.getvalue(),
        result.losses,
        result.seconds,
        said,
        failure,
    )


def _instant(job: Job, recipe: Recipe, files: Mapping[str, Any], targets: Targets | None) -> Answer:
    """A job that is painted in one pass."""
    from impasto.onepass.run import Instant

    result = replace(Instant(job.content, job.styles, recipe, files=files, targets=targets).result(), recipe=job.recipe)
    return Answer(result.encode(job.suffix), seconds=result.seconds, notices=result.notices)


def attempt(job: Job, tell: Callable[[float], object], targets: Targets) -> Answer:
    """Carry out a job, whatever happens."""
    try:
        return paint(job, tell, targets)
    except Exception as error:
        failure = Failure.of(error)
    targets.clear()  # after the error is gone with its frames, which hold tensors
    return Answer(failure=failure)


def here(
    jobs: Iterable[tuple[int, Job]], tell: Callable[[int, float], object]
) -> Generator[tuple[int, Answer], None, None]:
    """Carry out numbered jobs in this process, one after the other; `tell` hears of the share done of each."""
    from impasto.paint.targets import Targets

    targets = Targets()
    for index, job in jobs:

        def heard(share: float, index: int = index) -> None:
            tell(index, share)

        yield index, attempt(job, heard, targets)
