"""A contact sheet: pictures in rows, or in a grid with headings, on a light ground, drawn with Pillow.

Knows nothing of transfers: it gets pictures and words, and every text keeps to the room that is its own.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from PIL import Image, ImageDraw, ImageFont

__all__ = ["CELL", "Cell", "Grid", "contained", "draw", "legible", "wrapped"]

CELL = 384  # pixels: longer side of a picture on the sheet, where it is no smaller itself and nothing else is asked for
AREA = 60_000_000  # pixels of all pictures of a sheet together, unless a size is asked for
EMPTY = (4, 3)  # shape of a cell where no picture says which

GROUND, INK, FAINT = (236, 234, 230), (58, 56, 52), (96, 94, 90)  # a warm light grey; the inks at 9:1 and 5:1
FIELD, LINE = (226, 223, 217), (188, 184, 176)  # a cell without a picture, and its border
FONT = 0.045  # of a cell's longer side,
SMALLEST, LARGEST = 12, 32  # but within these, in pixels
NARROWEST = 7  # times the size of the letters: the least width of a column, so that words find room
WORDS = 9  # the same for the column of the row headings, at most
LINES = 4  # of a heading or label; what is longer ends in an ellipsis
INPUT = 0.36  # of a cell's longer side: the inputs in the corner
SAME = {"×": "x", "–": "-", "—": "-", "≥": ">=", "≤": "<=", "ß": "ss", "ø": "o"}  # the font has ASCII and little else
BREAKS = "_/+:,=-. "  # where a long word may be parted; elsewhere only if it must

Shown = TypeVar("Shown")
Other = TypeVar("Other")
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Cell:
    """A place on the sheet: what it shows in words, and the picture or the reason why there is none."""

    label: str
    picture: Image.Image | None
    reason: str = ""


@dataclass(frozen=True)
class Grid(Generic[Shown]):
    """Cells in rows; with headings across and down where two axes span them, else each with its label."""

    rows: tuple[tuple[Shown, ...], ...]
    title: str = ""
    across: str = ""  # what the columns vary
    down: str = ""  # what the rows vary
    columns: tuple[str, ...] = ()  # its values
    sides: tuple[str, ...] = ()

    def map(self, change: Callable[[Shown], Other]) -> Grid[Other]:
        """The same grid of other cells."""
        rows = tuple(tuple(change(cell) for cell in row) for row in self.rows)
        return Grid(rows, self.title, self.across, self.down, self.columns, self.sides)


def draw(
    grid: Grid[Cell],
    *,
    cell: int | None = None,
    caption: Sequence[str] = (),
    inputs: Sequence[tuple[str, Image.Image]] = (),
) -> Image.Image:
    """Draw a sheet; `cell` is the longer side of a picture in pixels, `inputs` stand small in the lower left corner."""
    pictures = [place.picture for row in grid.rows for place in row if place.picture is not None]
    side = cell or _side(pictures, sum(len(row) for row in grid.rows))
    sizes = [contained(picture.size, side) for picture in pictures] or [contained(EMPTY, side)]
    layout = _Layout(side, (max(w for w, _ in sizes), max(h for _, h in sizes)))
    parts = [_grid(layout, grid)]
    if grid.title:
        parts.insert(0, layout.text(grid.title, parts[0].width, layout.large, INK, LINES))
    if caption or inputs:
        parts.append(_foot(layout, caption, inputs, max(parts[-1].width, 2 * NARROWEST * layout.size)))
    return _framed(_stacked(parts, layout.margin), layout.margin)


def contained(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Width and height of the same shape with `side` as the longer.

    >>> contained((800, 600), 384)
    (384, 288)
    """
    width, height = size
    longest = max(size)
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))


def legible(text: str) -> str:
    """A text in the letters that the font has: accents left off, a ? for what has no near relative.

    >>> legible("Frühling 12×3 – 春")
    'Fruhling 12x3 - ?'
    """
    plain = unicodedata.normalize("NFKD", "".join(SAME.get(letter, letter) for letter in text))
    letters = (letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() or letter == "…" else "?" for letter in letters)


def wrapped(text: str, font: Font, width: float, lines: int) -> list[str]:
    """A text in at most so many lines, none wider than `width`; what does not fit ends in an ellipsis."""
    rest, done = " ".join(legible(text).split()), list[str]()
    while rest:
        if font.getlength(rest) <= width:
            return [*done, rest]
        if len(done) == lines - 1:
            return [*done, _cut(rest, font, width)]
        count = _fitting(rest, font, width)
        done.append(rest[:count].rstrip())
        rest = rest[count:].lstrip()
    return done


class _Layout:
    """The measures that follow from the size of a cell."""

    def __init__(self, side: int, box: tuple[int, int]) -> None:
        self.side, self.box = side, box
        self.size = min(max(SMALLEST, round(FONT * side)), LARGEST)
        self.gap = max(6, round(0.75 * self.size))
        self.margin = 2 * self.gap
        self.font = ImageFont.load_default(size=self.size)
        self.large = ImageFont.load_default(size=round(1.3 * self.size))
        self.column = max(box[0], NARROWEST * self.size)

    def text(
        self, text: str, width: int, font: Font, ink: tuple[int, int, int], lines: int, *, align: str = "l"
    ) -> Image.Image:
        """A text as a picture of exactly this width (less where it is set left), as high as its lines."""
        parts = wrapped(text, font, width, lines)
        above, below = _metrics(font)
        step = round(1.15 * (above + below))
        room = width if align != "l" else min(width, math.ceil(max(map(font.getlength, parts), default=0)))
        image = Image.new("RGB", (max(1, room), max(1, step * len(parts))), GROUND)
        pen = ImageDraw.Draw(image)
        x = {"l": 0.0, "m": room / 2, "r": float(room)}[align]
        for number, part in enumerate(parts):
            pen.text((x, number * step + above), part, ink, font, anchor=f"{align}s")
        return image


def _grid(layout: _Layout, grid: Grid[Cell]) -> Image.Image:
    """The cells with their headings."""
    column, (_, high), gap = layout.column, layout.box, layout.gap
    heads = [layout.text(text, column, layout.font, INK, LINES, align="m") for text in grid.columns]
    widest = WORDS * layout.size
    sides = [layout.text(text, widest, layout.font, INK, LINES) for text in grid.sides]
    corner = layout.text(grid.down, widest, layout.font, FAINT, LINES)
    left = max((part.width for part in [*sides, corner]), default=0) + gap if sides else 0
    count = max(len(row) for row in grid.rows)
    width = left + count * column + (count - 1) * gap
    across = layout.text(grid.across, width - left, layout.font, FAINT, LINES, align="m")
    labels = [
        [] if heads else [layout.text(place.label, column, layout.font, INK, LINES, align="m") for place in row]
        for row in grid.rows
    ]
    top = across.height + gap // 2 + max(*(part.height for part in heads), corner.height) + gap // 2 if heads else 0
    heights = [
        max(high, sides[n].height if sides else 0) + max((gap // 2 + part.height for part in labels[n]), default=0)
        for n in range(len(grid.rows))
    ]
    spread = gap if heads else gap + gap // 2
    image = Image.new("RGB", (width, top + sum(heights) + spread * (len(heights) - 1)), GROUND)
    if heads:
        image.paste(across, (left, 0))
        image.paste(corner, (0, top - gap // 2 - corner.height))
        for number, part in enumerate(heads):
            image.paste(part, (left + number * (column + gap), top - gap // 2 - part.height))
    y = top
    for number, row in enumerate(grid.rows):
        if sides:
            image.paste(sides[number], (0, y + max(0, (high - sides[number].height) // 2)))
        for place, item in enumerate(row):
            x = left + place * (column + gap)
            picture = _field(layout, item)
            image.paste(picture, (x + (column - picture.width) // 2, y + (high - picture.height) // 2))
            if labels[number]:
                image.paste(labels[number][place], (x, y + high + gap // 2))
        y += heights[number] + spread
    return image


def _field(layout: _Layout, cell: Cell) -> Image.Image:
    """A picture at its size, or an empty field with the reason in it."""
    if cell.picture is not None:
        return cell.picture.resize(contained(cell.picture.size, layout.side), Image.Resampling.LANCZOS)
    width, height = layout.column, layout.box[1]
    image = Image.new("RGB", (width, height), FIELD)
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 0, width - 1, height - 1), outline=LINE)
    font = ImageFont.load_default(size=max(10, round(0.8 * layout.size)))
    above, below = _metrics(font)
    step = round(1.15 * (above + below))
    inside = layout.gap
    lines = wrapped(f"failed: {cell.reason}", font, width - 2 * inside, max(1, (height - inside) // step))
    y = max(0, (height - step * len(lines)) // 2) + above
    for number, line in enumerate(lines):
        pen.text((width / 2, y + number * step), line, FAINT, font, anchor="ms")
    return image


def _foot(
    layout: _Layout, caption: Sequence[str], inputs: Sequence[tuple[str, Image.Image]], width: int
) -> Image.Image:
    """The inputs in the corner, and the caption beside them or, where that leaves it too little room, below."""
    longest = max(48, round(INPUT * layout.side))
    sizes = [contained(picture.size, longest) for _, picture in inputs]
    high = max((tall for _, tall in sizes), default=0)
    small = []
    for (name, picture), (wide, tall) in zip(inputs, sizes, strict=True):
        image = Image.new("RGB", (wide, high), GROUND)
        image.paste(picture.resize((wide, tall), Image.Resampling.LANCZOS), (0, high - tall))
        word = layout.text(name, max(wide, NARROWEST * layout.size), layout.font, FAINT, 2)
        small.append(_stacked([image, word], layout.gap // 2))
    rows = _in_rows(small, width, layout.gap)
    corner = _stacked([_stacked(row, layout.gap, across=True) for row in rows], layout.gap) if rows else None
    room = width - (corner.width + layout.margin if corner else 0)
    beside = corner is not None and room >= max(width // 3, 2 * NARROWEST * layout.size)
    lines = [
        layout.text(line, room if beside else width, layout.font, FAINT if number else INK, 12)
        for number, line in enumerate(caption)
    ]
    words = [_stacked(lines, layout.gap // 2)] if lines else []
    if corner is None:
        return words[0]
    return _stacked([corner, *words], layout.margin if beside else layout.gap, across=beside)


def _side(pictures: Sequence[Image.Image], count: int) -> int:
    longest = max((max(picture.size) for picture in pictures), default=CELL)
    return max(1, min(longest, CELL, math.isqrt(AREA // max(1, count))))


def _in_rows(parts: Sequence[Image.Image], width: int, gap: int) -> list[list[Image.Image]]:
    rows: list[list[Image.Image]] = []
    for part in parts:
        if rows and sum(other.width + gap for other in rows[-1]) + part.width <= width:
            rows[-1].append(part)
        else:
            rows.append([part])
    return rows


def _stacked(parts: Sequence[Image.Image], gap: int, *, across: bool = False) -> Image.Image:
    """Pictures one below the other or, `across`, beside each other."""
    widths, heights = [part.width for part in parts], [part.height for part in parts]
    room = gap * (len(parts) - 1)
    size = (sum(widths) + room, max(heights)) if across else (max(widths), sum(heights) + room)
    image, place = Image.new("RGB", size, GROUND), 0
    for part in parts:
        image.paste(part, (place, 0) if across else (0, place))
        place += (part.width if across else part.height) + gap
    return image


def _framed(inner: Image.Image, margin: int) -> Image.Image:
    image = Image.new("RGB", (inner.width + 2 * margin, inner.height + 2 * margin), GROUND)
    image.paste(inner, (margin, margin))
    return image


def _metrics(font: Font) -> tuple[int, int]:
    """Pixels above and below the line that letters stand on."""
    return font.getmetrics() if isinstance(font, ImageFont.FreeTypeFont) else (11, 0)


def _fitting(text: str, font: Font, width: float) -> int:
    """How many characters of a text go on one line: up to a space, else to another good place, else what fits."""
    count = _most(text, lambda part: font.getlength(part.rstrip()) <= width)
    for breaks in (" ", BREAKS):
        for place in range(count, count // 3, -1):
            if text[place - 1] in breaks or (breaks == " " and text[place : place + 1] == " "):
                return place
    return count


def _cut(text: str, font: Font, width: float) -> str:
    return text[: _most(text, lambda part: font.getlength(part + "…") <= width)].rstrip() + "…"


def _most(text: str, fits: Callable[[str], bool]) -> int:
    """The most characters of a text that fit, at least one; by halves, as a text may be very long."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(text[:middle]) else (low, middle - 1)
    return low
