"""Parts of a picture: their weights at every layer, and what is seen of them, against the formulas written out."""

from __future__ import annotations

import pytest
import torch

import plain
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.regions import ALL, Regions
from impasto.network.tiles import Plan, observe

PICTURE = plain.picture(44, 60)
MASK = torch.rand(1, 44, 60, generator=torch.Generator().manual_seed(3))
LAYERS = ("relu1_1", "conv2_2", "relu4_1")


def test_weights_are_means_over_the_pixels_of_a_position() -> None:
    own = Regions({2: torch.tensor([[[0.0, 1.0, 0.5], [0.0, 1.0, 0.5]]])})
    assert own.at("relu1_1", 2).tolist() == [[0.0, 1.0, 0.5], [0.0, 1.0, 0.5]]
    assert own.at("relu2_1", 2).tolist() == [[0.5]]  # a rest is dropped, as the network does
    assert own.at("relu5_1", 2).tolist() == [[0.5]]  # of a picture smaller than a position
    assert own.at("relu1_1", 1) is None
    assert (own.share("relu1_1", 1), own.share("relu1_1", 2)) == (1.0, 0.0)  # the whole; three positions of few
    assert Regions({0: torch.full((1, 8, 8), 0.5)}).share("relu1_1", 0) == 0.5
    assert not ALL
    assert ALL.share("relu5_1", 0) == 1.0


@pytest.mark.parametrize("rows", [0, 4, 8])
@pytest.mark.parametrize("name", LAYERS)
def test_moments_of_a_region_are_weighted_by_m(name: str, rows: int) -> None:
    encoder = Encoder(plain.weights(), border=16, dtype=torch.float64)
    regions = Regions({1: MASK.double()})
    looks = [Look(name, kind, region=region) for kind in ("gram", "moments") for region in (0, 1)]
    seen = observe(encoder, PICTURE.double(), looks, Plan(rows, frozenset()), regions)
    F = plain.features({k: t.double() for k, t in plain.tensors().items()}, PICTURE.double(), border=16)[name]
    m = regions.at(name, 1).flatten()
    F = torch.cat([F.flatten(1), torch.ones(1, F[0].numel())])
    for region, weights in ((0, torch.ones_like(m)), (1, m)):
        S = (F * weights) @ F.T / weights.sum()
        assert torch.allclose(seen[Look(name, "moments", region=region)], S, rtol=1e-5)
        assert torch.allclose(seen[Look(name, "gram", region=region)], S[:-1, :-1], rtol=1e-5)


def test_a_white_region_is_the_whole_picture() -> None:
    encoder = Encoder(plain.weights(), border=16)
    regions = Regions({1: torch.ones(1, 44, 60)})
    for name in LAYERS:
        looks = [Look(name, "gram", region=region) for region in (0, 1)]
        whole, white = observe(encoder, PICTURE, looks, regions=regions).values()
        assert torch.equal(whole, white)
