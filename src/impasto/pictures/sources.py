"""What holds a picture's file: a path, its bytes, an open file. Imports no torch."""

from __future__ import annotations

import io
import os
from pathlib import PurePath
from typing import Any, Protocol

from impasto import files
from impasto.errors import ImageReadError
from impasto.files import Blob
from impasto.text import shown

__all__ = ["Readable", "blob", "drain"]

CHUNK = 2**20  # bytes asked for at a time


class Readable(Protocol):
    """An open file, a pipe, an answer from the web: whatever gives bytes."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


def blob(source: object, role: str) -> Blob | None:
    """The file that a source names or holds, read as far as it goes; None for what is no file.

    An open file is read from where it stands, and stays open. Raises ImageReadError for whatever cannot be read, is
    empty or has more than `files.MAX_BYTES`.
    """
    if isinstance(source, Blob):
        return source
    if isinstance(source, str | os.PathLike) and isinstance(os.fspath(source), str):
        return files.read(source, f"{role} {shown(source)}")
    if isinstance(source, bytes | bytearray | memoryview):
        data, label, rest = bytes(source), f"{role} bytes", ""
        files.check_bytes(len(data), label)
        name = "bytes"
    elif callable(getattr(source, "read", None)):
        own = getattr(source, "name", None)
        name = PurePath(own).name if isinstance(own, str) and own else "file"
        label, rest = f"{role} {shown(name)}", " from where it stands; seek(0) goes to its beginning"
        data = drain(source, label)
    else:
        return None
    if not data:
        raise ImageReadError(f"{label}: is empty (0 bytes){rest}")
    return Blob.of(name, data)


def drain(file: Any, label: str) -> bytes:
    """All bytes from where an open file stands; raises ImageReadError, also where they are too many for a picture."""
    if isinstance(file, io.TextIOBase):
        raise ImageReadError(f'{label}: is open as text; open it with "rb", or give its .buffer')
    parts, count = list[bytes](), 0
    try:
        while part := file.read(CHUNK):
            if not isinstance(part, bytes | bytearray | memoryview):
                raise ImageReadError(f"{label}: gives {type(part).__name__} and no bytes; open it as bytes")
            parts.append(bytes(part))
            count += len(part)
            files.check_bytes(count, label)
        return b"".join(parts)
    except ImageReadError:
        raise
    except MemoryError:
        raise ImageReadError(f"{label}: not enough memory to read it; make the picture smaller first") from None
    except Exception as error:  # files of others raise anything
        why = getattr(error, "strerror", None) or shown(error)[:200] or type(error).__name__
        raise ImageReadError(f"{label}: cannot be read ({why})") from None
