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

__all__ = [
    "NO_MEMORY",
    "DivergenceError",
    "ImageReadError",
    "ImpastoError",
    "MemoryShortError",
    "OptionError",
    "OutputError",
    "RunError",
    "SomeFailedError",
    "WeightsError",
    "shown",
]

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
    """A result that cannot be written where it was asked for."""

    exit_status = 6


def shown(text: object) -> str:
    r"""A name or message as one printable line, with control characters and undecodable bytes escaped.

    >>> print(shown("a\nb\x1b[2J.png"))
    a\nb\x1b[2J.png
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
