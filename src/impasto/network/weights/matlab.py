"""MATLAB 5 files, read in plain Python: cells, structures, numbers and text, all that a MatConvNet file holds.

Written out here because the compiled readers crash the whole process on a damaged file. Layout: "MAT-File Format",
The MathWorks, chapter "Level 5". Everything else in a file (sparse matrices, objects, functions) is read as None.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["variables"]

HEADER = 128  # bytes; the last two are IM in a little-endian file
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
MATRIX, COMPRESSED = 14, 15
CELL, STRUCTURE, CHARACTERS = 1, 2, 4
NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}


def variables(data: bytes, limit: int) -> dict[str, Any]:
    """Variables of a MATLAB 5 file by name, cells as lists and structures as dictionaries (lists of them if several).

    `limit`: bytes that compressed parts may grow to, each. Raises ValueError and its kin for a damaged file.
    """
    order = {b"IM": "<", b"MI": ">"}[data[HEADER - 2 : HEADER]]
    return dict(_top(memoryview(data)[HEADER:], order, limit))


def _top(buffer: memoryview, order: str, limit: int) -> Iterator[tuple[str, Any]]:
    parts = _Elements(buffer, order)
    while parts.left():
        kind, content = parts.next()
        if kind == COMPRESSED:
            inflater = zlib.decompressobj()
            content = memoryview(inflater.decompress(content, limit))
            if not inflater.eof:
                raise ValueError("compressed part is cut short or too large")
            kind, content = _Elements(content, order).next()
        if kind == MATRIX and content:
            yield _array(content, order)


class _Elements:
    """The elements of a buffer, one after the other, each as its type and content."""

    def __init__(self, buffer: memoryview, order: str) -> None:
        self.buffer, self.order, self.position = buffer, order, 0

    def left(self) -> int:
        return len(self.buffer) - self.position

    def next(self, expected: int | None = None) -> tuple[int, memoryview]:
        kind, size = struct.unpack_from(f"{self.order}II", self.buffer, self.position)
        start, padding = self.position + 8, -size % 8
        if kind >> 16:  # up to four bytes stand inside the tag, beside their type and size
            kind, size, start, padding = kind & 0xFFFF, kind >> 16, self.position + 4, 0
            end = start + 4
            if size > 4:
                raise ValueError("small element of more than 4 bytes")
        else:
            end = start + size
        if end > len(self.buffer) or expected not in (None, kind):
            raise ValueError(f"element of type {kind} and {size} bytes is out of place")
        self.position = min(end + (0 if kind == COMPRESSED else padding), len(self.buffer))
        return kind, self.buffer[start : start + size]


def _array(buffer: memoryview, order: str) -> tuple[str, Any]:
    """Name and value of one array."""
    parts = _Elements(buffer, order)
    kind = struct.unpack_from(f"{order}I", parts.next(6)[1])[0] & 0xFF
    shape = tuple(int(side) for side in np.frombuffer(parts.next(5)[1], f"{order}i4"))
    if min(shape) < 0:
        raise ValueError("negative size")
    name = bytes(parts.next(1)[1]).decode("latin-1")
    if kind == CELL:
        return name, _several(parts, math.prod(shape))
    if kind == STRUCTURE:
        length = int(np.frombuffer(parts.next(5)[1], f"{order}i4")[0])
        text = bytes(parts.next(1)[1])
        fields = [text[i : i + length].split(b"\0")[0].decode("latin-1") for i in range(0, len(text), length)]
        values = _several(parts, math.prod(shape) * len(fields))
        items = [dict(zip(fields, values[i:], strict=False)) for i in range(0, len(values), len(fields) or 1)]
        return name, items[0] if len(items) == 1 else items
    if kind == CHARACTERS:
        stored, content = parts.next()
        endian = {"<": "-le", ">": "-be"}[order] if TEXT[stored] in ("utf-16", "utf-32") else ""
        return name, bytes(content).decode(TEXT[stored] + endian)
    if kind in NUMBERS:
        stored, content = parts.next()
        numbers = np.frombuffer(content, order + STORED[stored]).reshape(shape, order="F")
        return name, numbers.astype(NUMBERS[kind], copy=False)  # whole numbers are stored in as few bytes as will do
    return name, None


def _several(parts: _Elements, count: int) -> list[Any]:
    if count > parts.left() // 8:
        raise ValueError(f"{count} arrays in {parts.left()} bytes")
    contents = [parts.next(MATRIX)[1] for _ in range(count)]
    return [_array(content, parts.order)[1] if content else None for content in contents]
