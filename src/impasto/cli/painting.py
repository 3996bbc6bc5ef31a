"""The steps of one transfer, those who watch them (bar, checkpoint, trace, previews), Ctrl-C, and the saving.

The promise: whatever has been painted by the time something goes wrong is saved.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from impasto import files
from impasto.cli import streams
from impasto.cli.console import Console
from impasto.cli.extras import Extras
from impasto.cli.paths import Paths
from impasto.cli.streams import STANDARD
from impasto.errors import DivergenceError, ImpastoError, OptionError, OutputError
from impasto.text import duration, listed, shown
from impasto.work.interrupts import Interrupted, Interrupts

if TYPE_CHECKING:
    from impasto.paint.result import Progress, Result
    from impasto.paint.transfer import Transfer

__all__ = ["Painting"]


class Painting:
    """The steps of one transfer and what becomes of them."""

    def __init__(self, paths: Paths, transfer: Transfer, console: Console, interrupts: Interrupts) -> None:
        from impasto.paint.checkpoint import LONG, Keeper

        self.paths, self.transfer, self.console, self.interrupts = paths, transfer, console, interrupts
        self.extras = Extras(paths, transfer)
        self.last: Progress | None = None
        self.stopped = False
        self.late: OutputError | None = None  # a trace or preview that could not be written: reported after the saving
        self.called = "to standard output" if paths.piped else str(paths.output)
        self.there = "written to standard output" if paths.piped else f"saved in {paths.output}"
        self.saved = ""  # the hash of the picture that is there
        self.keeper = Keeper(
            paths.checkpoints,
            transfer,
            said=self._said,
            least=0.0 if paths.checkpoint is not None else LONG,
            tell=lambda why: console.notices([why]),
        )
        self._resume()

    def follow(self) -> Result:
        """Take all steps, until they end, fail or are interrupted; save what there is and say how it went."""
        from impasto.paint.run import follow

        paths, scene = self.paths, self.transfer.scene
        height, width = scene.size
        if not self.console.quiet:
            levels, steps = len(scene.sizes), sum(scene.evaluations)
            self.console.line(
                f"painting {self.called}: {width}×{height}, {levels} level{'s' * (levels > 1)}, {steps} steps,"
                f" about {self.transfer.peak / 2**30:.1f} GiB and {duration(self.transfer.expected_seconds())}"
            )
            if self.transfer.taken:
                self.console.line(f"going on from {paths.checkpoints}: {self.transfer.taken} steps are done")
        try:
            with ExitStack() as stack:
                self.extras.open(stack)
                result = follow(self.transfer, self._step)
        except Exception as error:
            self._rescue(error)
        self._save(result)
        self.console.close()
        if self.stopped and self.last is not None:
            place = f"level {self.last.level}/{self.last.levels}, step {self.last.step}/{self.last.steps}"
            raise Interrupted(f"interrupted at {place}; the best picture so far is {self.there}{self._way_on()}")
        self.keeper.remove()
        self.console.line(
            f"painted {self.called} ({width}×{height}, {duration(result.seconds)}; {listed(result.losses.items())})"
        )
        if self.late is not None:
            raise self.late
        return result

    def _resume(self) -> None:
        """Go on from the checkpoint, if there is one; another run's is replaced where that is wished."""
        try:
            if self.keeper.resume() is not None:
                files.clear(self.paths.beside)  # a kill may have come in the middle of a saving
        except OptionError as error:
            if self.paths.checkpoint is not None or not self.paths.overwrite:
                raise
            self.console.notices([f"{error}; it is replaced"])
            self.keeper.kept = True

    def _step(self, progress: Progress) -> bool:
        """Show a step to all who want to see it; whether that was the last one."""
        if self.last is None:
            self.interrupts.patience(self.console.stopping)
        self.last = progress
        self.console.step(progress)
        if self.late is None:
            try:
                self.extras.add(progress)
            except OutputError as error:
                self.late = error
                self.console.notices([f"{error}; the painting goes on without"])
        self.keeper.step(progress)
        self.stopped = self.interrupts.asked
        return self.stopped

    def _said(self) -> dict[str, Any]:
        """What the checkpoint holds for `impasto resume`, and to know our own result by."""
        paths = self.paths
        command = {
            "content": paths.content,
            "styles": list(paths.styles),
            "output": str(paths.output),
            "recipe": paths.recipe and str(paths.recipe),
            "trace": paths.trace and str(paths.trace),
            "preview_every": paths.preview_every,
            "keep_previews": paths.keep_previews,
            "overwrite": paths.overwrite,
            "form": paths.form,
            "keep_exif": paths.keep_exif,
        }
        return {"command": command, "folder": os.getcwd(), "saved": self.saved}  # noqa: PTH109  (text, as it is stored)

    def _way_on(self) -> str:
        if not self.keeper.kept:
            return ""
        if STANDARD in (self.paths.content, *self.paths.styles):
            return "; to go on, give the same command with the same picture on standard input"
        return f"; to go on, give the same command, or impasto resume {shown(shlex.quote(str(self.paths.checkpoints)))}"

    def _rescue(self, failure: Exception) -> NoReturn:
        """Save the best picture before the failure, if there is one, and raise it."""
        best = getattr(failure, "result", None)
        if isinstance(failure, DivergenceError):  # it would again
            self.keeper.remove()
        if best is None and self.last is None:
            raise failure
        try:
            self._save(best or self.transfer.result())
        except Exception as second:  # the first failure is the one to report
            failure.add_note(f"the best picture could not be saved either: {second}")
            raise failure from None
        saved = f"the best picture so far is {self.there}{self._way_on()}"
        if not isinstance(failure, ImpastoError):
            self.console.line(saved)
            raise failure
        raise type(failure)(f"{failure}; {saved}") from failure

    def _save(self, result: Result) -> None:
        """Save to the target or, should that have become impossible meanwhile, to the folder for temporary files.

        Before, the checkpoint is told what will lie there: a run that goes on may replace it.
        """
        output, keep = self.paths.output, self.paths.keep_exif
        if self.keeper.kept or self.stopped:
            self.saved = hashlib.sha256(result.encode(self.paths.suffix, keep_exif=keep)).hexdigest()
            self.keeper.write()
        try:
            if self.paths.piped:
                streams.write(result.encode(self.paths.suffix, keep_exif=keep))
            else:
                replaces = self.paths.replaces(output)
                result.save(output, overwrite=replaces, suffix=self.paths.suffix, keep_exif=keep)
        except OutputError as error:
            elsewhere = Path(tempfile.mkdtemp(prefix="impasto-")) / f"{self.paths.beside.stem}.png"
            try:
                result.save(elsewhere, keep_exif=keep)
            except OutputError:
                elsewhere.parent.rmdir()
                raise error from None
            raise type(error)(f"{error}; the picture is in {elsewhere} instead") from error
        self.extras.remove()
