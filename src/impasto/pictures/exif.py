"""What a photo's file says that its painting may say as well: the resolution, and from EXIF date, camera and author.

Never where it was taken, what the maker wrote in a form of its own, a small picture, or how it was held. Imports no
torch.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from impasto.errors import ImageReadError
from impasto.files import Blob
from impasto.pictures.formats import guarded, open_header

__all__ = ["About", "about", "block", "completed", "with_tags"]

# Tags that are handed on, in EXIF's first directory and in its own; all are text.
BASE = {271: "Make", 272: "Model", 306: "DateTime", 315: "Artist", 33432: "Copyright"}
OWN = {36867: "DateTimeOriginal", 42036: "LensModel"}
EXIF, ORIENTATION, ACROSS, DOWN, UNIT, INCH = 0x8769, 274, 282, 283, 296, 2
UNITS = {INCH: 1.0, 3: 2.54}  # the value of the tag: units in an inch
TURNED = (5, 6, 7, 8)  # orientations that swap width and height
LONGEST = 1000  # characters of a tag
WHOLE = 0.0128  # a PNG counts pixels in a metre, and is so far off at most
STAND_IN = 34_666  # tifffile writes no EXIF directory: a tag that nobody uses keeps the place of the entry
ASCII, LONG = 2, 4  # types of TIFF


@dataclass(frozen=True)
class About:
    """`dpi`: pixels in an inch, across and down, if the photo says. `tags`: text by the number of BASE and OWN.

    `damaged`: whether some of its EXIF could not be read.
    """

    dpi: tuple[float, float] | None = None
    tags: Mapping[int, str] = field(default_factory=dict)
    damaged: bool = False

    @property
    def bare(self) -> About:
        """The resolution alone."""
        return replace(self, tags={})


def about(source: object, label: str) -> About:
    """What a picture's file or a Pillow image says of itself; of anything else nothing."""
    heard: list[str] = []
    try:
        with guarded(label, []):
            picture = open_header(io.BytesIO(source.data), label) if isinstance(source, Blob) else source
    except ImageReadError:
        return About()
    if not isinstance(picture, Image.Image):
        return About()
    try:
        with guarded(label, heard):
            exif = Image.Image.getexif(picture)  # that of a PNG would decode all of it to look behind
            own = exif.get_ifd(EXIF)
            first = {tag: exif[tag] for tag in (*BASE, ORIENTATION, ACROSS, DOWN, UNIT) if tag in exif}
            held = {**{tag: first[tag] for tag in BASE if tag in first}, **{tag: own[tag] for tag in OWN if tag in own}}
    except ImageReadError:
        return About(_resolution(picture, {}), damaged=True)
    texts = {tag: _text(value) for tag, value in held.items()}
    tags = {tag: text for tag, text in texts.items() if text}
    return About(_resolution(picture, first), tags, bool(heard) or None in texts.values())


def block(about: About) -> bytes:
    """An EXIF block for JPEG, PNG and WebP."""
    exif = Image.Exif()
    for tag, text in about.tags.items():
        if tag in BASE:
            exif[tag] = text.encode("latin-1", "replace")
        else:
            exif.get_ifd(EXIF)[tag] = text
    if about.dpi is not None:
        exif[ACROSS], exif[DOWN], exif[UNIT] = *about.dpi, INCH
    return exif.tobytes()


def with_tags(about: About) -> list[tuple[int, int, int, Any, bool]]:
    """The tags of a TIFF, as tifffile takes them; `completed` belongs to it."""
    base = [(tag, ASCII, 0, text.encode("latin-1", "replace"), True) for tag, text in about.tags.items() if tag in BASE]
    return base + [(STAND_IN, LONG, 1, 0, True)] * any(tag in OWN for tag in about.tags)


def completed(tiff: bytes, about: About) -> bytes:
    """The TIFF with EXIF's own directory behind it."""
    own = {tag: text for tag, text in about.tags.items() if tag in OWN}
    if not own:
        return tiff
    import tifffile

    with tifffile.TiffFile(io.BytesIO(tiff)) as file:
        order, entry = file.byteorder, file.pages[0].tags[STAND_IN].offset  # type: ignore[union-attr]
    directory = ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")
    for tag, text in own.items():
        directory[tag] = text
    changed = bytearray(tiff + bytes(len(tiff) % 2))
    struct.pack_into(f"{order}HHII", changed, entry, EXIF, LONG, 1, len(changed))
    return bytes(changed) + directory.tobytes(len(changed))


def _text(value: object) -> str | None:
    """The text of a tag; None for one that is none."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return text.strip("\0 ") if isinstance(text, str) and len(text) <= LONGEST else None


def _resolution(picture: Image.Image, exif: Mapping[int, Any]) -> tuple[float, float] | None:
    """Pixels in an inch, by the file's own header, else by EXIF."""
    stated: Any = picture.info.get("dpi")
    if picture.format in ("JPEG", "MPO") and picture.info.get("jfif_unit") not in (1, 2):
        stated = None  # Pillow says 72 where nothing is said
    if stated is None and ACROSS in exif and exif.get(UNIT, INCH) in UNITS:
        units = UNITS[exif.get(UNIT, INCH)]
        stated = tuple(_number(value) * units for value in (exif[ACROSS], exif.get(DOWN, exif[ACROSS])))
    if not isinstance(stated, tuple) or len(stated) != 2:
        return None
    across, down = (_number(value) for value in stated)
    if not (1 < across <= 65_535 and 1 < down <= 65_535):  # 1: nothing is said; above what JPEG can hold; NaN
        return None
    dpi = tuple(float(round(one)) if abs(one - round(one)) <= WHOLE else one for one in (across, down))
    return (dpi[1], dpi[0]) if exif.get(ORIENTATION) in TURNED else (dpi[0], dpi[1])


def _number(value: Any) -> float:
    """A number of a file; 0 for what is none."""
    try:
        return float(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return 0.0
