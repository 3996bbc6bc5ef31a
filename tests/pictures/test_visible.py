"""Pictures with hidden parts: what is put there, and what resizing brings in from there."""

from __future__ import annotations

import pytest
import torch

import plain
from impasto.pictures.resize import resize
from impasto.pictures.visible import filled, hidden, resized

PICTURE = plain.picture(40, 56)
ROUND = ((torch.arange(40)[:, None] - 20).square() + (torch.arange(56)[None] - 28).square() < 225).float()[None]


def test_visible_pixels_stay_and_hidden_ones_are_like_those_beside_them() -> None:
    spoiled = torch.where(ROUND > 0, PICTURE, torch.rand(3, 40, 56))
    found = filled(spoiled, ROUND)
    assert torch.equal(found * ROUND, PICTURE * ROUND)
    assert torch.equal(found, filled(PICTURE, ROUND))  # whatever was hidden
    visible = PICTURE[:, ROUND[0] > 0]
    assert (found.amax((1, 2)) <= visible.amax(1) + 1e-6).all()
    assert (found.amin((1, 2)) >= visible.amin(1) - 1e-6).all()
    halves = torch.cat([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)], 2)
    stripes = torch.ones(1, 8, 16)
    stripes[:, :, 2:6] = stripes[:, :, 10:14] = 0
    assert torch.equal(filled(halves, stripes)[:, :, :6], halves[:, :, :6])
    assert torch.equal(filled(halves, stripes)[:, :, 10:], halves[:, :, 10:])


@pytest.mark.parametrize("alpha", [torch.ones(1, 40, 56), torch.full((1, 40, 56), 0.5), torch.zeros(1, 40, 56)])
def test_nothing_or_everything_hidden_changes_nothing(alpha: torch.Tensor) -> None:
    assert torch.equal(filled(PICTURE, alpha), PICTURE)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (5, 3)])
def test_odd_sizes_with_one_pixel_visible(size: tuple[int, int]) -> None:
    alpha = torch.zeros(1, *size)
    alpha[:, -1, -1] = 0.3
    picture = torch.rand(3, *size)
    assert torch.allclose(filled(picture, alpha), picture[:, -1:, -1:].expand(3, *size), atol=1e-6)


def test_hidden_lines_are_counted_at_each_side() -> None:
    alpha = torch.zeros(1, 10, 20)
    alpha[:, 3:9, 5:18] = 1
    assert hidden(alpha) == (3, 1, 5, 2)
    assert hidden(torch.zeros(1, 4, 4)) == (0, 0, 0, 0)


@pytest.mark.parametrize("size", [(20, 28), (13, 19), (80, 112)])
def test_colours_of_faint_pixels_do_not_reach_visible_ones(size: tuple[int, int]) -> None:
    """Black that is seen beside white that is hardly seen stays black; plain resizing mixes them."""
    alpha = torch.full((1, 40, 56), 0.004)
    alpha[:, :, :28] = 1
    picture = (1 - alpha).round().expand(3, -1, -1)
    rgb, cover = resized(picture, alpha, size)
    assert cover is not None
    assert rgb[:, cover[0] > 0.25].max() < 0.02
    assert resize(picture, size)[:, cover[0] > 0.25].max() > 0.05


def test_without_alpha_it_is_plain_resizing() -> None:
    rgb, alpha = resized(PICTURE, None, (20, 28))
    assert alpha is None
    assert torch.equal(rgb, resize(PICTURE, (20, 28)))
