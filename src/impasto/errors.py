"""Every error that impasto raises on purpose, and the exit status of the command line for each.

    ImpastoError                    1  anything of ours; never raised itself
    ├── OptionError (ValueError)    2  an option, a recipe or a device that cannot be used
    ├── ImageReadError (OSError)    3  a picture that cannot be read
    ├── WeightsError                4  network weights that are missing, damaged or foreign
    ├── RunError                    5  the run could not go on
    │   ├── DivergenceError            the loss stopped being a number, three times
    │   ├── MemoryShortError           not enough memory for this size
    │   └── SomeFailedError            some of many pictures could not be painted
    └── OutputError (OSError)       6  a result that cannot be written

Each message is one line that names the thing, its value and the remedy.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import PurePath

from impasto.text import shown

__all__ = [
    "NO_MEMORY",
    "DivergenceError",
    "Failure",
    "ImageReadError",
    "ImpastoError",
    "MemoryShortError",
    "OptionError",
    "OutputError",
    "RunError",
    "SomeFailedError",
    "WeightsError",
    "memory_short",
]

SHORT = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "defaultcpuallocator")
NO_MEMORY = "not enough memory; use a smaller --size, or smaller pictures"


class ImpastoError(Exception):
    """Base of every error of ours; `exit_status` is what the command line returns."""

    exit_status = 1


class OptionError(ImpastoError, ValueError):
    """An option, a recipe or a device that cannot be used."""

    exit_status = 2


class ImageReadError(ImpastoError, OSError):
    """A picture that cannot be read: missing, damaged, too large, or no picture at all."""

    exit_status = 3


class WeightsError(ImpastoError):
    """Network weights that are missing, damaged, or not a VGG-19."""

    exit_status = 4


class RunError(ImpastoError):
    """The run could not go on; `result` holds the best finite picture, if there is one."""

    exit_status = 5

    def __init__(self, message: str, result: object | None = None) -> None:
        super().__init__(message)
        self.result = result


class DivergenceError(RunError):
    """The loss or its gradient stopped being a finite number and did not recover."""


class MemoryShortError(RunError):
    """There is not enough memory for a picture of this size."""


class SomeFailedError(RunError):
    """Some of many pictures could not be painted; the others are there."""


class OutputError(ImpastoError, OSError):
    """A result that cannot be written to its place."""

    exit_status = 6


def memory_short(error: BaseException) -> bool:
    """Whether an error means that memory has run out; torch says so in several ways, by device."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and any(one in text for one in SHORT))


KINDS: dict[str, type[ImpastoError]] = {
    "option": OptionError,
    "picture": ImageReadError,
    "weights": WeightsError,
    "diverged": DivergenceError,
    "memory": MemoryShortError,
    "some": SomeFailedError,
    "run": RunError,
    "output": OutputError,
    "bug": ImpastoError,
}


@dataclass(frozen=True)
class Failure:
    """An error as data, for another process, a list or a page: a kind of KINDS, and one line."""

    kind: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """The failure that an error is; one that is not of ours is a bug, unless memory has run out."""
        text = " ".join(str(error).split())
        for kind, own in KINDS.items():
            if type(error) is own:
                return cls(kind, text)
        if memory_short(error):
            return cls("memory", NO_MEMORY)
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {PurePath(last.filename).name}:{last.lineno}"
        return cls("bug", f"this is a bug ({where}: {shown(text)[:200]}); please report it")

    @property
    def exit_status(self) -> int:
        """What the command line returns for it."""
        return KINDS[self.kind].exit_status
