"""What is known of a picture and of a job, and how a job's files are called. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["CHECKPOINT", "PREVIEW", "RESULT", "START", "STATES", "Job", "Picture"]

STATES = ("queued", "running", "stopped", "done", "failed")
# The files of a job.
RESULT, PREVIEW, CHECKPOINT, START = "picture.png", "preview.webp", "run.checkpoint", "start.png"


@dataclass
class Picture:
    """A picture that was given: its file is `original`, with a suffix, in its folder."""

    id: str
    name: str
    width: int
    height: int
    sha256: str
    created: float
    file: str = "original"
    kind: str = "picture"  # or mask
    notices: list[str] = field(default_factory=list)
    recipe: dict[str, Any] | None = None  # of a picture that impasto made
    made_of: dict[str, list[str]] = field(default_factory=dict)  # hashes of what that was made of, by role

    def told(self) -> dict[str, Any]:
        """What programs and the page are told."""
        return {key: getattr(self, key) for key in ("id", "name", "kind", "width", "height", "created", "notices")}


@dataclass
class Job:
    """A picture to be painted, being painted, or painted. `number` counts jobs in the order in which they came."""

    id: str
    number: int
    content: str
    styles: list[str]
    recipe: dict[str, Any]
    masks: dict[str, Any] = field(default_factory=dict)
    draft: bool = False
    start: str | None = None
    sweep: str | None = None
    state: str = "queued"
    created: float = 0.0
    fraction: float = 0.0
    remaining: float | None = None
    losses: dict[str, float] = field(default_factory=dict)
    step: list[int] = field(default_factory=lambda: [0, 0])
    trace: list[list[float]] = field(default_factory=list)
    preview: int = 0
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    notices: list[str] = field(default_factory=list)
    error: str | None = None
    memory: float = 0.0
    expected: float = 0.0
    work: float = 0.0  # pixels to be looked at, for the pace
    device: str = "auto"  # auto, or one that auto does not mean
    attempts: int = 0  # times that it was begun and the server died

    def told(self, *, trace: bool = True) -> dict[str, Any]:
        """What programs and the page are told."""
        hidden = ("work", "device", "attempts", "number", *(() if trace else ("trace",)))
        return {key: value for key, value in vars(self).items() if key not in hidden}
