"""Sizes of the levels."""

from __future__ import annotations

from itertools import pairwise

import pytest

from impasto.paint import levels as pyramid


@pytest.mark.parametrize("levels", range(11))
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (500, 1), (333, 512), (97, 191), (1023, 640), (2, 3000)])
def test_every_level_is_a_picture_and_the_last_is_the_whole(size: tuple[int, int], levels: int) -> None:
    found = pyramid.sizes(*size, levels)
    assert found[-1] == size
    assert len(set(found)) == len(found)
    assert 1 <= len(found) <= (levels or 11)
    assert all(min(level) >= 1 and all(isinstance(side, int) for side in level) for level in found)
    assert found == sorted(found)
    for small, large in pairwise(found):
        assert all(abs(2 * a - b) <= 1 for a, b in zip(small, large, strict=True) if b > 1)


def test_sizes_by_hand() -> None:
    # 333/4 = 83.25, 333/2 = 166.5 → half up; 512/4, 512/2
    assert pyramid.sizes(333, 512, 3) == [(83, 128), (167, 256), (333, 512)]


def test_a_level_that_would_stand_twice_is_left_out() -> None:
    # 3 → 2 (1.5 up) → 1 (0.75) → 1 (0.375 up from 0)
    assert pyramid.sizes(3, 3, 5) == [(1, 1), (2, 2), (3, 3)]


def test_left_to_itself_it_stops_before_the_coarsest() -> None:
    for longer in (1, pyramid.COARSEST, 2 * pyramid.COARSEST - 1, 2 * pyramid.COARSEST, 3000):
        coarse = max(pyramid.sizes(longer, 1 + longer // 2)[0])
        assert coarse == longer or pyramid.COARSEST <= coarse < 2 * pyramid.COARSEST


def test_evaluations() -> None:
    assert pyramid.evaluations((9, 5), 4) == [9, 5, 5, 5]
    assert pyramid.evaluations((9, 5, 3), 2) == [9, 5]
    assert pyramid.evaluations((7,), 3) == [7, 7, 7]
