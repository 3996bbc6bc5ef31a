"""Large pictures decoded no larger than they are needed, and none that there is no room for.

A photo of 108 megapixels that is painted at 512 pixels need not be held as a whole: a JPEG is decoded at a half, a
quarter or an eighth of its size, other pictures of 8 bits are reduced as soon as they are decoded. What is left is at
least SPARE times as long as it has to be, and is then resized as any other picture; ordinary ones are left as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from impasto.errors import MemoryShortError

__all__ = ["BYTES", "Wanted", "draft", "reduce", "times"]

MUCH, SPARE = 8, 4  # times the length that is wanted: from where on a picture is reduced, and what is left at least
BYTES = 18  # of each pixel while a picture is read and resized: its samples, as floats, and one channel apart
DECODED = 4  # of each pixel that is decoded and then reduced
GIB = 2**30
KINDS = (JpegImagePlugin.JpegImageFile, PngImagePlugin.PngImageFile, WebPImagePlugin.WebPImageFile)
REDUCIBLE = (*KINDS, BmpImagePlugin.BmpImageFile)
MODES = ("L", "RGB", "RGBA", "LA", "CMYK")


@dataclass
class Wanted:
    """What is wanted of a picture's file: its `longer` side in pixels, 0 for all there is, in `room` bytes.

    `size`: (width, height) of the file, once its header is read; `needed`: bytes that reading it took, about.
    """

    longer: float = 0
    room: float = math.inf
    size: tuple[int, int] | None = None
    needed: float = 0.0


def times(size: tuple[int, int], longer: float) -> int:
    """How many times smaller a picture of `size` may be read, a power of two.

    >>> times((4000, 3000), 512), times((4096, 3000), 512), times((12000, 9000), 512)
    (1, 2, 4)
    """
    if longer <= 0 or max(size) < MUCH * longer:
        return 1
    return int(2 ** math.floor(math.log2(max(size) / (SPARE * longer))))


def draft(picture: ImageFile.ImageFile, wanted: Wanted, label: str, file: int = 0) -> None:
    """Prepare a picture that is not decoded yet, whose file has so many bytes.

    Raises MemoryShortError for one that there is no room for.
    """
    wanted.size = width, height = picture.size
    factor = times(picture.size, wanted.longer)
    if factor > 1 and isinstance(picture, JpegImagePlugin.JpegImageFile):
        picture.draft(picture.mode, (width // factor, height // factor))
    left = BYTES / times(picture.size, wanted.longer) ** 2 if _reducible(picture) else BYTES
    pixels = picture.size[0] * picture.size[1] * max(left, DECODED)
    wanted.needed = pixels + file
    if wanted.needed > wanted.room:
        most = max(0.0, (wanted.room - file) / pixels * width * height / 1e6)
        raise MemoryShortError(
            f"{label}: reading its {width}×{height} pixels needs about {wanted.needed / GIB:.2g} GiB of memory beside"
            f" what is in use, {max(0.0, wanted.room) / GIB:.2g} GiB may be used; make it smaller first, {most:.2g}"
            " megapixels fit"
        )


def reduce(picture: Image.Image, wanted: Wanted) -> Image.Image:
    """A decoded picture no larger than it is needed; the same one where that is not much smaller."""
    factor = times(picture.size, wanted.longer)
    return picture.reduce(factor) if factor > 1 and _reducible(picture) else picture


def _reducible(picture: Image.Image) -> bool:
    """Whether means of the samples are means of the colours, and nothing else of the file depends on its size."""
    return isinstance(picture, REDUCIBLE) and picture.mode in MODES and "transparency" not in picture.info
