"""One transfer from the command line: the consumers of its steps (bar, trace, previews), Ctrl-C, and the saving.

The order is the promise: whatever can be refused is refused before the first step, and whatever has been painted by the
time something goes wrong is saved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto import saving
from impasto._version import __version__
from impasto.console import Bar, Console, duration, listed
from impasto.errors import NO_MEMORY, ImpastoError, MemoryShortError, OutputError, RunError, shown
from impasto.fetching import obtain
from impasto.interrupts import Interrupted, Interrupts
from impasto.known import KNOWN
from impasto.provenance import other_inputs
from impasto.recipe import Recipe
from impasto.trace import Trace

if TYPE_CHECKING:
    from impasto.transfer import Progress, Result, Transfer

__all__ = ["Job", "memory_short", "run"]

SHORT = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "DefaultCPUAllocator")
INITS = ("content", "style", "noise")  # Recipe.init, where it is no path


@dataclass(frozen=True)
class Job:
    """What to paint and what to write; `origin` is what the picture says whose recipe is repeated, if any."""

    content: str
    styles: tuple[str, ...]
    recipe: Recipe
    output: Path
    overwrite: bool = False
    trace: Path | None = None
    preview_every: int = 0
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> list[str]:
        """The files that are read."""
        init = [] if self.recipe.init in INITS else [self.recipe.init]
        return [self.content, *self.styles, *init]


def run(job: Job, console: Console) -> Result:
    """Carry out a job and save its result.

    Raises ImpastoError, after saving the best picture where there is one; Interrupted on Ctrl-C, likewise.
    """
    try:
        return _carry_out(job, console)
    except Exception as error:
        if not memory_short(error):
            raise
    raise MemoryShortError(NO_MEMORY)


def memory_short(error: BaseException) -> bool:
    """Whether an error means that memory has run out; torch says so in several ways, by device."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(phrase.lower() in text.lower() for phrase in SHORT)
    )


def _carry_out(job: Job, console: Console) -> Result:
    target = saving.check_target(job.output, overwrite=job.overwrite, inputs=job.inputs)
    preview = target.with_suffix(".preview.png") if job.preview_every else None
    if preview is not None:
        _keep(job.inputs, preview)
        saving.check_target(preview, overwrite=job.overwrite)
    trace = None
    if job.trace is not None:
        _keep([*job.inputs, target], job.trace)
        trace = Trace(job.trace, overwrite=job.overwrite)
    with Interrupts() as interrupts:
        transfer = _prepare(job, console)
        saving.check_target(target, overwrite=job.overwrite, inputs=job.inputs, size=transfer.size)
        console.notices([*transfer.notices, *transfer.weights.notices])
        if other_inputs(job.origin, transfer.inputs):
            console.notices(["the recipe was made with other pictures; the result will be another one"])
        work = _Run(job, target, preview, trace, transfer, console, interrupts)
        work.follow()
        return work.finish()


@dataclass
class _Run:
    """The steps of one job and what becomes of them."""

    job: Job
    target: Path
    preview: Path | None
    trace: Trace | None
    transfer: Transfer
    console: Console
    interrupts: Interrupts
    last: Progress | None = None
    stopped: bool = False
    failure: Exception | None = None
    late: OutputError | None = None  # a trace or preview that could not be written: reported after the saving

    def follow(self) -> None:
        """Take all steps, until they end, fail or are interrupted."""
        job, transfer = self.job, self.transfer
        height, width = transfer.size
        levels, steps = len(transfer.sizes), sum(transfer.evaluations)
        opening = (
            f"painting {job.output}: {width}×{height}, {levels} level{'s' * (levels > 1)}, {steps} steps,"
            f" about {transfer.peak / 2**30:.1f} GiB"
            f" and {duration(transfer.expected_seconds())}"
        )
        with ExitStack() as stack:
            if self.trace is not None:
                recipe = job.recipe.model_dump(mode="json")
                self.trace.open({"impasto": __version__, "recipe": recipe, "inputs": transfer.inputs})
                stack.callback(self.trace.close)
            bar = stack.enter_context(self.console.bar(opening))
            try:
                for count, progress in enumerate(transfer.steps(), start=1):
                    if self.last is None:
                        self.interrupts.patience(bar.stopping)
                    self.last = progress
                    self._show(progress, count, bar)
                    if self.interrupts.asked:
                        self.stopped = True
                        return
            except Exception as error:
                # Kept without its frames where memory is short: they hold the tensors that the saving needs room for.
                self.failure = self._memory_short() if memory_short(error) else error

    def finish(self) -> Result:
        """Save what there is and report how it went."""
        if self.failure is not None:
            self._rescue(self.failure)
        result = self.transfer.result()
        self._save(result)
        if self.stopped and self.last is not None:
            place = f"level {self.last.level}/{self.last.levels}, step {self.last.step}/{self.last.steps}"
            raise Interrupted(f"interrupted at {place}; the best picture so far is saved in {self.job.output}")
        height, width = self.transfer.size
        self.console.line(
            f"painted {self.job.output} ({width}×{height}, {duration(result.seconds)}; {listed(result.losses.items())})"
        )
        if self.late is not None:
            raise self.late
        return result

    def _show(self, progress: Progress, count: int, bar: Bar) -> None:
        bar.show(progress)
        if self.late is not None:
            return
        try:
            if self.trace is not None:
                self.trace.add(progress)
            if self.preview is not None and count % self.job.preview_every == 0:
                made = {"impasto": __version__, "recipe": self.job.recipe.model_dump(mode="json")}
                saving.write(self.preview, progress.image(), metadata=made, overwrite=True)
        except OutputError as error:
            self.late = error
            self.console.notices([f"{error}; the painting goes on without"])

    def _rescue(self, failure: Exception) -> None:
        """Save the best picture before the failure and raise it."""
        best = getattr(failure, "result", None) if isinstance(failure, RunError) else None
        if best is None and self.last is None:
            raise failure
        try:
            self._save(self.transfer.result() if best is None else best)
        except Exception as second:  # the first failure is the one to report
            failure.add_note(f"the best picture could not be saved either: {second}")
            raise failure from None
        if not isinstance(failure, ImpastoError):
            self.console.line(f"the best picture so far is saved in {self.job.output}")
            raise failure
        raise type(failure)(f"{failure}; the best picture so far is saved in {self.job.output}") from failure

    def _memory_short(self) -> MemoryShortError:
        height, width = self.transfer.size
        place = f" at level {self.last.level} of {self.last.levels}" if self.last is not None else ""
        return MemoryShortError(f"not enough memory for {width}×{height}{place}; use a smaller --size")

    def _save(self, result: Result) -> None:
        """Save to the target or, should that have become impossible meanwhile, to the folder for temporary files."""
        try:
            result.save(self.target, overwrite=self.job.overwrite)
        except OutputError as error:
            elsewhere = Path(tempfile.mkdtemp(prefix="impasto-")) / f"{self.target.stem}.png"
            try:
                result.save(elsewhere)
            except OutputError:
                elsewhere.parent.rmdir()
                raise error from None
            raise OutputError(f"{error}; the picture is in {elsewhere} instead") from error
        if self.preview is not None:
            with suppress(OSError):
                self.preview.unlink()


def _prepare(job: Job, console: Console) -> Transfer:
    """Everything that has to be there before the first step."""
    net = KNOWN.get(job.recipe.net)
    if net is not None and net.url:
        with console.download(net.name) as tell:
            notices = obtain(net.name, tell)[1]
        console.notices(notices)
    from impasto.transfer import Transfer

    transfer = Transfer(job.content, list(job.styles), job.recipe)
    transfer.keep_buffers()
    return transfer


def _keep(pictures: Sequence[str | Path], extra: Path) -> None:
    """Make sure that a trace or preview does not take the place of a picture of the run, --overwrite or not."""
    for picture in pictures:
        if saving.same_file(extra, picture):
            raise OutputError(f"{shown(extra)}: is a picture of this run, {shown(picture)}; choose another name")
