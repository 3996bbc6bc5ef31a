"""What the process that paints has to know of a job. Imports no torch."""

from __future__ import annotations

from typing import Any

from impasto.errors import OptionError
from impasto.web.records import PREVIEW, RESULT, START, Job
from impasto.web.store import Store
from impasto.web.wishes import NAMED

__all__ = ["order"]


def order(store: Store, job: Job, memory: float) -> dict[str, Any]:
    """What the process has to know; raises OptionError for pictures that are no longer here."""
    recipe = dict(job.recipe)
    masks = [*job.masks.get("mask", []), *job.masks.get("style_mask", []), job.masks.get("keep")]
    named = {key: _file(store, key, "mask") for key in masks if key in store.pictures}
    for name in NAMED:
        if job.masks.get(name):
            recipe[name] = job.masks[name]
    place = store.job_folder(job.id) / START
    if job.start is not None and not place.is_file():
        _take_start(store, job)
    if place.is_file():
        recipe["init"] = START
        named[START] = {"path": str(place), "name": START}
    return {
        "job": job.id,
        "folder": str(store.job_folder(job.id)),
        "content": _file(store, job.content, "photo"),
        "styles": [_file(store, one, "painting") for one in job.styles],
        "recipe": recipe,
        "files": named,
        "draft": job.draft,
        "memory": memory,
        "preview": job.preview,
    }


def _take_start(store: Store, job: Job) -> None:
    """Keep the picture of another job, as it is now, as the start of this one."""
    other = store.jobs.get(job.start or "")
    names = (PREVIEW, RESULT) if other is not None and other.state == "running" else (RESULT, PREVIEW)
    folder = store.job_folder(job.start or "")
    for name in names:
        if other is not None and (folder / name).is_file():
            data = (folder / name).read_bytes()
            temporary = store.job_folder(job.id) / f"{START}.tmp"
            temporary.write_bytes(data)
            temporary.replace(temporary.with_name(START))
            return
    job.notices.append("the picture to begin from is not there; it begins from the photo")


def _file(store: Store, key: str, role: str) -> dict[str, str]:
    picture = store.pictures.get(key)
    if picture is None:
        raise OptionError(f"the {role} is no longer here; drop it again and begin anew")
    return {"path": str(store.original(picture)), "name": picture.name}
