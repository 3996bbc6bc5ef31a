"""Shared targets: computed once, never wrong, never too many."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
import torch
from torch import Tensor

import plain
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.regions import Regions
from impasto.network.tiles import WHOLE, Plan, observe
from impasto.network.weights.loading import Weights, load
from impasto.paint import targets
from impasto.paint.targets import Targets
from impasto.paint.transfer import Transfer
from impasto.recipe import Recipe

LAYERS = ("relu1_1", "relu2_1")
GRAMS, MAPS = ([Look(name, kind, "style") for name in LAYERS] for kind in ("gram", "map"))


@pytest.fixture
def thin(thin_path: str) -> Weights:
    return load(thin_path)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The layers of every pass through a network."""
    found: list[tuple[str, ...]] = []

    def watched(encoder: Encoder, picture: Tensor, looks: Collection[Look], plan: Plan, regions: Regions) -> Any:
        found.append(tuple(look.layer for look in looks))
        return observe(encoder, picture, looks, plan, regions)

    monkeypatch.setattr(targets, "observe", watched)
    return found


def picture(seed: int = 0) -> Tensor:
    return torch.rand(3, 20, 24, generator=torch.Generator().manual_seed(seed))


def test_a_picture_seen_again_is_not_looked_at_again(thin: Weights, looks: list[Any]) -> None:
    shared, own = Targets(), Encoder(thin)
    first = shared.look(own, picture(), GRAMS, WHOLE)
    again = shared.look(Encoder(thin), picture(), GRAMS, WHOLE)
    assert len(looks) == 1
    assert all(torch.equal(first[look], again[look]) for look in GRAMS)
    assert all(torch.equal(first[look], observe(own, picture(), GRAMS)[look]) for look in GRAMS)


def test_only_layers_not_yet_known_are_computed(thin: Weights, looks: list[Any]) -> None:
    shared = Targets()
    shared.look(Encoder(thin), picture(), MAPS[:1], WHOLE)
    found = shared.look(Encoder(thin), picture(), MAPS, WHOLE)
    assert looks == [("relu1_1",), ("relu2_1",)]
    assert list(found) == MAPS


@pytest.mark.parametrize(
    "other", [{"border": 0}, {"pooling": "average"}, {"dtype": torch.float64}], ids=["border", "pooling", "precision"]
)
def test_another_way_of_looking_is_another_target(thin: Weights, looks: list[Any], other: dict[str, Any]) -> None:
    shared = Targets()
    shared.look(Encoder(thin), picture(), GRAMS, WHOLE)
    shared.look(Encoder(thin, **other), picture(), GRAMS, WHOLE)
    shared.look(Encoder(thin), picture(1), GRAMS, WHOLE)
    shared.look(Encoder(thin), picture().flip(1), GRAMS, WHOLE)
    shared.look(Encoder(thin), picture(), MAPS, WHOLE)
    assert len(looks) == 5


def test_no_more_is_kept_than_allowed(thin: Weights, looks: list[Any]) -> None:
    shared = Targets(limit=4 * 4 * 4)  # one Gram matrix of four channels
    for _ in range(2):
        for seed in (0, 1):
            assert shared.look(Encoder(thin), picture(seed), GRAMS[:1], WHOLE)[GRAMS[0]].shape == (4, 4)
    assert len(looks) == 4
    shared.look(Encoder(thin), picture(1), GRAMS[:1], WHOLE)
    assert len(looks) == 4


def test_transfers_that_share_targets_paint_the_same(thin_path: str, looks: list[Any]) -> None:
    options = Recipe(style_loss="gram", net=thin_path, size=32, levels=1, iterations=2, precision="float32")
    content, style = plain.picture(24, 32), plain.picture(24, 30, 1)

    def painted(shared: Targets | None, **other: Any) -> Tensor:
        transfer = Transfer(content, style, options.replace(**other), targets=shared)
        for _ in transfer.steps():
            pass
        return transfer.result().image

    shared = Targets()
    pictures = [painted(shared), painted(shared, style_weight=3.0), painted(shared, content_layer="relu3_1")]
    assert len(looks) == 3  # content and style once, then the new content layer alone
    assert looks[2] == ("relu3_1",)
    alone = [painted(None), painted(None, style_weight=3.0), painted(None, content_layer="relu3_1")]
    assert all(torch.equal(one, other) for one, other in zip(pictures, alone, strict=True))


def test_a_network_is_read_once(thin_path: str) -> None:
    shared = Targets()
    assert shared.weights(thin_path) is shared.weights(thin_path)


def test_nothing_is_hashed_where_nothing_is_kept(thin: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "digest", lambda _: pytest.fail("hashed"))
    found = Targets(limit=0).look(Encoder(thin), picture(), GRAMS, WHOLE)
    assert torch.equal(found[GRAMS[0]], observe(Encoder(thin), picture(), GRAMS)[GRAMS[0]])
