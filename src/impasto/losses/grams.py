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
    """All styles as one target per layer; the value is eq. 6's own, with its constant."""
    recipe = seen.recipe
    strength = recipe.style_losses().get("gram", 0.0)
    if not strength:
        return []
    weights = resolve(recipe.style_layer)
    targets, factors, constants = {}, {}, 0.0
    for name, w in weights.items():
        grams = [style[Look(name, "gram", "style")] for style in seen.styles]
        norm = [gram_distance(A, torch.zeros_like(A)).item() for A in grams]
        share = [
            b / (at_least(n, A) if recipe.units == "relative" else 1.0)
            for b, n, A in zip(seen.blend, norm, grams, strict=True)
        ]
        targets[name], spread = multi_style_target(grams, share)
        factors[name] = w * sum(share)
        constants += w * spread / (4 * grams[0].shape[0] ** 2)
    looks = {name: Look(name, "gram") for name in weights}

    def value(G: Mapping[Look, Tensor]) -> Tensor:
        parts = (factors[name] * gram_distance(G[look], targets[name]) for name, look in looks.items())
        return total(parts) + constants

    return [LookTerm("style", recipe.style_weight * strength, tuple(looks.values()), value)]
