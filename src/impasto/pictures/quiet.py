"""What decoders written in C say on their own on the standard error, kept from the terminal."""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress

from PIL import _imaging

__all__ = ["quiet", "quiet_libtiff"]

# Lines of libtiff and LibRaw; whatever else arrives meanwhile, from other threads, is passed on.
THEIRS = re.compile(rb"(tempfile\.tif|unknown file|_?TIFF\w*|\w*(JPEG|LZW|ZIP|Fax|PackBits|Decode|Setup)\w*): .*\n?")


@contextmanager
def quiet() -> Iterator[list[str]]:
    """Hold back the standard error of the process, then pass on the lines that are not a decoder's own.

    Those are in the list afterwards.
    """
    said: list[str] = []
    try:
        saved = os.dup(2)
    except OSError:  # a process without one says nothing anyway
        yield said
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if THEIRS.fullmatch(line):
                    said.append(line.decode(errors="replace").strip())
                else:
                    with suppress(OSError):
                        os.write(2, line)


@contextmanager
def quiet_libtiff() -> Iterator[None]:
    """Take away libtiff's error handler, once and for all; hold back the standard error where it cannot be found."""
    with nullcontext() if _without_handler() else quiet():
        yield


def _without_handler() -> bool:
    try:
        pillow = ctypes.CDLL(_imaging.__file__)  # looks into the libraries that it was linked with as well
        pillow.TIFFSetErrorHandler.restype = ctypes.c_void_p
        pillow.TIFFSetErrorHandler(None)
    except (OSError, AttributeError):  # linked in without its names, as on Windows
        return False
    return True
