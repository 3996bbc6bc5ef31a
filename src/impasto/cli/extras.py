"""What a run writes on its way, beside the checkpoint: the trace and the previews."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from impasto import files
from impasto.cli.paths import Paths
from impasto.errors import OutputError
from impasto.text import shown

if TYPE_CHECKING:
    from impasto.paint.result import Progress
    from impasto.paint.trace import Trace
    from impasto.paint.transfer import Transfer

__all__ = ["Extras"]


class Extras:
    """The trace and the previews of a transfer; raises OutputError where one of them cannot be written."""

    def __init__(self, paths: Paths, transfer: Transfer) -> None:
        self.paths, self.transfer = paths, transfer
        self.trace: Trace | None = None
        self.begun = False

    def open(self, stack: ExitStack) -> None:
        """Begin the trace, or go on with it; one without a single step is removed in the end."""
        from impasto.paint.trace import Trace, continued
        from impasto.pictures.metadata import made

        path, transfer = self.paths.trace, self.transfer
        if path is None:
            return
        header = made(transfer.recipe, transfer.scene.inputs)
        with _writing(path):
            if path in self.paths.ours and path.exists():
                text = continued(path.read_text(encoding="utf-8"), header, transfer.taken)
                if text is None:
                    raise OutputError(f"{shown(path)}: is not the trace of this run; move it away")
                self.begun = True
            else:
                text = ""
            stream = path.open("w" if text or self.paths.overwrite else "x", encoding="utf-8", newline="\n")
            stack.callback(self._close, path, stream)
            stream.write(text)
            self.trace = Trace(stream, None if text else header)

    def add(self, progress: Progress) -> None:
        """The trace's line and, every so often, the preview."""
        self.begun = True
        if self.trace is not None and self.paths.trace is not None:
            with _writing(self.paths.trace):
                self.trace.add(progress)
        taken = self.transfer.taken
        preview = self.paths.preview(taken)
        if preview is not None and taken % self.paths.every == 0:
            from impasto.pictures.encode import as_shown, write
            from impasto.pictures.metadata import made

            files.clear(preview)  # a kill may have come in the middle of one
            alpha = self.transfer.scene.alpha_at(progress.size)
            image, alpha = as_shown(progress.image(), alpha, self.paths.suffix)
            write(preview, image, alpha, metadata=made(self.transfer.recipe), overwrite=True)

    def remove(self) -> None:
        """The result is there: take the preview away, unless it is to be kept."""
        path = self.paths.preview()
        if path is not None and not self.paths.keep_previews:
            with suppress(OSError):
                path.unlink()

    def _close(self, path: Path, stream: TextIO) -> None:
        with suppress(OSError):
            stream.close()
        if not self.begun:
            path.unlink(missing_ok=True)


@contextmanager
def _writing(trace: Path) -> Iterator[None]:
    """Turn what goes wrong with the trace into an OutputError."""
    try:
        yield
    except OutputError:
        raise
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or shown(error)
        raise OutputError(f"{shown(trace)}: cannot be written ({why}); choose another place for the trace") from None
