"""The objective of one level, each term against the equations recomputed from a network written out plainly."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import plain
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.paint.objective import Objective, compared
from impasto.recipe import Recipe

NET = plain.tensors()
CONTENT, STYLES = plain.picture(36, 44), [plain.picture(48, 32, 1), plain.picture(33, 50, 2), plain.picture(32, 32, 3)]
X = plain.picture(36, 44, 9)
LAYERS = {"content_layer": ("conv2_2", "relu3_1:0.25"), "style_layer": ("relu1_1:2", "relu2_1", "relu3_1:0.5")}


def objective(
    styles: list[Tensor] | None = None,
    blend: tuple[float, ...] = (1.0,),
    area: float = 1.0,
    content: Tensor = CONTENT,
    **options: Any,
) -> Objective:
    """An objective with zero padding, put together as a transfer does."""
    recipe = Recipe(**{**LAYERS, "style_loss": "gram", "border": 0, **options})
    encoder = Encoder(plain.weights(), border=0, pooling=recipe.pooling)
    paintings = STYLES[:1] if styles is None else styles
    return compared(recipe, encoder, content, paintings, blend=blend, area=area)


def gram_over_m(F: Tensor) -> Tensor:
    flat = F.flatten(1).double()
    return flat @ flat.T / flat.shape[1]


def paper_style(x: Tensor, style: Tensor, weights: dict[str, float]) -> float:
    """Eqs 3 and 4 from the plain network."""
    F, A = plain.features(NET, x), plain.features(NET, style)
    return sum(
        w * ((gram_over_m(F[n]) - gram_over_m(A[n])) ** 2).sum().item() / (4 * F[n].shape[0] ** 2)
        for n, w in weights.items()
    )


def paper_content(x: Tensor, content: Tensor, weights: dict[str, float]) -> float:
    """Eq. 1 from the plain network."""
    F, P = plain.features(NET, x), plain.features(NET, content)
    return sum(w * 0.5 * (F[n].double() - P[n].double()).square().sum().item() for n, w in weights.items())


def steps_between_neighbours(x: Tensor) -> float:
    """Eq. 8 on 0…255."""
    pixels = 255 * x.double()
    return (pixels.diff(dim=1).abs().sum() + pixels.diff(dim=2).abs().sum()).item()


def edges(x: Tensor, pool: int, exact: bool) -> Tensor:
    """Eq. 12 or 13 on 0…255, by a convolution with the kernel of eq. 9."""
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64).view(1, 1, 3, 3)
    pooled = torch.nn.functional.avg_pool2d(255 * x.double()[:, None], pool)
    D = torch.nn.functional.conv2d(pooled, kernel)
    return (D.abs() if exact else D).sum(0)


def paper_laplacian(x: Tensor, content: Tensor, pool: int, exact: bool = False) -> float:
    return (edges(x, pool, exact) - edges(content, pool, exact)).square().sum().item()


CONTENT_W = {"conv2_2": 0.5, "relu3_1": 0.25}
STYLE_W = {"relu1_1": 2.0, "relu2_1": 1 / 3, "relu3_1": 0.5}
PAPER = {"content_weight": 3, "style_weight": 0.5, "tv_weight": 7, "laplacian": ("1:0.25", "4:11")}


@pytest.mark.parametrize("area", [1.0, 4.0, 15.5])
@pytest.mark.parametrize("exact", [False, True])
def test_paper_units_are_the_equations(exact: bool, area: float) -> None:
    found = objective(units="paper", laplacian_exact=exact, area=area, **PAPER)(X)
    expected = {
        "content": area * paper_content(X, CONTENT, CONTENT_W),
        "style": paper_style(X, STYLES[0], STYLE_W),
        "tv": area * steps_between_neighbours(X),
        "laplacian 1": area * paper_laplacian(X, CONTENT, 1, exact),
        "laplacian 4": area * paper_laplacian(X, CONTENT, 4, exact),
    }
    assert found.terms == pytest.approx(expected, rel=1e-4)
    weights = {"content": 3, "style": 0.5, "tv": 7, "laplacian 1": 0.25, "laplacian 4": 11}
    assert found.value == pytest.approx(sum(weights[name] * value for name, value in expected.items()), rel=1e-4)


def test_report_code_units_change_the_content_only() -> None:
    found, paper = (objective(units=units, area=4, **PAPER)(X).terms for units in ("report-code", "paper"))
    # Σ (F − P)² / (2 √(N M)), with M of the full size: 4 times this level's, so that Σ·4 / √4 remains
    F, P = plain.features(NET, X), plain.features(NET, CONTENT)
    expected = sum(
        w * 4 * (F[n] - P[n]).square().sum().item() / (2 * math.sqrt(4 * F[n].numel())) for n, w in CONTENT_W.items()
    )
    assert found["content"] == pytest.approx(expected, rel=1e-4)
    assert {k: v for k, v in found.items() if k != "content"} == {k: v for k, v in paper.items() if k != "content"}


def test_relative_units_divide_by_what_is_compared_against() -> None:
    found = objective(units="relative", area=4, **PAPER)(X).terms
    P, A = plain.features(NET, CONTENT), plain.features(NET, STYLES[0])
    content = sum(
        w * paper_content(X, CONTENT, {n: 1}) / (0.5 * P[n].double().square().sum().item())
        for n, w in CONTENT_W.items()
    )
    energy = {n: gram_over_m(A[n]).square().sum().item() / (4 * A[n].shape[0] ** 2) for n in STYLE_W}
    style = sum(w * paper_style(X, STYLES[0], {n: 1}) / energy[n] for n, w in STYLE_W.items())
    assert found["content"] == pytest.approx(content, rel=1e-4)
    assert found["style"] == pytest.approx(style, rel=1e-4)
    assert found["tv"] == pytest.approx(steps_between_neighbours(X) / (255 * 36 * 44), rel=1e-4)
    for pool in (1, 4):
        ratio = paper_laplacian(X, CONTENT, pool) / edges(CONTENT, pool, False).square().sum().item()
        assert found[f"laplacian {pool}"] == pytest.approx(ratio, rel=1e-4)


@pytest.mark.parametrize("blend", [(1.0, 0.0, 0.0), (0.2, 0.8, 0.0), (0.2, 0.3, 0.5)])
def test_several_styles_are_eq_6(blend: tuple[float, ...]) -> None:
    found = objective(STYLES, blend, units="paper", **PAPER)(X).terms["style"]
    expected = sum(w * paper_style(X, style, STYLE_W) for w, style in zip(blend, STYLES, strict=True))
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("units", ["paper", "relative"])
def test_several_styles_have_the_gradient_of_the_explicit_sum(units: str) -> None:
    blend, options = (0.2, 0.3, 0.5), {"units": units, "content_weight": 0, "style_weight": 1}
    together = objective(STYLES, blend, **options)(X)
    apart = [objective([style], **options)(X) for style in STYLES]
    assert together.value == pytest.approx(sum(w * one.value for w, one in zip(blend, apart, strict=True)), rel=1e-4)
    gradient = sum((w * one.gradient for w, one in zip(blend, apart, strict=True)), torch.zeros(()))
    assert torch.allclose(together.gradient, gradient, rtol=1e-3, atol=1e-4 * gradient.abs().max().item())


@pytest.mark.parametrize("units", ["paper", "report-code", "relative"])
def test_the_gradient_points_where_the_value_rises(units: str) -> None:
    function = objective(units=units, **{**PAPER, "tv_weight": 1e-2})
    start = 0.25 + 0.5 * X
    g = function(start).gradient
    direction = g / g.norm()
    step = 0.02
    slope = (function(start + step * direction).value - function(start - step * direction).value) / (2 * step)
    assert slope == pytest.approx(g.norm().item(), rel=0.05)


def test_luminance_has_one_gradient_for_its_three_channels() -> None:
    function = objective(content=CONTENT[:1].expand(3, -1, -1), units="relative", style_weight=2)
    grey, colour = function(X[:1]), function(X[:1].repeat(3, 1, 1))
    assert grey.gradient.shape == (1, 36, 44)
    assert grey.value == pytest.approx(colour.value, rel=1e-6)
    assert torch.allclose(
        grey.gradient[0], colour.gradient.sum(0), rtol=1e-3, atol=1e-4 * grey.gradient.abs().max().item()
    )


def test_a_term_of_weight_zero_is_not_computed() -> None:
    assert set(objective(content_weight=0, style_weight=1)(X).terms) == {"style"}
    assert set(objective(content_weight=1, style_weight=0)(X).terms) == {"content"}
    assert objective(content_weight=1, style_weight=0).looks == (Look("conv2_2", "rows"), Look("relu3_1", "rows"))
    assert set(objective(laplacian=("4:0", "2:1"))(X).terms) == {"content", "style", "laplacian 2"}


def test_the_content_itself_has_no_content_or_laplacian_loss() -> None:
    terms = objective(laplacian=("1:1", "4:1"), units="paper")(CONTENT).terms
    assert terms["content"] == 0
    assert terms["laplacian 1"] == terms["laplacian 4"] == 0
    assert terms["style"] > 0


@pytest.mark.parametrize("units", ["paper", "report-code", "relative"])
@pytest.mark.parametrize("shade", [0.0, 1.0])
def test_flat_pictures_give_finite_numbers(shade: float, units: str) -> None:
    flat = torch.full((3, 36, 44), shade)
    options = {"units": units, "laplacian": ("1:1", "4:1"), "tv_weight": 1}
    for x, content, style in [(flat, flat, flat), (X, flat, flat), (flat, CONTENT, flat), (flat, flat, STYLES[0])]:
        found = objective([style], content=content, **options)(x)
        assert found.finite()
        assert all(math.isfinite(value) for value in found.terms.values())


def test_average_pooling_reaches_the_terms() -> None:
    options = {"units": "paper", "content_weight": 1, "style_weight": 0}
    F, P = (plain.features(NET, p, average=True) for p in (X, CONTENT))
    expected = sum(w * 0.5 * (F[n] - P[n]).square().sum().item() for n, w in CONTENT_W.items())
    assert objective(pooling="average", **options)(X).value == pytest.approx(expected, rel=1e-4)
    assert objective(pooling="max", **options)(X).value != pytest.approx(expected, rel=1e-2)
