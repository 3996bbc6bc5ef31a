"""Pictures and jobs on the disk, in ordinary files: what a server that is started again finds.

    FOLDER/pictures/ID/   about.json, original.jpg (as it came), thumbnail.webp, view-1024.webp
    FOLDER/jobs/ID/       job.json, picture.png (with its recipe), preview.webp, run.checkpoint while it is painted
    FOLDER/sweeps/ID.json

Everything is written whole or not at all. An id is 128 random bits; no name from outside ever becomes a path. Imports
no torch.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path, PurePath
from typing import Any

from impasto import files
from impasto.errors import OutputError
from impasto.text import shown
from impasto.web.records import STATES, Job, Picture

__all__ = ["Store", "default_folder", "name_given", "new_id", "plain_file"]

ID = re.compile(r"[0-9a-f]{32}")
SUFFIX = re.compile(r"\.[a-z0-9]{1,8}")
LONGEST_NAME = 200  # characters of a picture's name that are kept


def new_id() -> str:
    """A name that nobody guesses."""
    return secrets.token_hex(16)


def default_folder() -> Path:
    """Where pictures and history lie: `studio` in the system's place for the user's data."""
    import platformdirs

    return Path(platformdirs.user_data_dir("impasto", appauthor=False)) / "studio"


class Store:
    """The folder of a server; one server at a time. Raises OutputError for a folder that cannot be used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pictures: dict[str, Picture] = {}
        self.jobs: dict[str, Job] = {}
        self.sweeps: dict[str, dict[str, Any]] = {}
        self.lock = threading.RLock()
        try:
            for part in ("pictures", "jobs", "sweeps", "arriving"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            self._own = _claimed(folder / "lock")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or shown(error)
            raise OutputError(f"{shown(folder)}: cannot be used ({why}); choose another --folder") from None
        for left in (folder / "arriving").iterdir():
            _remove(left)
        self._load()

    def close(self) -> None:
        """Let another server have the folder."""
        os.close(self._own)

    # pictures

    def arriving(self) -> Path:
        """A new folder for a picture that is not known to be one yet."""
        place = self.folder / "arriving" / new_id()
        try:
            place.mkdir()
        except OSError as error:
            raise _full(error) from None
        return place

    def add_picture(self, place: Path, name: str, kind: str, found: dict[str, Any]) -> Picture:
        """Take in a picture that has arrived and been read; one that is here already gets its new name."""
        with self.lock:
            there = next((one for one in self.pictures.values() if one.sha256 == found["sha256"]), None)
            if there is not None:
                _remove(place)
                there.name, there.kind = name, kind
                self._write(self.picture_folder(there.id) / "about.json", asdict(there))
                return there
            suffix = PurePath(name).suffix.lower()
            file = "original" + (suffix if SUFFIX.fullmatch(suffix) else "")
            picture = Picture(new_id(), name, created=time.time(), file=file, kind=kind, **found)
            (place / "original").replace(place / file)
            self._write(place / "about.json", asdict(picture))
            place.replace(self.picture_folder(picture.id))
            self.pictures[picture.id] = picture
            return picture

    def remove_picture(self, key: str) -> None:
        """Forget a picture and its files."""
        with self.lock:
            self.pictures.pop(key)
            _remove(self.picture_folder(key))

    def picture_folder(self, key: str) -> Path:
        """Where a picture's files lie; `key` is one of ours."""
        return self.folder / "pictures" / key

    def original(self, picture: Picture) -> Path:
        """A picture's file as it came."""
        return self.picture_folder(picture.id) / picture.file

    def by_hash(self, sha256: str) -> str | None:
        """The id of the picture with these bytes, if it is here."""
        return next((key for key, one in list(self.pictures.items()) if one.sha256 == sha256), None)

    # jobs

    def add_job(self, job: Job) -> None:
        """Take in a job."""
        with self.lock:
            self.jobs[job.id] = job
            try:
                self.job_folder(job.id).mkdir()
                self.save(job)
            except BaseException as error:
                self.remove_job(job.id)
                raise _full(error) from None

    def save(self, job: Job) -> None:
        """Write a job down; raises OutputError."""
        with self.lock:
            if job.id in self.jobs:
                self._write(self.job_folder(job.id) / "job.json", asdict(job))

    def remove_job(self, key: str) -> None:
        """Forget a job and its files."""
        with self.lock:
            self.jobs.pop(key, None)
            _remove(self.job_folder(key))

    def job_folder(self, key: str) -> Path:
        """Where a job's files lie; `key` is one of ours."""
        return self.folder / "jobs" / key

    def add_sweep(self, key: str, sweep: dict[str, Any]) -> None:
        """Write down which jobs belong together."""
        with self.lock:
            self._write(self.folder / "sweeps" / f"{key}.json", sweep)
            self.sweeps[key] = sweep

    def next_number(self) -> int:
        """The number of a new job."""
        return 1 + max((job.number for job in self.jobs.values()), default=0)

    def secret(self, name: str) -> str:
        """A secret that outlives the server, for its user alone; so a page that was open stays let in."""
        path = self.folder / name
        with suppress(OSError, UnicodeDecodeError):
            text = path.read_text(encoding="ascii").strip()
            if len(text) >= 32:
                return text
        text = secrets.token_urlsafe(32)
        with suppress(FileNotFoundError):
            path.unlink()
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(text)
        return text

    def _write(self, path: Path, value: dict[str, Any]) -> None:
        files.write(path, json.dumps(value, ensure_ascii=True, allow_nan=False).encode("ascii"))

    def _load(self) -> None:
        """All that is whole; what is damaged stays on the disk and is not shown."""
        for key, path, value in _found(self.folder / "pictures", "about.json"):
            with suppress(TypeError):
                picture = Picture(**_known(Picture, value))
                if picture.id == key and (path.parent / PurePath(picture.file).name).is_file():
                    self.pictures[key] = picture
        for key, path, value in _found(self.folder / "jobs", "job.json"):
            with suppress(TypeError):
                job = Job(**_known(Job, value))
                if job.id != key or job.state not in STATES:
                    continue
                if job.state == "done" and not (path.parent / "picture.png").is_file():
                    continue
                self.jobs[key] = job
        for path in (self.folder / "sweeps").glob("*.json"):
            with suppress(OSError, ValueError):
                if ID.fullmatch(path.stem):
                    self.sweeps[path.stem] = json.loads(path.read_bytes())


def _full(error: BaseException) -> BaseException:
    """What is said where nothing more can be kept."""
    if isinstance(error, OSError) and not isinstance(error, OutputError):
        return OutputError(f"it cannot be kept ({error.strerror}); make room on the disk")
    return error


def name_given(text: str) -> str:
    """A file's name from outside as a printable line without folders."""
    name = re.split(r"[/\\]", text.replace("\0", ""))[-1]
    return shown(name).strip()[-LONGEST_NAME:] or "picture"


def plain_file(path: Path) -> bool:
    """Whether a path is an ordinary file, and no link to one elsewhere."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _found(folder: Path, name: str) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    for path in sorted(folder.glob(f"*/{name}")):
        with suppress(OSError, ValueError):
            value = json.loads(path.read_bytes())
            if ID.fullmatch(path.parent.name) and isinstance(value, dict) and not path.parent.is_symlink():
                yield path.parent.name, path, value


def _known(kind: type, value: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(kind)}
    return {key: own for key, own in value.items() if key in names}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def _claimed(path: Path) -> int:
    """A lock on a folder, until it is closed or its owner is gone."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise OutputError(
            f"{shown(path.parent)}: another impasto web uses it; close that one, or choose another --folder"
        ) from None
    return handle
