"""The list of finished jobs in an output folder, `manifest.jsonl`: what a run that is started again need not do.

One line of JSON a job, added once the job's files are safe on the disk. Only the hash of a file says that it is done.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from io import FileIO
from pathlib import Path
from typing import Any

from impasto.errors import OutputError
from impasto.text import shown

__all__ = ["NAME", "Manifest", "painted"]

NAME = "manifest.jsonl"
FIRST = b'{"key": "'  # how every line of ours begins
BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
if sys.platform == "win32":
    import msvcrt

    LOCKED_BYTE = 2**30  # far behind the text: Windows lets nobody read what is locked
else:
    import fcntl


class Manifest:
    """The manifest of a folder, which is made if need be; while entered, no other run can write to the folder.

    Raises OutputError for a folder that cannot be written, for one that another run works in, and for a file of this
    name that is something else.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.unfinished: set[str] = set()  # best pictures of jobs that failed
        self._done: dict[str, Mapping[str, Any]] = {}

    def __enter__(self) -> Manifest:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            why = getattr(error, "strerror", None) or shown(error)
            raise OutputError(f"{shown(self.folder)}: cannot be made ({why}); choose another folder") from None
        try:
            self._file: FileIO = self.path.open("a+b", buffering=0)  # a buffer would try a failed line again
        except OSError as error:
            raise self._failure(error) from None
        try:
            _lock(self._file)
            self._read()
        except OSError as error:
            self._file.close()
            if isinstance(error, OutputError):
                raise
            if error.errno in BUSY:
                raise OutputError(
                    f"{shown(self.folder)}: another run is writing to this folder; wait for it, or choose another one"
                ) from None
            raise self._failure(error) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()  # which gives the lock back

    def kept(self, name: str, key: str) -> Mapping[str, Any] | None:
        """The entry of a job that is done: the file is there and is the one that was written; else None."""
        entry = self._done.get(name)
        if entry is None or entry.get("key") != key:
            return None
        try:
            path = self.folder / name
            if path.is_symlink() or not path.is_file():
                return None
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:
            return None
        return entry if found == entry.get("sha256") else None

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add a finished or failed job, its key first; on the disk when this returns."""
        line = (json.dumps(entry) + "\n").encode("ascii")
        end = self._file.seek(0, os.SEEK_END)
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._cut(end)
            raise self._failure(error) from None
        self._note(entry)

    def _read(self) -> None:
        """Take in what is there; a last line that was not written to its end is cut off."""
        self._file.seek(0)
        data = self._file.read()
        whole = data[: data.rfind(b"\n") + 1]
        entries = [entry for entry in map(_parsed, whole.splitlines()) if entry is not None]
        torn = data[len(whole) :]
        if data and not entries and not (not whole and FIRST.startswith(torn[: len(FIRST)])):
            raise OutputError(f"{shown(self.path)}: is no list of finished jobs; choose another folder")
        if torn:
            self._file.truncate(len(whole))
        for entry in entries:
            self._note(entry)

    def _note(self, entry: Mapping[str, Any]) -> None:
        if isinstance(entry.get("file"), str):
            self._done[entry["file"]] = entry
        elif isinstance(entry.get("unfinished"), str):
            self.unfinished.add(entry["unfinished"])

    def _cut(self, end: int) -> None:
        try:
            self._file.truncate(end)
        except OSError:  # the next run mends it
            return

    def _failure(self, error: OSError) -> OutputError:
        why = error.strerror or shown(error)
        return OutputError(f"{shown(self.path)}: cannot be written ({why}); choose another folder")


def painted(folder: Path) -> set[str] | None:
    """Files of the folder, relative to it, that its manifest says were painted; None where there is no manifest."""
    try:
        entries = map(_parsed, (folder / NAME).read_bytes().splitlines())
        names = (entry.get("file") or entry.get("unfinished") for entry in entries if entry is not None)
        return {name for name in names if isinstance(name, str)}
    except (OSError, ValueError):
        return None


def _parsed(line: bytes) -> dict[str, Any] | None:
    """An entry; None for a line that is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("key"), str) else None


def _lock(file: FileIO) -> None:
    """Lock a file until it is closed, by whatever end; raises OSError with an error of BUSY if another has it."""
    if sys.platform == "win32":
        file.seek(LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in BUSY:
            raise
        # Some network file systems know no locks; a run there goes on without.
