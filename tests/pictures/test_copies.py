"""Copies of a painting: which there are, and what is in them."""

from __future__ import annotations

import math

import pytest
import torch

import plain
from impasto.pictures.copies import copies

PICTURE = plain.picture(24, 36)


def test_turned_and_mirrored_copies_hold_the_same_pixels() -> None:
    quarter, half, other, mirrored = copies(PICTURE, ("turned", "mirrored", "turned"))
    assert quarter.shape == other.shape == (3, 36, 24)
    assert torch.equal(half.flip(1, 2), PICTURE)
    assert torch.equal(quarter.flip(1, 2), other)
    assert torch.equal(quarter[:, 0, 0], PICTURE[:, 0, -1])
    assert torch.equal(mirrored[:, :, 0], PICTURE[:, :, -1])


def test_tilted_copies_turn_about_the_middle_without_a_black_corner() -> None:
    line = torch.zeros(1, 41, 61)
    line[:, 20] = 1
    left, right = copies(line, ["tilted"])
    rises = []
    for tilted in (left, right):
        assert tilted[0, 20, 30] == pytest.approx(1, abs=1e-4)
        heights = [tilted[0, :, column].argmax().item() for column in (15, 45)]
        rises.append(heights[1] - heights[0])
    assert abs(rises[0]) == pytest.approx(30 * math.tan(math.radians(7.5)), abs=1)
    assert rises[0] == -rises[1]
    assert torch.allclose(left, right.flip(2), atol=1e-5)
    assert copies(torch.ones(1, 9, 30), ["tilted"])[0].min() == pytest.approx(1)


def test_scaled_copies_are_of_the_sizes_of_the_paper() -> None:
    assert [tuple(copy.shape) for copy in copies(PICTURE, ["scaled"])] == [(3, 23, 34), (3, 25, 38)]
    assert copies(torch.ones(3, 1, 1), ["scaled", "turned", "mirrored"])[0].shape == (3, 1, 1)
