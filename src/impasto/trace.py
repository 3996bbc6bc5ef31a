"""A run written down as it goes: JSON Lines, a header and then one line for every step."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import OutputError, shown

if TYPE_CHECKING:
    from impasto.transfer import Progress

__all__ = ["Trace"]


class Trace:
    """A file `NAME.jsonl` that is complete up to the last step, whenever it is looked at.

    Raises OutputError where it cannot be written.
    """

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.path = path
        self.overwrite = overwrite
        self.steps = 0
        if os.path.lexists(path) and not overwrite:
            raise OutputError(f"{shown(path)}: exists already; choose another name, or --overwrite")
        if not path.parent.is_dir():
            raise OutputError(f"{shown(path)}: the folder {shown(path.parent)} does not exist; make it first")

    def open(self, header: Mapping[str, Any]) -> None:
        """Begin the file with `header`."""
        try:
            self.file = self.path.open("w" if self.overwrite else "x", encoding="utf-8", newline="\n")
        except (OSError, ValueError) as error:
            raise self._failure(error) from None
        self._line(header)

    def add(self, progress: Progress) -> None:
        """Add a step; a loss that is no number is null."""
        self._line(
            {
                "level": progress.level,
                "levels": progress.levels,
                "width": progress.size[1],
                "height": progress.size[0],
                "step": progress.step,
                "loss": _number(progress.loss),
                "losses": {name: _number(value) for name, value in progress.losses.items()},
                "seconds": round(progress.seconds, 4),
            }
        )
        self.steps += 1

    def close(self) -> None:
        """Close the file; one without a single step is removed."""
        with suppress(OSError):
            self.file.close()
            if not self.steps:
                self.path.unlink()

    def _line(self, record: Mapping[str, Any]) -> None:
        try:
            self.file.write(json.dumps(record, allow_nan=False) + "\n")
            self.file.flush()
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> OutputError:
        why = getattr(error, "strerror", None) or shown(error)
        return OutputError(f"{shown(self.path)}: cannot be written ({why}); choose another place for the trace")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
