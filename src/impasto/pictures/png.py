"""PNG beside what Pillow does: text and profiles of any size in bounded memory, and the colours that cICP names."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from PIL import PngImagePlugin

__all__ = ["opened"]

TEXT = (b"tEXt", b"zTXt", b"iTXt")
MAX_PROFILE = 16 * 2**20  # bytes of an unpacked profile; printers' have a few megabytes


def opened(file: BinaryIO, label: str, notices: list[str]) -> PngImagePlugin.PngImageFile:
    """The header of a PNG; text and profiles that Pillow finds too long are kept from it."""
    longest, left = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    drop: list[tuple[int, int]] = []
    profile, codes = b"", b""
    for kind, start, length in _chunks(file):
        if kind == b"cICP" and length == 4 and not codes:
            codes = _body(file, start, length)
        elif kind == b"iCCP":
            packed = _body(file, start, length).partition(b"\0")[2][1:]
            if _is_longer(packed, longest):
                drop.append((start - 8, length + 12))
                profile = b"" if _is_longer(packed, MAX_PROFILE) else zlib.decompress(packed)
                if not profile:
                    notices.append(f"{label}: its colour profile has over {MAX_PROFILE:,} bytes and is ignored")
        elif kind in TEXT:
            left -= length
            packed = _packed(kind, _body(file, start, length)) if left >= 0 else b""
            left -= longest if packed else 0  # at most so much is unpacked to see how long it is
            if left < 0 or _is_longer(packed, longest):
                drop.append((start - 8, length + 12))
    picture = PngImagePlugin.PngImageFile(_without(file, drop), "")
    if profile:
        picture.info["icc_profile"] = profile
    if codes:
        picture.info["cicp"] = tuple(codes)
    return picture


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place of the body and its length, as far as the chunks can be followed."""
    end, at = file.seek(0, io.SEEK_END), 8
    while at + 12 <= end:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[:4], "big")
        if at + 12 + length > end:
            return
        yield head[4:], at + 8, length
        at += 12 + length


def _body(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)


def _packed(kind: bytes, body: bytes) -> bytes:
    """The deflated part of a text chunk, if it has one."""
    rest = body.partition(b"\0")[2]
    if kind == b"zTXt":
        return rest[1:]
    return rest[2:].split(b"\0", 2)[-1] if kind == b"iTXt" and rest[:1] == b"\1" else b""


def _is_longer(packed: bytes, limit: int) -> bool:
    unpacker = zlib.decompressobj()
    try:
        return len(unpacker.decompress(packed, limit + 1)) > limit
    except zlib.error:  # Pillow bears it
        return False


def _without(file: BinaryIO, drop: list[tuple[int, int]]) -> BinaryIO:
    """The file from its beginning, or a copy of it without some stretches (offset, length)."""
    file.seek(0)
    if not drop:
        return file
    kept = io.BytesIO()
    for offset, length in drop:
        kept.write(file.read(offset - file.tell()))
        file.seek(length, io.SEEK_CUR)
    kept.write(file.read())
    kept.seek(0)
    return kept
