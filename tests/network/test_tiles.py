"""Strip by strip is the same as in one piece: features, Gram matrices, losses and gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import plain
from impasto import losses
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.tiles import WHOLE, Plan, observe
from impasto.paint.objective import Objective, compared
from impasto.recipe import Recipe

DEEP: dict[str, Any] = {
    "content_layer": ("conv4_2", "relu3_2"),
    "style_layer": ("relu1_1", "relu2_1", "relu3_1", "conv3_4", "relu4_1", "relu5_1"),
    "laplacian": ("4:3",),
    "tv_weight": 0.5,
}
SHALLOW: dict[str, Any] = {
    "content_layer": ("relu2_2",),
    "style_layer": ("relu1_2", "relu2_2"),
    "laplacian": (),
    "tv_weight": 0.0,
}


def objective(plan: Plan, content: Tensor, style: Tensor, border: int, dtype: torch.dtype, **options: Any) -> Objective:
    recipe = Recipe(style_loss="gram", **options, style_weight=50)
    encoder = Encoder(plain.weights(), border=border, pooling=recipe.pooling, dtype=dtype)
    return compared(recipe, encoder, content, [style], plan=plan)


@pytest.mark.parametrize("rows", [2, 4, 16, 64])
@pytest.mark.parametrize(
    "kept", [frozenset(), frozenset({3, 4, 5}), frozenset({1, 2, 3, 4, 5})], ids=["none", "deep", "all"]
)
@pytest.mark.parametrize("size", [(64, 48), (67, 45), (97, 33), (17, 90)])
def test_gradients_are_those_of_the_whole_picture(size: tuple[int, int], kept: frozenset[int], rows: int) -> None:
    content, style, x = plain.picture(*size), plain.picture(50, 71, 1), plain.picture(*size, 9)
    for border, options in ((0, DEEP), (16, DEEP), (0, SHALLOW)):
        if border == 0 and min(size) < 32 and options is DEEP:
            continue
        whole = objective(WHOLE, content, style, border, torch.float64, **options)(x.double())
        strips = objective(Plan(rows, kept), content, style, border, torch.float64, **options)(x.double())
        assert strips.terms == pytest.approx(whole.terms, rel=1e-6)
        assert (strips.gradient - whole.gradient).norm() <= 1e-6 * whole.gradient.norm()


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_float32_agrees_to_rounding(pooling: str) -> None:
    content, style, x = plain.picture(83, 121), plain.picture(60, 60, 1), plain.picture(83, 121, 9)
    arguments = (content, style, 16, torch.float32)
    whole = objective(WHOLE, *arguments, pooling=pooling, **DEEP)(x)
    strips = objective(Plan(8, frozenset({5})), *arguments, pooling=pooling, **DEEP)(x)
    assert strips.value == pytest.approx(whole.value, rel=1e-5)
    assert (strips.gradient - whole.gradient).norm() <= 1e-4 * whole.gradient.norm()


def test_the_walk_is_what_autograd_makes_of_the_plain_functions() -> None:
    content, style, x = (plain.picture(40, 56, seed) for seed in (0, 1, 9))
    encoder = Encoder(plain.weights(), border=16, dtype=torch.float64)
    names = ("relu1_1", "relu3_1", "relu5_1")
    walked = objective(
        Plan(4), content, style, 16, torch.float64, content_layer=("conv4_2",), style_layer=names, units="paper"
    )(x.double())
    leaf = x.double().requires_grad_()
    F, P, A = encoder(leaf, (*names, "conv4_2")), encoder(content, ["conv4_2"]), encoder(style, names)
    total = losses.content_loss(F["conv4_2"], P["conv4_2"]) + 50 / 3 * sum(
        (losses.style_loss(F[name], A[name]) for name in names), torch.zeros(())
    )
    (gradient,) = torch.autograd.grad(total, leaf)
    assert walked.value == pytest.approx(total.item(), rel=1e-6)
    assert (walked.gradient - gradient).norm() <= 1e-6 * gradient.norm()


@pytest.mark.parametrize("rows", [0, 2, 6, 32])
def test_observed_maps_and_grams_are_the_encoder_s(rows: int) -> None:
    encoder, picture = Encoder(plain.weights(), border=16), plain.picture(75, 58)
    layers = ("relu1_1", "conv2_2", "relu4_1", "relu5_1")
    looks = [Look(name, kind) for name in layers for kind in ("map", "gram")]
    found = observe(encoder, picture, looks, Plan(rows))
    for name, F in encoder(picture, layers).items():
        assert torch.allclose(found[Look(name, "map")], F, rtol=1e-4, atol=1e-4)
        G = found[Look(name, "gram")]
        assert torch.allclose(G, losses.mean_gram(F), rtol=1e-4, atol=1e-4 * G.max().item())


@pytest.mark.parametrize("rows", [0, 4])
def test_a_thin_layer_is_compared_in_the_channels_it_stands_for(rows: int) -> None:
    """With the metric Q, loss and gradient are those of 1×1 maps Q F written out."""
    Q = torch.randn(24, 4, generator=torch.Generator().manual_seed(5))
    thin, content, style, x = plain.weights(), plain.picture(40, 56), plain.picture(33, 50, 1), plain.picture(40, 56, 9)
    assert thin.tensors["conv1_1.weight"].shape[0] == 4
    recipe = Recipe(style_loss="gram", style_layer="relu1_1", units="paper", content_weight=0, style_weight=1)
    encoder = Encoder(replace(thin, tensors={**thin.tensors, "relu1_1.metric.weight": Q}), border=0)
    G = observe(encoder, style, [Look("relu1_1", "gram")])[Look("relu1_1", "gram")]
    found = compared(recipe, encoder, content, [style], plan=Plan(rows))(x)
    leaf = x.requires_grad_()
    F, A = (torch.einsum("ts,shw->thw", Q, Encoder(thin, border=0)(p, ["relu1_1"])["relu1_1"]) for p in (leaf, style))
    loss = losses.style_loss(F, A)
    (gradient,) = torch.autograd.grad(loss, leaf)
    assert G.shape == (24, 24)
    assert found.value == pytest.approx(loss.item(), rel=1e-4)
    assert (found.gradient - gradient).norm() <= 1e-4 * gradient.norm()
