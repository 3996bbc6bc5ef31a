"""TIFF beside what Pillow does: which page is the picture, and samples of any kind, unpacked within bounds."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from impasto.errors import ImageReadError
from impasto.pictures.formats import check_size
from impasto.pictures.profiles import is_srgb, samples_to_srgb
from impasto.pictures.quiet import quiet_libtiff
from impasto.pictures.ranges import to_range

__all__ = ["Page", "decode", "finished", "is_raw", "main_page"]

Samples = NDArray[Any]

REDUCED, WIDTH, LENGTH, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
FILL_ORDER, OFFSETS, COUNT, ROWS, SIZES, PLANAR = 266, 273, 277, 278, 279, 284
PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS, TILE_SIZES = 317, 322, 323, 324, 325
ORIENTATION, INNER, EXTRA, FORMAT, PROFILE = 274, 330, 338, 339, 34675
SENSOR = (32803, 34892)  # photometric: colour filter array, linear raw
PACKED = {1: "no", 5: "LZW", 8: "deflate", 32773: "PackBits", 32946: "deflate"}  # compressions unpacked here
KINDS = {1: "u", 2: "i", 3: "f"}  # sample formats
MAX_PAGES = 64  # looked at for the picture
REMEDY = "save it as 16-bit TIFF or as PNG"


class Page:
    """One image file directory, whose tags are read when asked for."""

    def __init__(self, data: bytes, offset: int | None = None) -> None:
        file = io.BytesIO(data)
        self.tags = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if _is_big(data) else 8])
        self.offset = self.tags.next if offset is None else offset
        file.seek(self.offset)
        self.tags.load(file)

    def numbers(self, tag: int, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """A tag's whole numbers."""
        value = self.tags.get(tag, default)
        values = value if isinstance(value, tuple) else (value,)
        return tuple(int(one) for one in values)

    def number(self, tag: int, default: int) -> int:
        """The first of a tag's whole numbers."""
        return (*self.numbers(tag), default)[0]

    @property
    def is_reduced(self) -> bool:
        """Whether it says of itself that it is a smaller copy of another one."""
        return bool(self.number(REDUCED, 0) & 1)

    @property
    def is_deep(self) -> bool:
        """Whether Pillow would lose bits, or the meaning, of its grey or RGB samples."""
        bits, formats = set(self.numbers(BITS, (1,))), set(self.numbers(FORMAT, (1,)))
        several = self.number(COUNT, 1) > 1
        kept = (formats <= {1, 4} and max(bits) <= 16) and not (several and bits == {16})
        return not kept and self.number(PHOTOMETRIC, 1) in (0, 1, 2)


def main_page(data: bytes) -> tuple[bytes, Page, list[Page]]:
    """The file as if the page that is its picture came first, that page, and all pages.

    It is the first one, unless that is a smaller copy; then it is the largest that is none.
    """
    pages = list(_pages(data))
    page = pages[0]
    if page.is_reduced:
        whole = [one for one in pages if not one.is_reduced]
        page = max(whole, key=lambda one: one.number(WIDTH, 0) * one.number(LENGTH, 0), default=page)
    if page is not pages[0]:
        order = ">" if data[:1] == b"M" else "<"
        place = struct.pack(order + ("Q" if _is_big(data) else "I"), page.offset)
        at = len(place)
        data = data[:at] + place + data[at + len(place) :]
    return data, page, pages


def is_raw(data: bytes, pages: list[Page]) -> bool:
    """Whether any page is what a camera's sensor saw; raises ValueError if it is cut, which LibRaw may not see."""
    seen = [page for page in pages if page.number(PHOTOMETRIC, 1) in SENSOR]
    for page in seen:
        for places, sizes in ((OFFSETS, SIZES), (TILE_OFFSETS, TILE_SIZES)):
            ends = [a + b for a, b in zip(page.numbers(places), page.numbers(sizes), strict=False)]
            if max(ends, default=0) > len(data):
                raise ValueError("the sensor's data go beyond its end")
    return bool(seen)


def decode(data: bytes, page: Page, label: str, limit: int) -> Samples | None:
    """Grey or RGB samples H×W×1…4 of a page that `is_deep`, as stored (uint, int, float); None if Pillow must do.

    Colours that are multiplied by alpha are left so. Raises ImageReadError for what nobody can read.
    """
    bits, count = page.numbers(BITS, (1,)), page.number(COUNT, 1)
    formats = page.numbers(FORMAT, (1,))
    size = (page.number(WIDTH, 0), page.number(LENGTH, 0))
    check_size(size, label, limit)
    kind, compression = KINDS.get(formats[0], "void"), page.number(COMPRESSION, 1)
    plain = kind == "u" and set(bits) == {16}
    known = len(set(bits)) == len(set(formats)) == 1 and bits[0] in ((16, 32, 64) if kind == "f" else (8, 16, 32))
    enough = 3 <= count <= 8 if page.number(PHOTOMETRIC, 1) == 2 else count <= 2
    if not (known and enough and kind != "void" and compression in PACKED and page.number(FILL_ORDER, 1) == 1):
        if plain or (kind, bits) == ("f", (32,)):
            return None
        packed = PACKED.get(compression, f"compression {compression}")
        what = f"{count} samples of {bits[0]} bits (format {formats[0]}, {packed})"
        raise ImageReadError(f"{label}: is a TIFF of a kind that is not supported, {what}; {REMEDY}")
    order = ">" if data[:1] == b"M" else "<"
    return _assembled(data, page, np.dtype(f"{order}{kind}{bits[0] // 8}"), size, count)


def finished(values: Samples, page: Page, label: str, notices: list[str]) -> Samples:
    """Samples as `decode` gives them, in sRGB, 0 as black, straight alpha if any: uint8, uint16 or float 0…1."""
    values = to_range(values, label, notices)
    white = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    count = values.shape[2]
    colours = 3 if count >= 3 else 1
    if page.number(PHOTOMETRIC, 1) == 0:
        values[..., 0] = white - values[..., 0]
    extra = page.number(EXTRA, 2 if count in (2, 4) else 0)
    if extra == 1:  # colours multiplied by alpha: divide it out again
        alpha = values[..., colours : colours + 1].astype(np.float32) / white
        straight = np.minimum(values[..., :colours] / np.maximum(alpha * white, 1e-6 * white), 1)
        values = np.concatenate([straight, alpha], axis=2)
    values = values[..., : colours + (extra in (1, 2) and count > colours)]
    profile = page.tags.get(PROFILE)
    if isinstance(profile, bytes) and not is_srgb(profile):
        what = f"{page.number(BITS, 1)}-bit TIFF"
        return samples_to_srgb(values, profile, what, label, notices)
    return values


def _is_big(data: bytes) -> bool:
    return data[2:4] in (b"+\0", b"\0+")


def _pages(data: bytes) -> Iterator[Page]:
    """The pages of the file, each followed by those inside it."""
    waiting, seen = [Page(data)], set[int]()
    while waiting and len(seen) < MAX_PAGES:
        page = waiting.pop(0)
        seen.add(page.offset)
        yield page
        inner = list(page.numbers(INNER))[:MAX_PAGES]
        more = [at for at in (*inner, page.tags.next) if 0 < at < len(data) and at not in seen]
        for at in more:
            try:
                waiting.append(Page(data, at))
            except Exception:  # a damaged page that is not the picture concerns nobody
                continue


def _assembled(data: bytes, page: Page, kind: np.dtype[Any], size: tuple[int, int], count: int) -> Samples:
    width, height = size
    tiled = page.numbers(TILE_WIDTH) != ()
    offsets, sizes = page.numbers(TILE_OFFSETS if tiled else OFFSETS), page.numbers(TILE_SIZES if tiled else SIZES)
    across = page.number(TILE_WIDTH, 0) if tiled else width
    down = page.number(TILE_LENGTH, 0) if tiled else min(page.number(ROWS, height), height)
    separate = page.number(PLANAR, 1) == 2 and count > 1
    inside = 1 if separate else count
    if min(across, down) < 1 or across * down > 4 * width * height + 2**20:
        raise ValueError("unknown layout of samples")
    whole = np.empty((height, width, count), kind.newbyteorder("="))
    places = [
        (plane, top, left)
        for plane in range(count if separate else 1)
        for top in range(0, height, down)
        for left in range(0, width, across)
    ]
    for (plane, top, left), offset, length in zip(places, offsets, sizes or (len(data),), strict=True):
        rows = down if tiled else min(down, height - top)
        packed = data[offset : offset + length]
        wanted = rows * across * inside * kind.itemsize
        raw = _unpacked(packed, page.number(COMPRESSION, 1), wanted)
        part = _unpredicted(raw, page.number(PREDICTOR, 1), (rows, across, inside), kind)
        target = whole[top : top + rows, left : left + across, slice(plane, plane + 1) if separate else slice(None)]
        target[...] = part[: target.shape[0], : target.shape[1]]
    return whole


def _unpacked(packed: bytes, compression: int, wanted: int) -> bytes:
    """`wanted` bytes out of a strip or tile; never many more are unpacked. Raises ValueError for fewer or more."""
    if compression in (8, 32946):
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(packed, wanted + 1)
        if len(raw) > wanted:
            raise ValueError("a strip unpacks to more than it should")
    elif compression == 1:
        raw = packed[:wanted]
    else:
        raw = _by_libtiff(packed, compression, wanted)
    if len(raw) < wanted:
        raise ValueError("a strip is cut short")
    return raw


def _by_libtiff(packed: bytes, compression: int, wanted: int) -> bytes:
    """Unpack a strip by Pillow, as if it were a row of grey pixels."""
    page = {WIDTH: wanted, LENGTH: 1, BITS: 8, COMPRESSION: compression, PHOTOMETRIC: 1, OFFSETS: 8}
    page |= {COUNT: 1, ROWS: 1, SIZES: len(packed)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(page.items()))
    head = b"II*\0" + struct.pack("<I", 8 + len(packed))
    file = io.BytesIO(head + packed + struct.pack("<H", len(page)) + entries + bytes(4))
    with quiet_libtiff():
        return TiffImagePlugin.TiffImageFile(file, "").tobytes()


def _unpredicted(raw: bytes, predictor: int, shape: tuple[int, int, int], kind: np.dtype[Any]) -> Samples:
    """Samples out of differences to the left neighbour (TIFF 6.0, section 14; Technical Note 3 for floats)."""
    rows, across, inside = shape
    if predictor == 3 and kind.kind == "f":  # bytes by significance, the highest of the whole row first
        steps = np.frombuffer(raw, np.uint8).reshape(rows, across * kind.itemsize, inside)
        planes = np.cumsum(steps, axis=1, dtype=np.uint8).reshape(rows, kind.itemsize, across * inside)
        joined = np.ascontiguousarray(planes.swapaxes(1, 2))
        return joined.view(kind.newbyteorder(">")).reshape(shape)
    values: Samples = np.frombuffer(raw, kind).reshape(shape)
    if predictor == 2:
        words = values.view(kind.str.replace("f", "u").replace("i", "u"))
        native = words.dtype.newbyteorder("=")
        return np.cumsum(words, axis=1, dtype=native).view(kind.newbyteorder("="))
    if predictor != 1:
        raise ValueError(f"unknown predictor {predictor}")
    return values
