"""Words for people: names as printable lines, times, lists of losses, suggestions. Imports no torch."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable

__all__ = ["duration", "listed", "nearest", "shown", "switched_on"]


def shown(text: object) -> str:
    r"""A name or message as one printable line, with control characters and undecodable bytes escaped.

    >>> print(shown("a\nb\x1b[2J.png"))
    a\nb\x1b[2J.png
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def switched_on(name: str) -> bool:
    """Whether an environment variable says yes.

    >>> os.environ["IMPASTO_EXAMPLE"] = "0"
    >>> switched_on("IMPASTO_EXAMPLE")
    False
    """
    return os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")


def duration(seconds: float) -> str:
    """Time as people say it.

    >>> duration(4.25), duration(59.7), duration(3725)
    ('4.2 s', '1:00', '1:02:05')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def listed(losses: Iterable[tuple[str, float]]) -> str:
    """Losses by name in one line.

    >>> listed([("content", 0.51234), ("style", 0.0021)])
    'content 0.5123, style 0.0021'
    """
    return ", ".join(f"{name} {value:.4g}" for name, value in losses)


def nearest(word: str, names: Iterable[str]) -> str:
    """The name most like `word`, for a suggestion in an error.

    >>> nearest("relu4_9", ["relu4_1", "conv4_4"])
    'relu4_1'
    """
    return difflib.get_close_matches(word.lower(), list(names), n=1, cutoff=0.0)[0]
