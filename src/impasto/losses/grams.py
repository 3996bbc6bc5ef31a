"""What the paintings hold, by Gram matrices: eqs 3, 4 and 6."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from impasto.layers import resolve
from impasto.losses.equations import gram_distance, multi_style_target
from impasto.losses.terms import LookTerm, Seen, Term, at_least, total
from impasto.network.looks import Look
from impasto.recipe import Recipe

__all__ = ["build", "wants"]


def wants(recipe: Recipe) -> list[Look]:
    """Gram matrices of every style picture, and of the result."""
    if not recipe.style_losses().get("gram"):
        return []
    layers = resolve(recipe.style_layer)
    return [*(Look(name, "gram", "style") for name in layers), *(Look(name, "gram") for name in layers)]


def build(seen: Seen) -> list[Term]:
    """All styles of a region as one target per layer; the value is eq. 6's own, with its constant."""
    recipe = seen.recipe
    strength = recipe.style_losses().get("gram", 0.0)
    if not strength:
        return []
    targets: dict[Look, Tensor] = {}
    factors, constants = {}, 0.0
    for name, w in resolve(recipe.style_layer).items():
        compared: dict[int, list[tuple[Tensor, float]]] = {}
        for region, number, b in seen.shares(name):
            A = seen.styles[number][Look(name, "gram", "style")]
            norm = gram_distance(A, torch.zeros_like(A)).item()
            share = b / (at_least(norm, A) if recipe.units == "relative" else 1.0)
            compared.setdefault(region, []).append((A, share))
        for region, pairs in compared.items():
            look = Look(name, "gram", region=region)
            grams, shares = [A for A, _ in pairs], [share for _, share in pairs]
            targets[look], spread = multi_style_target(grams, shares)
            factors[look] = w * sum(shares)
            constants += w * spread / (4 * grams[0].shape[0] ** 2)
    if not targets:
        return []

    def value(G: Mapping[Look, Tensor]) -> Tensor:
        parts = (factors[look] * gram_distance(G[look], A) for look, A in targets.items())
        return total(parts) + constants

    return [LookTerm("style", recipe.style_weight * strength, tuple(targets), value)]
