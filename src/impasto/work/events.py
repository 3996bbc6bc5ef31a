"""What happens while many pictures are painted: facts, for whoever shows them in words or bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from impasto.errors import Failure

__all__ = ["Begun", "Drawn", "Ended", "Event", "Fetching", "Note", "Share", "Tell"]


@dataclass(frozen=True)
class Note:
    """Something worth knowing, in one line."""

    text: str


@dataclass(frozen=True)
class Fetching:
    """So many bytes of a network have come, of so many."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class Begun:
    """So many pictures are to be painted into a folder; `kept` are there already."""

    count: int
    kept: int
    folder: Path


@dataclass(frozen=True)
class Share:
    """A share 0…1 of one picture is done; `number` counts the pictures to be painted from 0."""

    number: int
    share: float


@dataclass(frozen=True)
class Ended:
    """One picture is done with; `place` counts those done with, of `count`; `failure` says what went wrong."""

    number: int
    place: int
    count: int
    file: Path | None
    seconds: float
    losses: Mapping[str, float]
    failure: Failure | None


@dataclass(frozen=True)
class Drawn:
    """The sheets and the page of a sweep are there."""

    files: tuple[Path, ...]


Event = Note | Fetching | Begun | Share | Ended | Drawn
Tell = Callable[[Event], None]
