"""What `-` stands for: standard input as a picture, standard output for the result."""

from __future__ import annotations

import errno
import os
import sys

from impasto.errors import ImageReadError, OutputError
from impasto.files import Blob

__all__ = ["PIPE_CLOSED", "STANDARD", "ClosedError", "check", "given", "read", "write"]

STANDARD = "-"
NAME_IN, NAME_OUT = "standard input", "standard output"
PIPE_CLOSED = 141  # exit status: 128 and the number of SIGPIPE, as the shell says it


class ClosedError(OutputError):
    """Whoever read standard output has closed it."""

    exit_status = PIPE_CLOSED


def read(role: str) -> Blob:
    """The picture on standard input; raises ImageReadError where there is none."""
    from impasto.pictures.sources import drain

    label = f"{role} {NAME_IN}"
    if sys.stdin is None:
        raise ImageReadError(f"{label}: is closed; pipe a picture into it")
    if sys.stdin.isatty():
        raise ImageReadError(
            f"{label}: is a terminal; pipe a picture into it, as in impasto - STYLE -o OUT < photo.jpg"
        )
    data = drain(sys.stdin.buffer, label)
    if not data:
        raise ImageReadError(f"{label}: is empty (0 bytes); pipe a picture into it")
    return Blob.of(NAME_IN, data)


def given(name: str, role: str) -> str | Blob:
    """A picture as it is given: by its name, or on standard input."""
    return read(role) if name == STANDARD else name


def check() -> None:
    """Make sure, before any work, that a picture may go to standard output; raises OutputError."""
    if sys.stdout is None:
        raise OutputError(f"-o -: {NAME_OUT} is closed; name a file")
    if sys.stdout.isatty():
        raise OutputError(f"-o -: {NAME_OUT} is a terminal, which shows no picture; name a file, or pipe it on")


def write(data: bytes) -> None:
    """Write a whole picture to standard output; raises OutputError, or ClosedError where nobody reads it any more."""
    rest = memoryview(data)
    try:
        sys.stdout.flush()
        while rest:  # past Python's buffer, which would try a failed write again
            rest = rest[os.write(sys.stdout.fileno(), rest) :]
    except OSError as error:
        if error.errno in (errno.EPIPE, errno.EINVAL):  # the latter is Windows's
            raise ClosedError(f"{NAME_OUT}: its reader closed it before the whole picture was written") from None
        raise OutputError(f"{NAME_OUT}: cannot be written ({error.strerror or error}); send it elsewhere") from None
