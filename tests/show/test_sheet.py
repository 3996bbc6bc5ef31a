"""The contact sheet: where its pictures stand, and that no text leaves the room that is its own."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFont

from impasto.show import sheet
from impasto.show.sheet import Cell, Grid, contained, draw, wrapped

RED, BLUE = (255, 0, 0), (0, 0, 255)
FONT = ImageFont.load_default(size=12)
LONG = "16:10 + 32:5 and /a/very/long/path/without_any_space_in_it/that_goes_on.png " * 5


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and last place of every unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(start), int(end) - 1) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def cells(*labels: str, size: tuple[int, int] = (120, 80)) -> tuple[Cell, ...]:
    return tuple(Cell(label, Image.new("RGB", size, RED)) for label in labels)


def test_a_row_shows_every_picture_at_its_own_size_with_its_label_below() -> None:
    image = array(draw(Grid((cells("a", "b", "c"),))))
    red = (image == RED).all(axis=2)
    assert [end - start + 1 for start, end in spans(red.any(axis=0))] == [120] * 3
    ((top, bottom),) = spans(red.any(axis=1))
    assert bottom - top + 1 == 80
    for start, end in spans(red.any(axis=0)):
        assert (image[bottom + 1 :, start : end + 1] != sheet.GROUND).any()


@pytest.mark.parametrize(("asked", "seen"), [(None, sheet.CELL), (60, 60), (900, 900)])
def test_the_longer_side_of_a_picture_is_what_was_asked_or_at_most_the_default(asked: int | None, seen: int) -> None:
    red = (array(draw(Grid((cells("a", size=(800, 400)),)), cell=asked)) == RED).all(axis=2)
    assert red.any(axis=0).sum() == seen
    assert red.any(axis=1).sum() == seen // 2


def test_pictures_of_many_sizes_stand_at_one_size() -> None:
    row = (*cells("size 50", size=(50, 25)), *cells("size 200", size=(200, 100)))
    red = (array(draw(Grid((row,)))) == RED).all(axis=2)
    assert [end - start + 1 for start, end in spans(red.any(axis=0))] == [200, 200]


@pytest.mark.parametrize("size", [(64, 48), (30, 300), (300, 30)])
def test_no_text_reaches_a_picture_another_text_or_the_edge(size: tuple[int, int]) -> None:
    rows = (cells(LONG, LONG, size=size), cells(LONG, LONG, size=size))
    grid = Grid(rows, LONG, LONG, LONG, (LONG, LONG), (LONG, LONG))
    plain = Grid(rows, LONG)
    for drawn in (grid, plain):
        image = draw(drawn, caption=[LONG, LONG], inputs=[(LONG, Image.new("RGB", (40, 30), BLUE))] * 3)
        values = array(image)
        assert ((values == RED).all(axis=2)).sum() == 4 * size[0] * size[1]  # not a letter on a picture
        margin = 2 * 9  # of letters of 12 pixels
        frame = np.ones(values.shape[:2], dtype=bool)
        frame[margin:-margin, margin:-margin] = False
        assert (values[frame] == sheet.GROUND).all()


def test_headings_stand_over_their_columns_and_beside_their_rows() -> None:
    rows = (cells("", ""), cells("", ""))
    image = array(draw(Grid(rows, across="style weight", down="layer", columns=("1", "100"), sides=("a", "b"))))
    red = (image == RED).all(axis=2)
    columns, lines = spans(red.any(axis=0)), spans(red.any(axis=1))
    for start, end in columns:
        assert (image[: lines[0][0], start : end + 1] != sheet.GROUND).any()
    for start, end in lines:
        assert (image[start : end + 1, : columns[0][0]] != sheet.GROUND).any()


def test_a_failed_cell_is_an_empty_field_with_the_reason() -> None:
    failed = Cell("b", None, "not enough memory for 640×480; use a smaller --size")
    one = array(draw(Grid(((*cells("a"), failed),))))
    other = array(draw(Grid(((*cells("a"), Cell("b", None, "")),))))
    assert ((one == sheet.FIELD).all(axis=2)).sum() > 0.7 * 120 * 80
    assert one.shape == other.shape
    assert (one != other).any()
    assert draw(Grid(((failed,),))).width > sheet.CELL  # nothing says how large a picture would have been


def test_inputs_stand_below_the_cells_on_one_line_with_their_feet() -> None:
    inputs = [("wide", Image.new("RGB", (400, 100), BLUE)), ("tall", Image.new("RGB", (100, 400), BLUE))]
    with_inputs = array(draw(Grid((cells("a", "b", size=(384, 256)),)), inputs=inputs))
    blue = (with_inputs == BLUE).all(axis=2)
    feet = {int(np.flatnonzero(blue[:, start]).max()) for start, _ in spans(blue.any(axis=0))}
    assert len(feet) == 1
    assert not (array(draw(Grid((cells("a", "b"),)))) == BLUE).all(axis=2).any()


def test_lines_are_no_wider_than_asked_and_parted_where_it_reads_best() -> None:
    for width in (40, 90, 200):
        lines = wrapped(LONG, FONT, width, 4)
        assert len(lines) == 4
        assert all(FONT.getlength(line) <= width for line in lines)
        assert lines[-1].endswith("…")
    assert wrapped("style weight 100", FONT, 80, 4) == ["style weight", "100"]
    assert wrapped("", FONT, 80, 4) == []


def test_letters_that_the_font_lacks_are_written_with_those_it_has() -> None:
    empty = bytes(FONT.getmask("\uffff"))
    for text in ("Frühling.png × Ära – 640×480 ≥ 春 ß é Å", "ﬁn.png"):
        drawn = "".join(wrapped(text, FONT, 10_000, 1))
        assert all(letter == " " or bytes(FONT.getmask(letter)) != empty for letter in drawn), drawn
    assert wrapped("Frühling × 春", FONT, 10_000, 1) == ["Fruhling x ?"]


def test_ink_can_be_read_on_the_ground() -> None:
    def light(colour: tuple[int, int, int]) -> float:
        linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for ink, ground in ((sheet.INK, sheet.GROUND), (sheet.FAINT, sheet.GROUND), (sheet.FAINT, sheet.FIELD)):
        assert (light(ground) + 0.05) / (light(ink) + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_the_shape_is_kept() -> None:
    assert contained((800, 600), 384) == (384, 288)
    assert contained((1, 10_000), 50) == (1, 50)
