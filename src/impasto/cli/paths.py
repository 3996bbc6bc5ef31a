"""The files of one transfer on the command line: what is read, what is written, and that no two are the same."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto import files
from impasto.errors import OptionError
from impasto.recipe import Recipe
from impasto.work.job import NETWORK, reads

if TYPE_CHECKING:
    from impasto.paint.checkpoint import Checkpoint

__all__ = ["Paths"]

BESIDE = ".checkpoint"  # after the name of a result
OFTEN = 10  # steps between previews that are kept, unless it is said


@dataclass(frozen=True)
class Paths:
    """What is read and what is written; `origin` is what the picture says whose recipe is repeated, if any.

    `checkpoint`: None where it lies beside the result and is for long runs only, unless `kept` is False. `ours`: files
    that this run has written before it was stopped.
    """

    content: str
    styles: tuple[str, ...]
    output: Path
    recipe: Path | None = None
    trace: Path | None = None
    preview_every: int = 0
    keep_previews: bool = False
    checkpoint: Path | None = None
    kept: bool = True
    overwrite: bool = False
    origin: Mapping[str, Any] = field(default_factory=dict)
    ours: frozenset[Path] = frozenset()

    @property
    def every(self) -> int:
        """Steps from one preview to the next; 0 for none."""
        return self.preview_every or OFTEN * self.keep_previews

    def preview(self, count: int = 0) -> Path | None:
        """Where the preview goes after so many steps."""
        number = f"-{count:04}" if self.keep_previews else ""
        return self.output.with_suffix(f".preview{number}.png") if self.every else None

    @property
    def checkpoints(self) -> Path | None:
        """Where the checkpoint goes."""
        beside = self.output.with_name(self.output.name + BESIDE) if self.kept else None
        return self.checkpoint or beside

    def found(self) -> Checkpoint | None:
        """The checkpoint that is there already; one beside a result to be replaced may be anything."""
        path = self.checkpoints
        if path is None or not os.path.lexists(path):
            return None
        from impasto.paint import checkpoint

        try:
            return checkpoint.read(path)
        except OptionError:
            if self.checkpoint is None and self.overwrite:
                return None
            raise

    def after(self, found: Checkpoint) -> Paths:
        """The same, where the run goes on: it may replace what it has written, if that is as it left it."""
        ours = {self.trace} if self.trace is not None else set()  # whose it is, its first line says
        latest = self.preview()
        if latest is not None:
            ours.add(latest)
        if _sha256(self.output) == found.said.get("saved", ""):
            ours.add(self.output)
        return replace(self, ours=frozenset(ours))

    def check(self, recipe: Recipe) -> None:
        """Make sure, before any work, that everything can be written and nothing is written over."""
        from impasto.pictures.encode import check_target

        read = reads(self.content, self.styles, recipe)
        check_target(self.output, overwrite=self.replaces(self.output), inputs=read.values())
        written: dict[str, Path | None] = {"the result": self.output, "the trace": self.trace}
        if not self.keep_previews:
            written["the preview"] = self.preview()
        written["the checkpoint"] = self.checkpoints
        replaced = [name for name in read if name != NETWORK]
        if self.recipe is not None:
            read["the recipe"] = str(self.recipe)
            replaced += ["the recipe"] * bool(self.origin)  # a picture that is made anew
        written.update({f"preview {number}": path for number, path in enumerate(self._series(), 1)})
        files.check_apart(read, {name: path for name, path in written.items() if path is not None}, replaced)
        for name, path in written.items():
            if path is not None and name not in ("the result", "the checkpoint"):
                files.check_place(path, overwrite=self.replaces(path))
        if self.checkpoint is not None:  # what is there already has been read
            files.check_place(self.checkpoint, overwrite=True)

    def replaces(self, path: Path) -> bool:
        """Whether a file that is there may be replaced."""
        return self.overwrite or path in self.ours

    def _series(self) -> Iterator[Path]:
        """Previews that are there already, of a run that keeps them; not where it goes on."""
        if self.keep_previews and not self.ours:
            pattern = re.escape(self.output.with_suffix("").name) + r"\.preview-\d+\.png"
            beside = sorted(self.output.parent.iterdir()) if self.output.parent.is_dir() else []
            yield from (path for path in beside if re.fullmatch(pattern, path.name))


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
