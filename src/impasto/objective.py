"""The objective of one pyramid level: what is compared, against which targets, with which weights.

Every loss of the report is one function in `losses` and one row in `TERMS`: a builder that looks at the recipe and
returns the terms it asks for. A term holds its targets and gives one scalar. There are three kinds, by what they look
at: pixels, maps position by position, or Gram matrices; `tiles` can take each apart without changing its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto import layers, losses
from impasto.encoder import Encoder
from impasto.optimize import Evaluation
from impasto.recipe import Recipe
from impasto.tiles import WHOLE, Plan, Walk

__all__ = ["TERMS", "GramTerm", "MapTerm", "Objective", "PixelTerm", "Setting", "Term"]

WHITE = 255.0  # the scale on which the report takes its sums over pixels


@dataclass(frozen=True)
class PixelTerm:
    """A summand of eq. 5, `weight` · `value(pixels)`; pixels are RGB 0…1, 3×H×W."""

    name: str
    weight: float
    value: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class MapTerm:
    """A summand of eq. 5 that is a sum over positions: `value(layer, F, rows)` is the part of these rows of a map."""

    name: str
    weight: float
    layers: tuple[str, ...]
    value: Callable[[str, Tensor, slice], Tensor]


@dataclass(frozen=True)
class GramTerm:
    """A summand of eq. 5, `weight` · `value(G)`; G are Gram matrices by layer, each over its number of positions."""

    name: str
    weight: float
    layers: tuple[str, ...]
    value: Callable[[Mapping[str, Tensor]], Tensor]


Term = PixelTerm | MapTerm | GramTerm


@dataclass(frozen=True)
class Setting:
    """What the terms of one level are built from.

    `content`: RGB 0…1, 3×H×W, at the level's size. `grams`: for each style picture its Gram matrices by layer, each
    over its own number of positions. `blend`: w_i of eq. 6. `area`: pixels of the full size over pixels of this level.
    """

    recipe: Recipe
    content: Tensor
    content_features: Mapping[str, Tensor]
    grams: tuple[Mapping[str, Tensor], ...]
    blend: tuple[float, ...]
    area: float


def _content(setting: Setting) -> list[Term]:
    """Eq. 1 at each content layer."""
    recipe, targets = setting.recipe, setting.content_features
    weights = layers.resolve(recipe.content_layer)
    if recipe.units == "relative":
        scale = {name: 1 / _at_least(0.5 * _energy(P), P) for name, P in targets.items()}
    elif recipe.units == "paper":
        scale = dict.fromkeys(targets, setting.area)
    else:  # losses.report_content_loss; its normaliser √(N M) holds the M of the full size
        scale = {name: (setting.area / P.numel()) ** 0.5 for name, P in targets.items()}

    def value(layer: str, F: Tensor, rows: slice) -> Tensor:
        P = targets[layer][:, rows]
        return weights[layer] * scale[layer] * losses.content_loss(_wide(F), _wide(P))

    return [MapTerm("content", recipe.content_weight, tuple(weights), value)]


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

    def value(G: Mapping[str, Tensor]) -> Tensor:
        return _sum(factors[name] * losses.gram_distance(G[name], targets[name]) for name in weights) + constants

    return [GramTerm("style", recipe.style_weight, tuple(weights), value)]


def _total_variation(setting: Setting) -> list[Term]:
    """Eq. 8 of the result's pixels."""
    recipe = setting.recipe
    height, width = setting.content.shape[-2:]
    scale = WHITE * setting.area if recipe.units != "relative" else 1 / (height * width)
    return [PixelTerm("tv", recipe.tv_weight, lambda pixels: scale * losses.total_variation(pixels))]


def _laplacian(setting: Setting) -> list[Term]:
    """Eqs 10 and 14, one term per pooling."""
    return [_one_laplacian(setting, pool, gamma) for pool, gamma in setting.recipe.laplacians().items()]


def _one_laplacian(setting: Setting, pool: int, gamma: float) -> Term:
    recipe = setting.recipe
    exact = recipe.laplacian_exact
    target = losses.pooled_laplacian(setting.content * WHITE, pool, exact)
    # A content without edges has nothing to compare against: one grey level per position is the least.
    scale = 1 / max(target.square().sum().item(), target.numel(), 1) if recipe.units == "relative" else setting.area

    def value(pixels: Tensor) -> Tensor:
        return scale * (losses.pooled_laplacian(pixels * WHITE, pool, exact) - target).square().sum()

    return PixelTerm(f"laplacian {pool}", gamma, value)


TERMS: tuple[Callable[[Setting], list[Term]], ...] = (_content, _style, _total_variation, _laplacian)


class Objective:
    """Eq. 5 and its companions at one level: a picture in, value, gradient and terms out.

    `plan` says how much of the picture is looked at at a time; it changes memory and speed, not the numbers.
    """

    def __init__(self, encoder: Encoder, setting: Setting, plan: Plan = WHOLE) -> None:
        self.encoder, self.plan = encoder, plan
        self.terms = [term for build in TERMS for term in build(setting) if term.weight > 0]
        self.maps = [term for term in self.terms if isinstance(term, MapTerm)]
        self.grams = [term for term in self.terms if isinstance(term, GramTerm)]
        compared: list[MapTerm | GramTerm] = [*self.maps, *self.grams]
        self.layers = tuple(dict.fromkeys(name for term in compared for name in term.layers))

    def __call__(self, picture: Tensor) -> Evaluation:
        """Value, gradient and terms at a picture 3×H×W or 1×H×W (luminance), 0…1."""
        picture = picture.detach().requires_grad_()
        values: dict[str, float] = dict.fromkeys((term.name for term in self.terms), 0.0)
        outputs: list[Tensor] = []
        gradients: list[Tensor] = []
        with torch.enable_grad():
            pixels = picture.expand(3, *picture.shape[-2:])
            for term in self.terms:
                if isinstance(term, PixelTerm):
                    value = term.value(pixels)
                    values[term.name] = value.item()
                    outputs.append(value)
                    gradients.append(torch.full_like(value, term.weight))
            outputs.append(self.encoder.prepare(pixels))
        gradients.append(self._network(pixels, outputs[-1].detach(), values))
        (gradient,) = torch.autograd.grad(outputs, picture, gradients)
        total = sum(term.weight * values[term.name] for term in self.terms)
        return Evaluation(total, gradient, values)

    def _network(self, pixels: Tensor, prepared: Tensor, values: dict[str, float]) -> Tensor:
        """Add the values of the terms that look through the network; gradient by what it is given."""
        maps, grams = _layers(self.maps), _layers(self.grams)
        walk = Walk(self.encoder, pixels, maps, grams, self.plan)

        def visit(layer: str, F: Tensor, rows: slice) -> None:
            for term in self.maps:
                if layer in term.layers:
                    values[term.name] += term.value(layer, F, rows).item()

        def map_gradient(layer: str, F: Tensor, rows: slice) -> Tensor:
            F.requires_grad_()
            with torch.enable_grad():
                loss = _sum(term.weight * term.value(layer, F, rows) for term in self.maps if layer in term.layers)
            (gradient,) = torch.autograd.grad(loss, F)
            return gradient

        G = {name: mean.requires_grad_() for name, mean in walk.forward(prepared, visit, grad=True).items()}
        gram_gradients: dict[str, Tensor] = {}
        if self.grams:
            with torch.enable_grad():
                found = {term.name: term.value(G) for term in self.grams}
                loss = _sum(term.weight * found[term.name] for term in self.grams)
            values.update({name: value.item() for name, value in found.items()})
            gram_gradients = dict(zip(G, torch.autograd.grad(loss, list(G.values())), strict=True))
        return walk.backward(gram_gradients, map_gradient)


def _layers(terms: Iterable[MapTerm | GramTerm]) -> frozenset[str]:
    return frozenset(name for term in terms for name in term.layers)


def _sum(values: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(values)).sum()


def _wide(F: Tensor) -> Tensor:
    """In at least float32, as every loss is."""
    return F.to(torch.promote_types(F.dtype, torch.float32))


def _energy(P: Tensor) -> float:
    """Σ P², without a copy in float32."""
    dtype = torch.promote_types(P.dtype, torch.float32)
    return float(torch.linalg.vector_norm(P, dtype=dtype).item() ** 2)


def _at_least(norm: float, reference: Tensor) -> float:
    """A norm to divide by, never 0: a picture of one colour can silence a thin network's layer."""
    return max(norm, 1e-6 * reference.numel())
