"""The files of one transfer on the command line: what is read, what is written, and that no two are the same."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto import files
from impasto.cli import streams
from impasto.cli.streams import STANDARD
from impasto.errors import OptionError
from impasto.files import FORMATS
from impasto.recipe import Recipe
from impasto.text import shown
from impasto.work.job import NETWORK, reads, shortened

if TYPE_CHECKING:
    from impasto.paint.checkpoint import Checkpoint

__all__ = ["Paths", "target"]

BESIDE = ".checkpoint"  # after the name of a result
SEPARATORS = tuple(one for one in (os.sep, os.altsep) if one)
OFTEN = 10  # steps between previews that are kept, unless it is said


@dataclass(frozen=True)
class Paths:
    """What is read and what is written; `origin` is what the picture says whose recipe is repeated, if any.

    `checkpoint`: None where it lies beside the result and is for long runs only, unless `kept` is False. `form`: the
    suffix of the result's format, where its name has none. `ours`: files that this run has written before it was
    stopped. A picture or a result that is called - is on standard input or output.
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
    form: str = ""
    keep_exif: bool = False
    overwrite: bool = False
    origin: Mapping[str, Any] = field(default_factory=dict)
    ours: frozenset[Path] = frozenset()

    @property
    def piped(self) -> bool:
        """Whether the result goes to standard output."""
        return str(self.output) == STANDARD

    @property
    def suffix(self) -> str:
        """Of the result's format."""
        return self.form or (".png" if self.piped else self.output.suffix)

    @property
    def beside(self) -> Path:
        """What the files beside the result are named after."""
        return Path("stdout") if self.piped else self.output

    @property
    def every(self) -> int:
        """Steps from one preview to the next; 0 for none."""
        return self.preview_every or OFTEN * self.keep_previews

    def preview(self, count: int = 0) -> Path | None:
        """Where the preview goes after so many steps."""
        number = f"-{count:04}" if self.keep_previews else ""
        return self.beside.with_suffix(f".preview{number}.png") if self.every else None

    @property
    def checkpoints(self) -> Path | None:
        """Where the checkpoint goes."""
        beside = self.output.with_name(self.output.name + BESIDE) if self.kept and not self.piped else None
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
        if not self.piped and _sha256(self.output) == found.said.get("saved", ""):
            ours.add(self.output)
        return replace(self, ours=frozenset(ours))

    def check(self, recipe: Recipe) -> None:
        """Make sure, before any work, that everything can be written and nothing is written over."""
        read = {what: name for what, name in reads(self.content, self.styles, recipe).items() if name != STANDARD}
        written: dict[str, Path | None] = {"the result": None if self.piped else self.output, "the trace": self.trace}
        if self.piped:
            streams.check()
        else:
            from impasto.pictures.encode import check_target

            replaces = self.replaces(self.output)
            check_target(self.output, overwrite=replaces, inputs=read.values(), suffix=self.suffix)
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
            pattern = re.escape(self.beside.with_suffix("").name) + r"\.preview-\d+\.png"
            folder = self.beside.parent
            beside = sorted(folder.iterdir()) if folder.is_dir() else []
            yield from (path for path in beside if re.fullmatch(pattern, path.name))


def target(output: str, content: str, styles: Sequence[str], form: str | None) -> Path:
    """Where the result goes: to `output` or, if that is a folder, to a file in it that is named after the pictures.

    Raises OptionError for a name that says another format than `form`.
    """
    path, wanted = Path(output), FORMATS[form] if form else ".png"
    if os.path.isdir(output) or output.endswith(SEPARATORS):  # noqa: PTH112  (as in batch)
        photo, *paintings = (_plain(name) for name in (content, *styles))
        return path / (shortened(f"{photo}-{'+'.join(paintings)}") + wanted)
    if form and path.suffix and FORMATS.get(path.suffix[1:].lower()) != wanted:
        raise OptionError(f"--format: {form} is not what {shown(output)} says; leave it out, or choose another name")
    return path


def _plain(name: str) -> str:
    """A picture's name as a part of another file's, on every system."""
    stem = "stdin" if name == STANDARD else Path(name).stem
    return re.sub(r"[^\w.+-]+", "-", stem).strip(" .-") or "picture"


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
