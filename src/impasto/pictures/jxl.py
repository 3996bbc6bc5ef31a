"""JPEG XL by libjxl (the extra `jxl`). Its decoder unpacks while it opens, so the header is looked at before."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image, ImageFile

from impasto.errors import ImageReadError

__all__ = ["Header", "header", "opened"]

RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
MISSING = 'is a JPEG XL picture; pip install "impasto[jxl]"'


@dataclass(frozen=True)
class Header:
    """What the first bytes of a codestream say (ISO/IEC 18181-1, annex D)."""

    size: tuple[int, int]  # width, height
    bits: int  # a sample; 0 where a preview or an animation stands before it
    animated: bool


class Bits:
    """Numbers of some bits each, the lowest first."""

    def __init__(self, data: bytes) -> None:
        self.left = int.from_bytes(data, "little")

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        value = self.left & ((1 << count) - 1)
        self.left >>= count
        return value

    def length(self) -> int:
        """A width or height in one of four sizes."""
        return 1 + self.take((9, 13, 18, 30)[self.take(2)])


def header(data: bytes) -> Header:
    """The size of a JPEG XL picture, its bits and whether it moves; raises ValueError where there is no codestream."""
    bits = Bits(_codestream(data)[2:66])
    size = _size(bits)
    if bits.take(1):  # everything else is as usual
        return Header(size, 8, False)
    if bits.take(1):
        bits.take(3)  # the orientation, which libjxl sees to
        if bits.take(1):
            _size(bits)
        preview, animated = bits.take(1), bits.take(1)
        if preview or animated:
            return Header(size, 0, bool(animated))
    if bits.take(1):
        return Header(size, (32, 16, 24, 1)[bits.take(2)], False)
    kind = bits.take(2)
    return Header(size, (8, 10, 12)[kind] if kind < 3 else 1 + bits.take(6), False)


def opened(data: bytes, label: str) -> ImageFile.ImageFile:
    """A decoded JPEG XL as a Pillow image; check its size before. Raises ImageReadError without the extra."""
    try:
        from pillow_jxl.JpegXLImagePlugin import JXLImageFile
    except ImportError:
        raise ImageReadError(f"{label}: {MISSING}") from None
    picture: ImageFile.ImageFile
    try:
        picture = JXLImageFile(io.BytesIO(data), "")
    except (MemoryError, Image.DecompressionBombError):
        raise
    except BaseException as error:  # a panic of Rust arrives as no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError("libjxl finds no picture in it") from None
    if not picture.jpeg:  # libjxl has turned it; a JPEG that was only packed is still as the camera stored it
        picture.info.pop("exif", None)
    return picture


def _size(bits: Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = 8 * (1 + bits.take(5)) if small else bits.length()
    if ratio := bits.take(3):
        over, under = RATIOS[ratio - 1]
        return height * over // under, height
    return (8 * (1 + bits.take(5)) if small else bits.length()), height


def _codestream(data: bytes) -> bytes:
    """The first bytes of the codestream, out of the boxes of a container where there is one."""
    at = 0
    while data[:2] != b"\xff\x0a" and at + 8 <= len(data):
        length, kind, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if length == 1:
            length, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        if kind in (b"jxlc", b"jxlp"):
            data = data[start + (4 if kind == b"jxlp" else 0) :][:128]
            break
        if length and length < start - at:
            break
        at = at + length if length else len(data)
    if data[:2] != b"\xff\x0a":
        raise ValueError("no codestream")
    return data[:128]
