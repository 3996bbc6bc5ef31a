"""Picture formats, told by content, and what becomes of a decoder's complaints."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import (  # the plugins register themselves in Image.OPEN
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    ImageFile,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from impasto.errors import ImageReadError, ImpastoError
from impasto.text import shown

__all__ = ["FORMATS", "guarded", "open_header"]

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF")

# What a file really is, when it is none of FORMATS: the bytes at an offset, and the name for people.
FOREIGN = (
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIC picture"),
    (4, b"ftypavi", "an AVIF picture"),
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML or SVG file"),
    (0, b"<", "a web page or XML"),
    (0, b"PK\3\4", "a zip archive"),
)
_PILLOW = threading.Lock()  # warnings.catch_warnings swaps process-wide state; two at once would never put it back


@contextmanager
def guarded(label: str, notices: list[str]) -> Iterator[None]:
    """Turn whatever a decoder raises into one ImageReadError, and what it warns about into notices."""
    loggers = [logging.getLogger(name) for name in ("PIL", "tifffile")]
    silent = logging.NullHandler()  # without any handler Python would print their complaints on stderr
    with _PILLOW, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for logger in loggers:
            logger.addHandler(silent)
        try:
            yield
        except ImpastoError:
            raise
        except MemoryError as error:
            raise ImageReadError(f"{label}: not enough memory to decode it; make the picture smaller first") from error
        except Image.DecompressionBombError as error:
            raise ImageReadError(f"{label}: too many pixels; make it smaller first ({shown(error)})") from error
        except Exception as error:
            why = shown(error)[:200] or type(error).__name__
            raise ImageReadError(f"{label}: cannot be decoded ({why}); the file is damaged or cut short") from error
        finally:
            for logger in loggers:
                logger.removeHandler(silent)
    messages = dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning)
    notices += [f"{label}: {shown(message)[:200]}" for message in list(messages)[:3]]


def open_header(file: BinaryIO, label: str) -> ImageFile.ImageFile:
    """Let Pillow parse the header of an allowed format, told by content; decodes nothing.

    Not `Image.open`: that refuses sizes by a limit of its own, which other users of Pillow may have set.
    """
    file.seek(0)
    head = file.read(64)
    for name in FORMATS:
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(head[:16]) is True:
            file.seek(0)
            return factory(file, "")
    foreign = next((f"; it looks like {what}" for at, magic, what in FOREIGN if head[at:].startswith(magic)), "")
    raise ImageReadError(f"{label}: is not JPEG, PNG, WebP, TIFF, BMP or GIF{foreign}; save it as one of these")
