"""A run written down as it goes: JSON Lines, a header and then one line for every step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from impasto.paint.result import Progress

__all__ = ["Trace", "continued"]


class Trace:
    """Lines in a text stream, complete up to the last step whenever it is looked at; `header` is the first, if any.

    Raises OSError where the stream does.
    """

    def __init__(self, stream: TextIO, header: Mapping[str, Any] | None) -> None:
        self._stream = stream
        if header is not None:
            self._line(header)

    def add(self, progress: Progress) -> None:
        """Add a step; a loss that is not a number is null."""
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

    def _line(self, record: Mapping[str, Any]) -> None:
        self._stream.write(_text(record))
        self._stream.flush()


def continued(text: str, header: Mapping[str, Any], steps: int) -> str | None:
    """What stands of a trace where its run goes on after so many steps; None where it is another run's."""
    first, *rest = text.splitlines(keepends=True) or [""]
    return "".join([first, *rest[:steps]]) if first == _text(header) else None


def _text(record: Mapping[str, Any]) -> str:
    return json.dumps(record, allow_nan=False) + "\n"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
