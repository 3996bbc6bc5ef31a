"""One job of many by name: the hash of its inputs and its recipe, and the file that its result gets."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from impasto.errors import OptionError
from impasto.known import KNOWN
from impasto.recipe import Recipe
from impasto.runner import INITS

__all__ = ["Task", "file_names", "split_net"]

SPEED = ("device", "max_memory", "tile")  # fields of Recipe that change no picture
FORMS = ("@caffe", "@torchvision")  # what may follow the path of a weights file
KEY, LONG_KEY = 8, 16  # digits of the key in a file's name; the second for two jobs whose names would be the same
LONGEST = 200  # bytes of a name before its key, so that all of it stays below the 255 that file systems take


@dataclass(frozen=True)
class Task:
    """One job: paths of the pictures, the recipe, and `place`, where its result belongs.

    `place` is relative to the output folder, with / on every system, without key and suffix: `holiday/beach-night`.
    """

    content: str
    styles: tuple[str, ...]
    recipe: Recipe
    place: str

    @functools.cached_property
    def key(self) -> str:
        """Hash (hex) of the bytes of all inputs and of the recipe, but for what changes its speed only."""
        recipe = self.recipe.model_dump(mode="json", exclude=set(SPEED))
        init, (net, form) = self.recipe.init, split_net(self.recipe.net)
        known = KNOWN.get(net)
        made_of = {
            "content": _digest(self.content),
            "styles": [_digest(style) for style in self.styles],
            "recipe": {
                **recipe,
                "init": init if init in INITS else _digest(init),
                "net": known.checksum if known is not None else _digest(net) + form,
            },
        }
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode("ascii")).hexdigest()


def file_names(tasks: Sequence[Task], suffix: str) -> list[str]:
    """The file of each task relative to the folder; only equal jobs have the same."""
    short = [_name(task, KEY, suffix) for task in tasks]
    keys: dict[str, set[str]] = {}
    for name, task in zip(short, tasks, strict=True):
        keys.setdefault(name, set()).add(task.key)
    return [
        name if len(keys[name]) == 1 else _name(task, LONG_KEY, suffix) for name, task in zip(short, tasks, strict=True)
    ]


def _name(task: Task, digits: int, suffix: str) -> str:
    place = PurePosixPath(task.place)
    if not place.name or place.is_absolute() or ".." in place.parts or "\0" in task.place:
        raise OptionError(f"place: {task.place!r} is no name below the output folder")
    return str(place.with_name(f"{_cut(place.name)}-{task.key[:digits]}{suffix}"))


def _cut(name: str) -> str:
    """A name of at most LONGEST bytes.

    >>> _cut("beach-night"), len(_cut("é" * 300).encode())
    ('beach-night', 200)
    """
    while len(name.encode("utf-8", "surrogateescape")) > LONGEST:
        name = name[:-1]
    return name


def split_net(net: str) -> tuple[str, str]:
    """Path of a weights file and the form that follows it, as `weights.load` understands them."""
    form = next((form for form in FORMS if net.endswith(form) and not os.path.lexists(net)), "")
    return net.removesuffix(form), form


def _digest(path: str) -> str:
    """SHA-256 of a file; of a file that cannot be read, something that no file has."""
    try:
        about = os.stat(path)  # noqa: PTH116  (Path.stat has no other way to say that a name is impossible)
        return _hashed(path, about.st_size, about.st_mtime_ns, about.st_ino)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return f"unreadable {path}"


@functools.lru_cache(maxsize=4096)
def _hashed(path: str, *_: int) -> str:
    """SHA-256 of a file that is as its size and time say; the same style is one of many jobs."""
    if not Path(path).is_file():  # a pipe would wait for ever
        return f"unreadable {path}"
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
