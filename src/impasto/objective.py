"""The objective of one pyramid level: what is compared, against which targets, with which weights.

Every loss of the report is one function in `losses` and one row in `TERMS`: a builder that looks at the recipe and
returns the terms it asks for. A term holds its targets and gives one scalar from the features and the pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto import layers, losses
from impasto.encoder import Encoder
from impasto.optimize import Evaluation
from impasto.recipe import Recipe

__all__ = ["TERMS", "Objective", "Setting", "Term"]

Features = Mapping[str, Tensor]
WHITE = 255.0  # the scale on which the report takes its sums over pixels


@dataclass(frozen=True)
class Term:
    """One summand of eq. 5: `weight` · `value(features, pixels)`, pixels RGB 0…1, 3×H×W."""

    name: str
    weight: float
    layers: tuple[str, ...]
    value: Callable[[Features, Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    """What the terms of one level are built from.

    `content`: RGB 0…1, 3×H×W, at the level's size. `grams`: for each style picture its Gram matrices by layer, each
    over its own number of positions. `blend`: w_i of eq. 6. `area`: pixels of the full size over pixels of this level.
    """

    recipe: Recipe
    content: Tensor
    content_features: Features
    grams: tuple[Mapping[str, Tensor], ...]
    blend: tuple[float, ...]
    area: float


def _content(setting: Setting) -> list[Term]:
    """Eq. 1 at each content layer."""
    recipe, targets = setting.recipe, setting.content_features
    weights = layers.resolve(recipe.content_layer)
    if recipe.units == "relative":
        scale = {
            name: 1 / _at_least(losses.content_loss(P, torch.zeros_like(P)).item(), P) for name, P in targets.items()
        }
        compare = losses.content_loss
    elif recipe.units == "paper":
        scale, compare = dict.fromkeys(targets, setting.area), losses.content_loss
    else:  # its normaliser holds √M of the full size
        scale, compare = dict.fromkeys(targets, setting.area**0.5), losses.report_content_loss

    def value(features: Features, pixels: Tensor) -> Tensor:
        return _sum(w * scale[name] * compare(features[name].float(), targets[name]) for name, w in weights.items())

    return [Term("content", recipe.content_weight, tuple(weights), value)]


def _style(setting: Setting) -> list[Term]:
    """Eqs 3, 4 and 6, all styles as one target per layer; the value is eq. 6's own, with its constant."""
    recipe = setting.recipe
    weights = layers.resolve(recipe.style_layer)
    targets, factors, constants = {}, {}, 0.0
    for name, w in weights.items():
        grams = [gram[name] for gram in setting.grams]
        norm = [losses.gram_distance(A, torch.zeros_like(A)).item() for A in grams]
        share = [
            b / (_at_least(n, A) if recipe.units == "relative" else 1.0)
            for b, n, A in zip(setting.blend, norm, grams, strict=True)
        ]
        targets[name], spread = losses.multi_style_target(grams, share)
        factors[name] = w * sum(share)
        constants += w * spread / (4 * grams[0].shape[0] ** 2)

    def value(features: Features, pixels: Tensor) -> Tensor:
        distances = (
            factors[name] * losses.gram_distance(losses.mean_gram(features[name]), targets[name]) for name in weights
        )
        return _sum(distances) + constants

    return [Term("style", recipe.style_weight, tuple(weights), value)]


def _total_variation(setting: Setting) -> list[Term]:
    """Eq. 8 of the result's pixels."""
    recipe = setting.recipe
    height, width = setting.content.shape[-2:]
    scale = WHITE * setting.area if recipe.units != "relative" else 1 / (height * width)
    return [Term("tv", recipe.tv_weight, (), lambda features, pixels: scale * losses.total_variation(pixels))]


def _laplacian(setting: Setting) -> list[Term]:
    """Eqs 10 and 14, one term per pooling."""
    return [_one_laplacian(setting, pool, gamma) for pool, gamma in setting.recipe.laplacians().items()]


def _one_laplacian(setting: Setting, pool: int, gamma: float) -> Term:
    recipe = setting.recipe
    exact = recipe.laplacian_exact
    target = losses.pooled_laplacian(setting.content * WHITE, pool, exact)
    # A content without edges has nothing to compare against: one grey level per position is the least.
    scale = 1 / max(target.square().sum().item(), target.numel(), 1) if recipe.units == "relative" else setting.area

    def value(features: Features, pixels: Tensor) -> Tensor:
        return scale * (losses.pooled_laplacian(pixels * WHITE, pool, exact) - target).square().sum()

    return Term(f"laplacian {pool}", gamma, (), value)


TERMS: tuple[Callable[[Setting], list[Term]], ...] = (_content, _style, _total_variation, _laplacian)


class Objective:
    """Eq. 5 and its companions at one level: a picture in, value, gradient and terms out."""

    def __init__(self, encoder: Encoder, setting: Setting) -> None:
        self.encoder = encoder
        self.terms = [term for build in TERMS for term in build(setting) if term.weight > 0]
        self.layers = tuple({name: None for term in self.terms for name in term.layers})

    def __call__(self, picture: Tensor) -> Evaluation:
        """Value, gradient and terms at a picture 3×H×W or 1×H×W (luminance), 0…1."""
        picture = picture.detach().requires_grad_()
        with torch.enable_grad():
            pixels = picture.expand(3, *picture.shape[-2:])
            features = self.encoder(pixels, self.layers) if self.layers else {}
            values = {term.name: term.value(features, pixels) for term in self.terms}
            total = _sum(term.weight * values[term.name] for term in self.terms)
        (gradient,) = torch.autograd.grad(total, picture)
        return Evaluation(total.item(), gradient, {name: value.item() for name, value in values.items()})


def _sum(values: object) -> Tensor:
    return torch.stack(list(values)).sum()  # type: ignore[call-overload]


def _at_least(norm: float, reference: Tensor) -> float:
    """A norm to divide by, never 0: a picture of one colour can silence a thin network's layer."""
    return max(norm, 1e-6 * reference.numel())
