"""The transforms, by numbers worked by hand and against brute force."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from impasto.losses.gaussians import of, wasserstein_gaussian
from impasto.onepass import transforms


def cloud(channels: int, seed: int, places: int = 400) -> Tensor:
    """Correlated points as a map, float64."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    points = mix @ torch.randn(channels, places, generator=generator, dtype=torch.float64)
    return (points + torch.randn(channels, 1, generator=generator, dtype=torch.float64)).view(channels, 20, -1)


def test_adain_by_hand() -> None:
    maps = torch.tensor([[[0.0, 4.0]], [[1.0, 1.0]]], dtype=torch.float64)  # mean 2, deviation 2; and flat
    style = torch.tensor([[[9.0, 11.0]], [[3.0, 5.0]]], dtype=torch.float64)  # mean 10, deviation 1; and 4, 1
    changed = transforms.apply(maps, transforms.adain(*of(maps.flatten(1)), *of(style.flatten(1))))
    assert changed[0].flatten().tolist() == pytest.approx([9, 11], abs=1e-3)
    assert changed[1].flatten().tolist() == [4, 4]  # nothing to scale: the mean alone


def test_transport_brings_mean_and_covariance() -> None:
    maps, style = cloud(5, 0), cloud(5, 1)
    changed = transforms.apply(maps, transforms.transport(*of(maps.flatten(1)), *of(style.flatten(1))))
    own, wanted = of(changed.flatten(1)), of(style.flatten(1))
    torch.testing.assert_close(own[0], wanted[0])
    torch.testing.assert_close(own[1], wanted[1], rtol=0.02, atol=0.02)
    assert wasserstein_gaussian(changed, style) < 1e-4 * wasserstein_gaussian(maps, style)


def test_transport_moves_the_points_least() -> None:
    """Its cost is W² itself; AdaIN with a rotation behind it, say, would cost more."""
    maps, style = cloud(4, 2), cloud(4, 3)
    changed = transforms.apply(maps, transforms.transport(*of(maps.flatten(1)), *of(style.flatten(1))))
    moved = (changed - maps).square().sum(0).mean()
    assert moved.item() == pytest.approx(wasserstein_gaussian(maps, style).item(), rel=0.02)


def test_transport_of_equals_is_nothing() -> None:
    maps = cloud(4, 4)
    changed = transforms.apply(maps, transforms.transport(*of(maps.flatten(1)), *of(maps.flatten(1))))
    torch.testing.assert_close(changed, maps, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("at_once", [2**25, 200])
def test_swap_is_the_most_similar_block(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "AT_ONCE", at_once)
    generator = torch.Generator().manual_seed(0)
    maps, painting = (torch.randn(3, *size, generator=generator) for size in ((6, 7), (5, 8)))
    wide = torch.nn.functional.pad(maps[None], (1, 1, 1, 1), mode="replicate")[0]
    blocks = [painting[:, r : r + 3, c : c + 3] for r, c in itertools.product(range(3), range(6))]
    total, count = torch.zeros(3, 8, 9), torch.zeros(8, 9)
    for row, column in itertools.product(range(6), range(7)):
        here = wide[:, row : row + 3, column : column + 3]
        like = [torch.cosine_similarity(here.flatten(), block.flatten(), 0).item() for block in blocks]
        total[:, row : row + 3, column : column + 3] += blocks[max(range(len(blocks)), key=like.__getitem__)]
        count[row : row + 3, column : column + 3] += 1
    torch.testing.assert_close(transforms.swap(maps, painting), (total / count)[:, 1:-1, 1:-1])


def test_swap_looks_only_where_the_painting_counts() -> None:
    painting = torch.cat([torch.ones(2, 6, 6), 5 * torch.ones(2, 6, 6)], 2)
    counted = torch.cat([torch.ones(6, 5), torch.zeros(6, 7)], 1)
    assert transforms.swap(torch.rand(2, 8, 8), painting, counted).unique().tolist() == [1]


def test_swap_takes_a_painting_smaller_than_a_block() -> None:
    assert transforms.swap(torch.rand(2, 4, 5), torch.ones(2, 1, 2)).unique().tolist() == [1]
