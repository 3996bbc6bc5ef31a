"""Picture formats, told by content, and what becomes of a decoder's complaints."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

from impasto.errors import ImageReadError, ImpastoError
from impasto.pictures import png
from impasto.text import shown

__all__ = ["FORMATS", "check_size", "guarded", "open_header", "told"]

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "HEIF", "AVIF", "JXL", "RAW")
NAMES = "JPEG, PNG, WebP, TIFF, BMP, GIF, HEIC, AVIF, JPEG XL or camera RAW"

# The bytes at an offset that tell a format. TIFF comes after the RAW files that begin like one.
MAGIC = (
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("WEBP", 8, b"WEBPVP8"),
    ("GIF", 0, b"GIF87a"),
    ("GIF", 0, b"GIF89a"),
    ("BMP", 0, b"BM"),
    ("JXL", 0, b"\xff\x0a"),
    ("JXL", 0, b"\0\0\0\x0cJXL \r\n\x87\n"),
    ("RAW", 0, b"FUJIFILMCCD-RAW"),
    ("RAW", 0, b"IIU\0"),  # Panasonic, Leica
    ("RAW", 0, b"IIRO"),  # Olympus
    ("RAW", 0, b"IIRS"),
    ("RAW", 0, b"MMOR"),
    ("RAW", 4, b"ftypcrx "),  # Canon CR3
    ("RAW", 8, b"CR\2"),  # Canon CR2
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("TIFF", 0, b"II+\0"),
    ("TIFF", 0, b"MM\0+"),
)
AVIF = {b"avif", b"avis"}
HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}

OTHERS = {"HEIF": "a HEIC picture", "JXL": "a JPEG XL picture", "RAW": "a camera's RAW file"}  # not by Pillow itself

# What a file really is, when it is none of FORMATS: the bytes at an offset, and the name for people.
FOREIGN = (
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML or SVG file"),
    (0, b"<", "a web page or XML"),
    (0, b"PK\3\4", "a zip archive"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture"),
    (0, b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (4, b"ftyp", "a film"),
)
# Complaints about what a decoder has not learnt, in a file that is sound.
UNSUPPORTED = re.compile(
    r"unsupported|not supported|not implemented|not been built|unknown pixel mode|unknown data organization"
    r"|cannot handle (12|16)-bit|decoder \S+ not available",
    re.IGNORECASE,
)
_PILLOW = threading.Lock()  # warnings.catch_warnings swaps process-wide state; two at once would never put it back


@contextmanager
def guarded(label: str, notices: list[str]) -> Iterator[None]:
    """Turn whatever a decoder raises into one ImageReadError, and what it warns about into notices."""
    logger = logging.getLogger("PIL")
    silent = logging.NullHandler()  # without any handler Python would print its complaints on stderr
    with _PILLOW, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
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
            if UNSUPPORTED.search(why):
                remedy = "save it as an 8-bit JPEG or PNG, or as a 16-bit TIFF"
                raise ImageReadError(f"{label}: is of a kind that is not supported ({why}); {remedy}") from error
            raise ImageReadError(f"{label}: cannot be decoded ({why}); the file is damaged or cut short") from error
        finally:
            logger.removeHandler(silent)
    messages = dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning)
    notices += [f"{label}: {shown(message)[:200]}" for message in list(messages)[:3]]


def told(head: bytes) -> str | None:
    """Which of FORMATS a file is, by its first bytes (64 or more), or None. RAW files may still look like TIFF."""
    if head[4:8] == b"ftyp":
        length = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[8:12], *(head[at : at + 4] for at in range(16, length - 3, 4))}
        if brands & AVIF:
            return "AVIF"
        if brands & HEIF:
            return "HEIF"
    return next((name for name, at, magic in MAGIC if head[at:].startswith(magic)), None)


def open_header(file: BinaryIO, label: str, notices: list[str] | None = None) -> ImageFile.ImageFile:
    """Parse the header of a format that Pillow itself reads, told by content; decodes nothing.

    Not `Image.open`: that refuses sizes by a limit of its own, which other users of Pillow may have set. Raises
    ImageReadError for other files, and for AVIF where Pillow was built without it.
    """
    file.seek(0)
    head = file.read(64)
    name = told(head)
    file.seek(0)
    match name:
        case "JPEG":  # not Pillow's factory: that looks for further pictures, such as gain maps
            return JpegImagePlugin.JpegImageFile(file, "")
        case "PNG":
            return png.opened(file, label, [] if notices is None else notices)
        case "WEBP":
            return WebPImagePlugin.WebPImageFile(file, "")
        case "TIFF":
            return TiffImagePlugin.TiffImageFile(file, "")
        case "BMP":
            return BmpImagePlugin.BmpImageFile(file, "")
        case "GIF":
            return GifImagePlugin.GifImageFile(file, "")
        case "AVIF":
            if not features.check("avif"):
                remedy = "pip install --upgrade pillow, or save it as PNG"
                raise ImageReadError(f"{label}: is an AVIF picture, which this Pillow cannot read; {remedy}")
            from PIL import AvifImagePlugin  # Pillow has it since 11.3

            return AvifImagePlugin.AvifImageFile(file, "")
        case "HEIF" | "JXL" | "RAW":
            raise ImageReadError(f"{label}: is {OTHERS[name]}, which carries no recipe")
    foreign = next((f"; it looks like {what}" for at, magic, what in FOREIGN if head[at:].startswith(magic)), "")
    raise ImageReadError(f"{label}: is not {NAMES}{foreign}; save it as JPEG or PNG")


def check_size(size: tuple[int, int], label: str, limit: int) -> None:
    """Raise ImageReadError for a picture of no pixels or of more than `limit`; `size` is (width, height)."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageReadError(f"{label}: has no pixels ({width}×{height})")
    if width * height > limit:
        raise ImageReadError(
            f"{label}: {width}×{height} = {width * height:,} pixels are over the limit of {limit:,}; shrink it first"
        )
