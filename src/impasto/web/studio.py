"""What the page can ask for, without HTTP: pictures taken in, jobs begun, sweeps, words to take away.

Raises ImpastoError for whatever cannot be done, KeyError for what is not here.
"""

from __future__ import annotations

import itertools
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from impasto.errors import KINDS, ImageReadError, ImpastoError, OptionError
from impasto.recipe import Recipe
from impasto.web.events import Hub
from impasto.web.process import DiedError, Process
from impasto.web.queue import MOST, Queue
from impasto.web.records import PREVIEW, RESULT, Job, Picture
from impasto.web.store import Store, new_id, plain_file
from impasto.web.wishes import NAMED, JobBody, SweepBody, changed, ids_of, recipe_of, writable

__all__ = ["FullError", "Studio"]

SIDES = (64, 4096)  # px: longer sides that a view may have
READING, LOOKING = 60.0, 30.0  # seconds that a picture, and an estimate, may take
MOST_CELLS = 36
SUFFIXES = {"png": ".png", "jpg": ".jpg", "jpeg": ".jpg", "webp": ".webp", "tif": ".tif", "tiff": ".tif"}


class FullError(ImpastoError):
    """There are as many jobs as may wait."""


class Studio:
    """Everything behind the page: the store, the queue, and the process that reads pictures."""

    def __init__(self, folder: Path, memory: float = 0.0) -> None:
        self.store = Store(folder)
        self.hub = Hub()
        self.memory = memory
        self.queue = Queue(self.store, self.hub, memory)
        self.reader = Process("reader")

    def start(self) -> None:
        """Have the processes ready before they are needed."""
        self.reader.start()
        for device in {"auto"} | {job.device for job in self.store.jobs.values() if job.state == "queued"}:
            self.queue.start(device)

    def ending(self) -> None:
        """All is to end: end the streams, which never would, and let the processes know. On the server's loop."""
        self.hub.close()
        self.reader.send({"kind": "end"})
        self.queue.ending()

    def close(self) -> None:
        """End all processes; nothing is lost."""
        self.queue.close()
        self.reader.kill()
        self.store.close()

    # pictures

    def take_in(self, place: Path, name: str, kind: str = "picture") -> dict[str, Any]:
        """A picture whose file has come; what is wrong with it leaves nothing behind."""
        try:
            answer = self._ask({"kind": "picture", "folder": str(place), "name": name}, READING, name)
            picture = self.store.add_picture(place, name, kind, answer["found"])
        except BaseException:
            self.discard(place)
            raise
        key = picture.id
        self.hub.tell("picture", key, lambda: picture.told() if key in self.store.pictures else None)
        return self.told(picture)

    def discard(self, place: Path) -> None:
        """Remove what has come of a picture that did not come."""
        shutil.rmtree(place, ignore_errors=True)

    def told(self, picture: Picture) -> dict[str, Any]:
        """What is said of a picture; of one that impasto made, how, as far as it can be repeated here."""
        told = picture.told()
        if picture.recipe is None:
            return told
        with suppress(OptionError):
            made = {role: [self.store.by_hash(one) for one in several] for role, several in picture.made_of.items()}
            told["recipe"] = changed(Recipe(**writable(picture.recipe)))
            told["inputs"] = {
                "content": next(iter(made.get("content", [])), None),
                "styles": made.get("styles", []),
                **{role: made[role] for role in NAMED if role in made},
            }
        return told

    def pictures(self) -> list[dict[str, Any]]:
        """All pictures, newest first."""
        several = sorted(self.store.pictures.values(), key=lambda one: -one.created)
        return [self.told(one) for one in several]

    def remove_picture(self, key: str) -> None:
        """Forget a picture; raises OptionError for one that a job needs."""
        busy = [job for job in list(self.store.jobs.values()) if job.state in ("queued", "running")]
        if any(key in (job.content, *job.styles, *_mask_ids(job)) for job in busy):
            raise OptionError("a picture that is being painted needs it; stop that one first")
        self.store.remove_picture(key)
        self.hub.tell("picture", key, lambda: {"id": key, "deleted": True})

    def view(self, key: str, side: int) -> Path:
        """The file of a small version; `side` 0 is the thumbnail."""
        picture = self.store.pictures[key]
        folder = self.store.picture_folder(key)
        side = side and min(max(side, SIDES[0]), SIDES[1])
        path = folder / (f"view-{side}.webp" if side else "thumbnail.webp")
        if not plain_file(path):
            original = str(self.store.original(picture))
            asked = {"kind": "view", "path": original, "name": picture.name, "side": side or 256, "to": str(path)}
            self._ask(asked, READING, picture.name)
        return path

    # jobs

    def estimate(self, body: JobBody) -> tuple[Recipe, dict[str, Any]]:
        """The recipe that is asked for, and what it will take; raises OptionError and MemoryShortError."""
        recipe = recipe_of(body)
        for role, keys in ids_of(body).items():
            for key in keys:
                if key not in self.store.pictures:
                    raise OptionError(f"{role}: there is no picture {key[:40]!r} here")
        if body.start is not None and body.start not in self.store.jobs:
            raise OptionError(f"start: there is no job {body.start[:40]!r} here")
        if recipe.instant and body.start is not None:
            raise OptionError("start: one pass begins from the photo; leave it out")
        sizes = [(one.height, one.width) for one in map(self.store.pictures.__getitem__, [body.content, *body.styles])]
        own = recipe.replace(max_memory=self.memory) if self.memory and not recipe.max_memory else recipe
        asked = {"kind": "estimate", "recipe": _json(own), "content": sizes[0], "styles": sizes[1:]}
        found = self._ask(asked, LOOKING, "the estimate")
        pace = self.queue.pace(changed(recipe))
        return recipe, {**found, "seconds": pace * found["work"] if found["work"] else 1.0 * recipe.instant}

    def begin(self, body: JobBody, sweep: str | None = None) -> Job:
        """Let a job wait for its turn; raises FullError, OptionError, MemoryShortError."""
        if self.queue.waiting() >= MOST:
            raise FullError(f"{MOST} pictures wait already; try again later")
        recipe, found = self.estimate(body)
        given = {name: value for name, value in changed(recipe).items() if name not in NAMED}
        job = Job(
            id=new_id(),
            number=0,
            content=body.content,
            styles=body.styles,
            recipe=given,
            masks={name: value for name, value in body.masks.model_dump().items() if value},
            draft=body.draft and not recipe.instant and body.start is None,
            start=body.start,
            sweep=sweep,
            width=found["width"],
            height=found["height"],
            memory=found["memory"],
            expected=found["seconds"],
            work=found["work"],
            device=found["device"],
        )
        self.queue.add(job)
        return job

    def sweep(self, body: SweepBody) -> dict[str, Any]:
        """A job for every combination of one or two options' values."""
        names = list(body.vary)
        unknown = [name for name in names if name not in Recipe.model_fields]
        if unknown:
            raise OptionError(f"vary: there is no option {unknown[0][:60]!r}")
        cells = list(itertools.product(*body.vary.values()))
        if not 1 <= len(cells) <= MOST_CELLS:
            raise OptionError(f"vary: {len(cells)} pictures; give 1 to {MOST_CELLS}")
        bodies = [
            body.job.model_copy(update={"recipe": {**body.job.recipe, **dict(zip(names, cell, strict=True))}})
            for cell in cells
        ]
        for one in bodies:
            recipe_of(one)  # all are right before the first is begun
        if self.queue.waiting() + len(cells) > MOST:
            raise FullError(f"{MOST} pictures wait at most; try again later")
        key = new_id()
        jobs = [self.begin(one, key).id for one in bodies]
        axes = [{"field": name, "values": values} for name, values in body.vary.items()]
        found = {"id": key, "jobs": jobs, "rows": axes[0], "columns": axes[1] if len(axes) > 1 else None}
        self.store.add_sweep(key, found)
        return found

    def preview(self, job: Job) -> Path:
        """The newest picture of a job, small."""
        return self._of(job, PREVIEW)

    def picture(self, job: Job, form: str) -> tuple[Path, str]:
        """A job's picture as a file of a format, and its name to take away."""
        suffix = SUFFIXES.get(form.lower())
        if suffix is None:
            raise OptionError(f"format: {form[:40]!r} is not written; use png, jpg, webp or tif")
        path = self._of(job, RESULT)
        if suffix != ".png":
            other = path.with_suffix(suffix)
            if not plain_file(other) or other.stat().st_mtime < path.stat().st_mtime:
                self._ask({"kind": "convert", "path": str(path), "to": str(other)}, READING, "the picture")
            path = other
        parts = [self.store.pictures[one].name for one in (job.content, *job.styles[:1]) if one in self.store.pictures]
        stem = "-".join(Path(part).stem for part in parts) or "picture"
        return path, f"{stem}-{job.id[:6]}{suffix}"

    def _of(self, job: Job, name: str) -> Path:
        path = self.store.job_folder(job.id) / name
        if not plain_file(path):
            raise KeyError(name)
        return path

    def _ask(self, message: dict[str, Any], timeout: float, name: str) -> dict[str, Any]:
        """What the reader says; its death is that of one picture."""
        try:
            answer = self.reader.ask(message, timeout)
        except DiedError as error:
            raise ImageReadError(f"{name}: cannot be read ({error}); it may be damaged or too large") from None
        if answer["kind"] == "failure":
            raise KINDS.get(answer["failure"], ImpastoError)(answer["error"])
        return answer


def _mask_ids(job: Job) -> list[str]:
    masks = job.masks
    return [*masks.get("mask", []), *masks.get("style_mask", []), masks.get("keep") or ""]


def _json(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude=set(NAMED))
