"""Nearest places against brute force, and shares of several paintings."""

from __future__ import annotations

import pytest
import torch

from impasto.losses import matching
from impasto.losses.matching import assign, nearest, thinned


@pytest.mark.parametrize("centered", [True, False])
def test_the_nearest_is_that_of_brute_force_in_blocks_as_well(centered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.randn(7, count, generator=generator) + 1 for count in (50, 33))
    a, b = ((p - p.mean(1, keepdim=True) if centered else p) for p in (ours.double(), theirs.double()))
    cosines = torch.stack([torch.cosine_similarity(column[:, None], b, dim=0) for column in a.T])
    for block in (matching.BLOCK, 100):
        monkeypatch.setattr(matching, "BLOCK", block)
        index, value = nearest(ours, theirs, centered=centered)
        assert torch.equal(index, cosines.argmax(1))
        assert torch.allclose(value.double(), cosines.amax(1), atol=1e-5)


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.2, 0.8), (0.0, 1.0), (0.25, 0.25, 0.5)])
def test_paintings_get_their_shares_of_the_places(shares: tuple[float, ...]) -> None:
    generator = torch.Generator().manual_seed(1)
    similarity = torch.rand(len(shares), 400, generator=generator)
    similarity[0] += 0.3  # one painting is nearer almost everywhere
    taken = torch.bincount(assign(similarity, shares), minlength=len(shares)) / 400
    assert taken.tolist() == pytest.approx(shares, abs=0.01)


def test_places_go_where_the_painting_is_most_ahead() -> None:
    """Of all ways to give half of the places to each, the one with the largest sum of similarities."""
    similarity = torch.tensor([[0.9, 0.5, 0.6, 0.95], [0.8, 0.1, 0.55, 0.2]])
    assert assign(similarity, (0.5, 0.5)).tolist() == [1, 0, 1, 0]


def test_thinned_places_are_in_order_and_repeat() -> None:
    assert thinned(5, 10, 0).tolist() == [0, 1, 2, 3, 4]
    few = thinned(1000, 50, 3)
    assert len(set(few.tolist())) == 50
    assert few.tolist() == sorted(few.tolist()) == thinned(1000, 50, 3).tolist()
