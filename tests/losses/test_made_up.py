"""Losses that only these tests have, of the kinds that the network's walk must carry without knowing them.

One compares 3×3 neighbourhoods of a map, one several layers together on one grid, one follows the picture with targets
that are made anew every few steps. Each is a family like any other, and is checked against autograd and in strips.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, unfold

import plain
from impasto import losses
from impasto.losses.terms import LookTerm, Seen, Term
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.tiles import WHOLE, Plan
from impasto.paint import run
from impasto.paint.objective import compared
from impasto.paint.transfer import Transfer
from impasto.recipe import Recipe

CONTENT, STYLE, X = plain.picture(44, 52), plain.picture(40, 48, 1), plain.picture(44, 52, 9)
PLANS = {"whole": WHOLE, "8": Plan(8, frozenset()), "16": Plan(16, frozenset({3}))}
HYPER = ("relu1_1", "relu2_1", "relu3_1")


def patches(maps: Tensor) -> Tensor:
    """3×3 neighbourhoods, one a column."""
    return unfold(maps[None], 3)[0]


def neighbourhoods() -> Any:
    """Σ (each 3×3 neighbourhood of relu3_1 − the mean one of the style)²."""
    style, result = Look("relu3_1", "map", "style"), Look("relu3_1", "map")

    def build(seen: Seen) -> list[Term]:
        target = patches(seen.styles[0][style]).mean(1, keepdim=True)
        return [LookTerm("patches", 0.5, (result,), lambda F: (patches(F[result]) - target).square().mean())]

    return SimpleNamespace(wants=lambda recipe: [style, result], build=build)


def columns_of(F: Mapping[Look, Tensor], looks: list[Look]) -> Tensor:
    """Layers one above the other, as far as all of them reach: what is left at an edge is a cell in some only."""
    height, width = (min(F[look].shape[dim] for look in looks) for dim in (1, 2))
    return torch.cat([F[look][:, :height, :width] for look in looks])


def hypercolumns() -> Any:
    """1 − the cosine between the columns of three layers, each on a grid of 4 pixels, and those of the content."""
    content, result = ([Look(name, "map", whose, step=4) for name in HYPER] for whose in ("content", "result"))

    def build(seen: Seen) -> list[Term]:
        target = columns_of(seen.content, content)

        def value(F: Mapping[Look, Tensor]) -> Tensor:
            columns = columns_of(F, result)
            return (1 - torch.cosine_similarity(columns, target, dim=0)).mean()

        return [LookTerm("columns", 3.0, tuple(result), value)]

    return SimpleNamespace(wants=lambda recipe: [*content, *result], build=build)


class Following:
    """(relu2_1 − what it was when it was last looked at, moved by 1)², anew every three evaluations."""

    look = Look("relu2_1", "map")

    def __init__(self) -> None:
        self.targets: list[Tensor] = []

    def wants(self, recipe: Recipe) -> list[Look]:
        return [self.look]

    def build(self, seen: Seen) -> list[Term]:
        def renew(F: Mapping[Look, Tensor]) -> None:
            self.targets.append(F[self.look].detach() + 1)

        def value(F: Mapping[Look, Tensor]) -> Tensor:
            return (F[self.look] - self.targets[-1]).square().mean()

        return [LookTerm("following", 1.0, (self.look,), value, every=3, renew=renew)]


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the losses be one made-up family and the report's own."""
    return lambda made: monkeypatch.setattr(losses, "FAMILIES", (*losses.FAMILIES, made))


def function(plan: Plan) -> Any:
    encoder = Encoder(plain.weights(), border=16, dtype=torch.float64)
    recipe = Recipe(
        style_loss="gram", content_layer="conv2_2", style_layer=("relu1_1", "relu3_1"), units="paper", style_weight=1e-3
    )
    return compared(recipe, encoder, CONTENT, [STYLE], plan=plan)


def by_autograd(name: str) -> tuple[float, Tensor]:
    """Value of the made-up term and its share of the gradient, from the network written out plainly."""
    net = {key: tensor.double() for key, tensor in plain.tensors().items()}
    leaf = X.double().requires_grad_()
    F, P, A = (plain.features(net, p, border=16) for p in (leaf, CONTENT.double(), STYLE.double()))
    if name == "patches":
        value = (patches(F["relu3_1"]) - patches(A["relu3_1"]).mean(1, keepdim=True)).square().mean()
        weight = 0.5
    else:
        ours, theirs = (
            torch.cat([avg_pool2d(maps[n], side) for n, side in zip(HYPER, (4, 2, 1), strict=True)]) for maps in (F, P)
        )
        value, weight = (1 - torch.cosine_similarity(ours, theirs, dim=0)).mean(), 3.0
    (gradient,) = torch.autograd.grad(weight * value, leaf)
    return value.item(), gradient


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(("name", "make"), [("patches", neighbourhoods), ("columns", hypercolumns)])
def test_value_and_gradient_are_those_of_autograd_in_strips_as_well(
    name: str, make: Any, plan: str, family: Any
) -> None:
    without = function(PLANS[plan])(X.double()).gradient
    family(make())
    found = function(PLANS[plan])(X.double())
    value, gradient = by_autograd(name)
    assert found.terms[name] == pytest.approx(value, rel=1e-6)
    own = found.gradient - without
    assert (own - gradient).norm() <= 1e-6 * gradient.norm()


@pytest.mark.parametrize("tile", [0, 8])
def test_a_transfer_carries_them(tile: int, family: Any, thin_path: str) -> None:
    family(neighbourhoods())
    family(hypercolumns())
    options = {"net": thin_path, "size": 48, "levels": 2, "iterations": 6, "precision": "float32", "tile": tile}
    found = list(Transfer(CONTENT, STYLE, Recipe(**options, style_loss="gram", style_weight=1.0)).steps())
    assert set(found[-1].losses) == {"content", "style", "patches", "columns"}
    for level in (1, 2):
        own = [step.loss for step in found if step.level == level]
        assert min(own) < 0.95 * own[0]


@pytest.mark.parametrize("tile", [0, 8])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_targets_that_follow_the_picture_are_made_anew(optimizer: str, tile: int, family: Any, thin_path: str) -> None:
    following = Following()
    family(following)
    options = {"net": thin_path, "size": 48, "levels": 1, "iterations": 24, "precision": "float32", "tile": tile}
    recipe = Recipe(**options, optimizer=optimizer, content_weight=0.1, style_weight=0, learning_rate=0.004)
    found = list(Transfer(CONTENT, STYLE, recipe).steps())
    terms = [step.losses["following"] for step in found]
    fresh = [number for number, value in enumerate(terms) if value == pytest.approx(1.0, abs=1e-6)]
    assert fresh[0] == 0  # the first target is made of the start: it is 1 away
    assert len(fresh) == len(following.targets) >= 3
    assert all(later - earlier >= 3 for earlier, later in pairwise(fresh))
    between = set(range(len(terms))) - set(fresh)
    assert min(terms[number] for number in between) < 1  # each is walked towards until the next
    assert not torch.equal(following.targets[0], following.targets[-1])


def test_the_best_picture_is_that_of_the_last_targets(family: Any, thin_path: str) -> None:
    following = Following()
    family(following)
    options = {"net": thin_path, "size": 48, "levels": 1, "iterations": 10, "precision": "float32"}
    transfer = Transfer(CONTENT, STYLE, Recipe(**options, content_weight=0.1, style_weight=0))
    result = run.follow(transfer)
    F = transfer.encoder(0 if transfer.recipe.border == 0 else 16)(result.image, ["relu2_1"])["relu2_1"]
    assert (F - following.targets[-1]).square().mean().item() == pytest.approx(result.losses["following"], rel=1e-3)
