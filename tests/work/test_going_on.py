"""Jobs that are stopped while they are painted, and go on in the middle."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from impasto.paint import checkpoint
from impasto.paint.transfer import Transfer
from impasto.recipe import Recipe
from impasto.work import jobs
from impasto.work.events import Event, Note, Share
from impasto.work.interrupts import Interrupted
from impasto.work.job import Job

RECIPE = Recipe(size=24, iterations=(8, 6), levels=2, device="cpu", max_memory=4.0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every step be written, of jobs that are never so short."""
    for name, value in {"EVERY": 0.0, "SHARE": math.inf, "LONG": 0.0}.items():
        monkeypatch.setattr(checkpoint, name, value)


def made() -> list[Job]:
    pairs = {"one.png": "two.png", "two.png": "one.png"}
    return [Job(content, (style,), RECIPE, f"sub/{content[:3]}") for content, style in pairs.items()]


def stopping(event: Event) -> None:
    """Stop in the second job."""
    if isinstance(event, Share) and event.number == 1 and event.share > 0.5:
        raise KeyboardInterrupt


def written(out: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in Path(out).rglob("*"):
        if path.is_file() and path.name != "manifest.jsonl":
            text = path.suffix == ".jsonl"
            lines = [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()] if text else []
            found[path.relative_to(out).as_posix()] = lines if text else path.read_bytes()
    return found


def test_a_job_goes_on_to_the_same_files(gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.run(made(), Path("whole"), extras=True)
    with pytest.raises(Interrupted, match="1 of 2 pictures are finished"):
        jobs.run(made(), Path("out"), extras=True, tell=stopping)
    (kept,) = Path("out").glob("*.checkpoint")
    assert kept.stem == made()[1].key[:16]
    begun = []
    steps = Transfer.steps
    monkeypatch.setattr(Transfer, "steps", lambda self: begun.append(self.taken) or steps(self))
    assert [entry.status for entry in jobs.run(made(), Path("out"), extras=True)] == ["kept", "done"]
    assert begun[0] >= 8
    assert written("out") == written("whole")


def test_one_that_does_not_fit_is_begun_anew_and_one_that_cannot_be_written_is_told_of(
    gallery: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.run(made(), Path("whole"))
    Path("out").mkdir()
    for job in made():
        Path(f"out/{job.key[:16]}.checkpoint").write_bytes(b"something else")
    said: list[Event] = []

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    assert [entry.status for entry in jobs.run(made(), Path("out"), tell=said.append)] == ["done", "done"]
    assert written("out") == written("whole")
    notes = [event.text for event in said if isinstance(event, Note)]
    assert len(notes) == 2
    assert all("cannot be written (No space left on device)" in note for note in notes)
