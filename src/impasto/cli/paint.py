"""`impasto PHOTO PAINTING`: one transfer, the consumers of its steps (bar, trace, previews), Ctrl-C, and the saving.

The order is the promise: whatever can be refused is refused before the first step, and whatever has been painted by the
time something goes wrong is saved.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

from cyclopts import Parameter

from impasto import files
from impasto.cli.console import Console
from impasto.cli.flags import FILES, Quiet, one, recipe_from, with_recipe_flags
from impasto.errors import NO_MEMORY, ImpastoError, MemoryShortError, OptionError, OutputError, memory_short
from impasto.network.weights.fetching import obtain
from impasto.network.weights.known import KNOWN
from impasto.recipe import Recipe
from impasto.text import duration, listed, shown
from impasto.work.events import Fetching
from impasto.work.interrupts import Interrupted, Interrupts
from impasto.work.job import NETWORK, reads

if TYPE_CHECKING:
    from impasto.paint.run import Progress, Result, Transfer
    from impasto.paint.trace import Trace

__all__ = ["MISSING", "Paths", "paint", "run"]

MISSING = "CONTENT, at least one STYLE and -o RESULT are needed; see impasto --help, or try impasto demo"


@with_recipe_flags
def paint(
    content: Annotated[str, Parameter(help="The photo to paint; ./demo for a file that is called like a command.")],
    /,
    *style: Annotated[str, Parameter(help="The painting, or several of them.")],
    output: Annotated[
        Path, Parameter(name=("--output", "-o"), group=FILES, help="Where to save: .png, .tif, .jpg or .webp.")
    ],
    recipe: Annotated[
        Path | None,
        Parameter(
            group=FILES, help="Start from the options in a TOML or JSON file, or in a PNG or TIFF made by impasto."
        ),
    ] = None,
    trace: Annotated[
        Path | None, Parameter(group=FILES, help="Write every step, with its losses, to a file of JSON Lines.")
    ] = None,
    preview_every: Annotated[
        int,
        Parameter(
            group=FILES,
            converter=one,
            show_default=False,
            help="Save the best picture every so many steps as RESULT.preview.png; removed once the result is saved.",
        ),
    ] = 0,
    overwrite: Annotated[
        bool, Parameter(group=FILES, negative=(), show_default=False, help="Replace files that exist.")
    ] = False,
    quiet: Quiet = False,
    **options: Any,
) -> None:
    """Paint CONTENT in the style of STYLE."""
    if not style:
        raise OptionError(MISSING)
    if preview_every < 0:
        raise OptionError(f"--preview-every: {preview_every} is not a number of steps; use 1 or more")
    from impasto.pictures import metadata

    base, origin = metadata.read_recipe(recipe) if recipe is not None else (None, {})
    paths = Paths(content, style, output, recipe, trace, preview_every, overwrite=overwrite, origin=origin)
    run(paths, recipe_from(options, base), Console(quiet=quiet))


@dataclass(frozen=True)
class Paths:
    """What is read and what is written; `origin` is what the picture says whose recipe is repeated, if any."""

    content: str
    styles: tuple[str, ...]
    output: Path
    recipe: Path | None = None
    trace: Path | None = None
    preview_every: int = 0
    overwrite: bool = False
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def preview(self) -> Path | None:
        """Where previews go."""
        return self.output.with_suffix(".preview.png") if self.preview_every else None

    def check(self, recipe: Recipe) -> None:
        """Make sure, before any work, that everything can be written and nothing is written over."""
        from impasto.pictures.encode import check_target

        read = reads(self.content, self.styles, recipe)
        check_target(self.output, overwrite=self.overwrite, inputs=read.values())
        written = {"the result": self.output, "the trace": self.trace, "the preview": self.preview}
        replaced = [name for name in read if name != NETWORK]
        if self.recipe is not None:
            read["the recipe"] = str(self.recipe)
            replaced += ["the recipe"] * bool(self.origin)  # a picture that is made anew
        files.check_apart(read, {name: path for name, path in written.items() if path is not None}, replaced)
        for extra in (self.trace, self.preview):
            if extra is not None:
                files.check_place(extra, overwrite=self.overwrite)


def run(paths: Paths, recipe: Recipe, console: Console) -> Result:
    """Carry out one transfer and save its result.

    Raises ImpastoError, after saving the best picture where there is one; Interrupted on Ctrl-C, likewise.
    """
    try:
        paths.check(recipe)
        with Interrupts() as interrupts, console:
            transfer = _prepare(paths, recipe, console)
            return _Run(paths, transfer, console, interrupts).follow()
    except Exception as error:
        if isinstance(error, ImpastoError) or not memory_short(error):
            raise
    raise MemoryShortError(NO_MEMORY)


def _prepare(paths: Paths, recipe: Recipe, console: Console) -> Transfer:
    """Everything that has to be there before the first step."""
    net = KNOWN.get(recipe.net)
    if net is not None and net.url:
        console.notices(obtain(net.name, lambda done, total: console.tell(Fetching(net.name, done, total)))[1])
    from impasto.paint.run import Transfer
    from impasto.pictures import metadata
    from impasto.pictures.encode import check_target

    transfer = Transfer(paths.content, paths.styles, recipe)
    transfer.keep_buffers()
    check_target(paths.output, overwrite=True, size=transfer.scene.size)
    console.notices(transfer.notices)
    if metadata.other_inputs(paths.origin, transfer.scene.inputs):
        console.notices(["the recipe was made with other pictures; the result will be another one"])
    return transfer


@dataclass
class _Run:
    """The steps of one transfer and what becomes of them."""

    paths: Paths
    transfer: Transfer
    console: Console
    interrupts: Interrupts
    trace: Trace | None = None
    last: Progress | None = None
    count: int = 0
    stopped: bool = False
    late: OutputError | None = None  # a trace or preview that could not be written: reported after the saving

    def follow(self) -> Result:
        """Take all steps, until they end, fail or are interrupted; save what there is and say how it went."""
        from impasto.paint.run import follow

        paths, scene = self.paths, self.transfer.scene
        height, width = scene.size
        if not self.console.quiet:
            levels, steps = len(scene.sizes), sum(scene.evaluations)
            self.console.line(
                f"painting {paths.output}: {width}×{height}, {levels} level{'s' * (levels > 1)}, {steps} steps,"
                f" about {self.transfer.peak / 2**30:.1f} GiB and {duration(self.transfer.expected_seconds())}"
            )
        try:
            with ExitStack() as stack:
                self._open_trace(stack)
                result = follow(self.transfer, self._step)
        except Exception as error:
            self._rescue(error)
        self._save(result)
        self.console.close()
        if self.stopped and self.last is not None:
            place = f"level {self.last.level}/{self.last.levels}, step {self.last.step}/{self.last.steps}"
            raise Interrupted(f"interrupted at {place}; the best picture so far is saved in {paths.output}")
        self.console.line(
            f"painted {paths.output} ({width}×{height}, {duration(result.seconds)}; {listed(result.losses.items())})"
        )
        if self.late is not None:
            raise self.late
        return result

    def _step(self, progress: Progress) -> bool:
        """Show a step to all who want to see it; whether that was the last one."""
        if self.last is None:
            self.interrupts.patience(self.console.stopping)
        self.last = progress
        self.count += 1
        self.console.step(progress)
        if self.late is None:
            try:
                self._write_extras(progress)
            except OutputError as error:
                self.late = error
                self.console.notices([f"{error}; the painting goes on without"])
        self.stopped = self.interrupts.asked
        return self.stopped

    def _open_trace(self, stack: ExitStack) -> None:
        """Begin the trace; one without a single step is removed in the end."""
        from impasto.paint.trace import Trace
        from impasto.pictures.metadata import made

        path = self.paths.trace
        if path is None:
            return
        with _writing(path):
            stream = path.open("w" if self.paths.overwrite else "x", encoding="utf-8", newline="\n")
            stack.callback(self._close_trace, path, stream)
            self.trace = Trace(stream, made(self.transfer.recipe, self.transfer.scene.inputs))

    def _close_trace(self, path: Path, stream: TextIO) -> None:
        with suppress(OSError):
            stream.close()
        if not self.count:
            path.unlink(missing_ok=True)

    def _write_extras(self, progress: Progress) -> None:
        """The trace's line and, every so often, the preview; raises OutputError."""
        if self.trace is not None and self.paths.trace is not None:
            with _writing(self.paths.trace):
                self.trace.add(progress)
        if self.paths.preview is not None and self.count % self.paths.preview_every == 0:
            from impasto.pictures.encode import write
            from impasto.pictures.metadata import made

            alpha = self.transfer.scene.alpha_at(progress.size)
            write(self.paths.preview, progress.image(), alpha, metadata=made(self.transfer.recipe), overwrite=True)

    def _rescue(self, failure: Exception) -> NoReturn:
        """Save the best picture before the failure, if there is one, and raise it."""
        best = getattr(failure, "result", None)
        if best is None and self.last is None:
            raise failure
        try:
            self._save(best or self.transfer.result())
        except Exception as second:  # the first failure is the one to report
            failure.add_note(f"the best picture could not be saved either: {second}")
            raise failure from None
        saved = f"the best picture so far is saved in {self.paths.output}"
        if not isinstance(failure, ImpastoError):
            self.console.line(saved)
            raise failure
        raise type(failure)(f"{failure}; {saved}") from failure

    def _save(self, result: Result) -> None:
        """Save to the target or, should that have become impossible meanwhile, to the folder for temporary files."""
        try:
            result.save(self.paths.output, overwrite=self.paths.overwrite)
        except OutputError as error:
            elsewhere = Path(tempfile.mkdtemp(prefix="impasto-")) / f"{self.paths.output.stem}.png"
            try:
                result.save(elsewhere)
            except OutputError:
                elsewhere.parent.rmdir()
                raise error from None
            raise OutputError(f"{error}; the picture is in {elsewhere} instead") from error
        if self.paths.preview is not None:
            with suppress(OSError):
                self.paths.preview.unlink()


@contextmanager
def _writing(trace: Path) -> Iterator[None]:
    """Turn what goes wrong with the trace into an OutputError."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or shown(error)
        raise OutputError(f"{shown(trace)}: cannot be written ({why}); choose another place for the trace") from None
