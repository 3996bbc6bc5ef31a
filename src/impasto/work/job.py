"""One job of many: inputs, a recipe and a place for the result; its key, the hash of what it is made of; its file.

Imports no torch.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from impasto import files
from impasto.errors import OptionError
from impasto.files import Blob
from impasto.network.weights.known import KNOWN, split
from impasto.options import check_word
from impasto.recipe import Recipe
from impasto.text import shown

__all__ = ["LONG_KEY", "NETWORK", "Job", "file_names", "name_of", "reads", "shortened"]

NETWORK = "the network"  # what messages call it
NAMING = ("init", "mask", "style_mask", "keep")  # fields of Recipe that name pictures
SPEED = ("device", "max_memory", "tile")  # fields of Recipe that change no picture
KEY, LONG_KEY = 8, 16  # digits of the key in a file's name; the second for two jobs whose names would be the same
LONGEST = 200  # bytes of a name before its key, so that all of it stays below the 255 that file systems take


@dataclass(frozen=True)
class Job:
    """Pictures, by path or as bytes, the recipe, and `place`, where the result belongs.

    `place` is relative to the output folder, with / on every system, without key and suffix: `holiday/beach-night`.
    A job that is `packed` holds all its files as bytes, so that it is the same work on any machine: `files` are the
    pictures that the recipe names, by these names, and `net` is its network, if any. `suffix` is the format of the
    result, `trace` whether its steps are written down, `memory` the GiB it may take where the recipe leaves it open; 0:
    most of what is free. `checkpoint` is the file it is kept in while it is painted, if it takes long. `keep_exif`:
    whether the result says what the photo does (`Result.save`).
    """

    content: str | Blob
    styles: tuple[str | Blob, ...]
    recipe: Recipe
    place: str = ""
    files: tuple[tuple[str, Blob], ...] = ()
    net: Blob | None = None
    suffix: str = ".png"
    trace: bool = False
    memory: float = 0.0
    checkpoint: str = ""
    keep_exif: bool = False

    @functools.cached_property
    def key(self) -> str:
        """Hash (hex) of the bytes of all inputs and of the recipe, but for what changes its speed only."""
        recipe = self.recipe.model_dump(mode="json", exclude=set(SPEED))
        known, (path, form) = KNOWN.get(self.recipe.net), split(self.recipe.net)
        held = dict(self.files)
        digests = {name: _digest(held.get(name, name)) for name in self.recipe.files().values()}
        for field in NAMING:
            value = recipe[field]
            recipe[field] = (
                digests.get(value, value) if isinstance(value, str) else [digests.get(one, one) for one in value]
            )
        made_of = {
            "content": _digest(self.content),
            "styles": [_digest(style) for style in self.styles],
            "recipe": {
                **recipe,
                "net": known.checksum if known else _digest(self.net or path) + (f"@{form}" if form else ""),
            },
        }
        if self.keep_exif:
            made_of["exif"] = "kept"
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode("ascii")).hexdigest()

    def packed(self, net: Blob | None) -> Job:
        """The job with its files as bytes; raises ImageReadError for a picture that cannot be read."""
        held = dict(self.files)
        named = {name: role for role, name in self.recipe.files().items()}
        return replace(
            self,
            content=_read(self.content, "content"),
            styles=tuple(_read(style, "style") for style in self.styles),
            files=tuple((name, _named(held.get(name, name), role)) for name, role in named.items()),
            net=net,
        )

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """All files of a packed job, in one order."""
        every = (self.content, *self.styles, *(blob for _, blob in self.files), self.net)
        return tuple(one for one in every if isinstance(one, Blob))

    def filled(self, parts: Iterable[bytes]) -> Job:
        """A packed job with other bytes in its files, in the order of `blobs`."""
        filled = iter([replace(blob, data=data) for blob, data in zip(self.blobs, parts, strict=True)])
        return replace(
            self,
            content=next(filled),
            styles=tuple(next(filled) for _ in self.styles),
            files=tuple((name, next(filled)) for name, _ in self.files),
            net=self.net and next(filled),
        )


def reads(content: str, styles: Sequence[str], recipe: Recipe) -> dict[str, str]:
    """The files that a run reads, by what messages call them: its pictures, then its network."""
    files = {"the content": content, **{f"the style {shown(style)}": style for style in styles}}
    files.update({f"the {role}": name for role, name in recipe.files().items()})
    if recipe.net not in KNOWN:
        files[NETWORK] = split(recipe.net)[0]
    return files


def name_of(source: str | Blob) -> str:
    """The path of a picture, as it was given."""
    return source.name if isinstance(source, Blob) else source


def file_names(jobs: Sequence[Job], suffix: str) -> list[str]:
    """The file of each job relative to the folder; only equal jobs have the same."""
    short = [_name(job, KEY, suffix) for job in jobs]
    keys: dict[str, set[str]] = {}
    for name, job in zip(short, jobs, strict=True):
        keys.setdefault(name, set()).add(job.key)
    return [
        name if len(keys[name]) == 1 else _name(job, LONG_KEY, suffix) for name, job in zip(short, jobs, strict=True)
    ]


def _name(job: Job, digits: int, suffix: str) -> str:
    place = PurePosixPath(job.place)
    if not place.name or place.is_absolute() or ".." in place.parts or "\0" in job.place:
        raise OptionError(f"place: {job.place!r} is no name below the output folder")
    return str(place.with_name(f"{shortened(place.name)}-{job.key[:digits]}{suffix}"))


def shortened(name: str) -> str:
    """A name of at most LONGEST bytes.

    >>> shortened("beach-night"), len(shortened("é" * 300).encode())
    ('beach-night', 200)
    """
    while len(name.encode("utf-8", "surrogateescape")) > LONGEST:
        name = name[:-1]
    return name


def _read(source: str | Blob, role: str) -> Blob:
    return source if isinstance(source, Blob) else files.read(source, f"{role} {shown(source)}")


def _named(source: str | Blob, role: str) -> Blob:
    """A picture that the recipe names."""
    if isinstance(source, str):
        check_word(source, role)
    return _read(source, role)


def _digest(source: str | Blob) -> str:
    """SHA-256 of a file; of a file that cannot be read, something that no file has."""
    if isinstance(source, Blob):
        return source.sha256
    try:
        about = os.stat(source)  # noqa: PTH116  (Path.stat has no other way to say that a name is impossible)
        return _hashed(source, about.st_size, about.st_mtime_ns, about.st_ino)
    except (OSError, ValueError):  # ValueError: a NUL in the name
        return f"unreadable {source}"


@functools.lru_cache(maxsize=4096)
def _hashed(path: str, *_: int) -> str:
    """SHA-256 of a file that is as its size and time say; the same style is one of many jobs."""
    if not Path(path).is_file():  # a pipe would wait for ever
        return f"unreadable {path}"
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
