"""What a picture begins a finer level with."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import plain
from impasto.pictures.detail import finer, resample

COARSE, FINE = (16, 24), (32, 48)


def fine_part(picture: Tensor) -> Tensor:
    """What is lost at half the size."""
    height, width = picture.shape[1:]
    return picture - resample(resample(picture, (height // 2, width // 2)), (height, width))


def test_flat_pictures_are_only_enlarged() -> None:
    grey = torch.full((3, *FINE), 0.5)
    small = plain.picture(*COARSE)
    assert torch.allclose(finer(small, FINE, grey, [(grey, 1.0, None)], 0), resample(small, FINE), atol=1e-6)


def test_half_of_the_starts_own_detail_comes_along() -> None:
    flat, generator = torch.full((3, *COARSE), 0.5), torch.Generator().manual_seed(0)
    start = 0.4 + 0.2 * torch.rand(3, *FINE, generator=generator)
    found = finer(flat, FINE, start, [(torch.full((3, 20, 20), 0.3), 1.0, None)], 0)
    assert torch.allclose(found - 0.5, fine_part(start) / 2, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_grain_is_grey_and_half_as_strong_as_the_paintings(channels: int) -> None:
    flat, generator = torch.full((channels, *COARSE), 0.5), torch.Generator().manual_seed(0)
    first, second = (0.4 + width * torch.rand(channels, 40, 44, generator=generator) for width in (0.1, 0.3))
    found = finer(flat, FINE, torch.full((channels, *FINE), 0.5), [(first, 0.25, None), (second, 0.75, None)], 7) - 0.5
    wanted = (0.25 * fine_part(first).std(correction=0) + 0.75 * fine_part(second).std(correction=0)) / 2
    assert found.std(correction=0).item() == pytest.approx(wanted.item(), rel=1e-3)
    assert (found - found[:1]).abs().max() < 1e-6
    assert resample(found, COARSE).std() < found.std() / 3  # nothing broad


def test_hidden_pixels_of_a_painting_give_no_grain() -> None:
    flat, wild = torch.full((3, *COARSE), 0.5), plain.picture(40, 44)
    half = torch.full((3, 40, 44), 0.5)
    half[:, :, 30:] = torch.rand(3, 40, 14)
    counts = torch.zeros(1, 40, 44)
    counts[:, :, :24] = 1
    found = finer(flat, FINE, torch.full((3, *FINE), 0.5), [(half, 1.0, counts)], 7)
    assert (found - 0.5).abs().max() < 1e-3
    one, other = (finer(flat, FINE, torch.full((3, *FINE), 0.5), [(wild, 1.0, w)], 7) for w in (None, counts * 0 + 1))
    assert torch.allclose(one, other, atol=1e-6)


def test_a_seed_is_a_grain_and_the_box_is_kept() -> None:
    small, start, style = plain.picture(*COARSE), plain.picture(*FINE, 1), plain.picture(30, 30, 2)
    first, again, other = (finer(small, FINE, start, [(style, 1.0, None)], seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 1)])
def test_the_smallest_pictures(size: tuple[int, int]) -> None:
    found = finer(torch.full((3, 1, 1), 0.2), size, torch.full((3, *size), 0.7), [(torch.rand(3, *size), 1.0, None)], 0)
    assert found.shape == (3, *size)
    assert torch.isfinite(found).all()


def test_resampling_to_the_same_size_changes_nothing() -> None:
    picture = plain.picture(9, 7)
    assert resample(picture, (9, 7)) is picture
