"""Whose colours, as a whole: mean and covariance of the result's pixels against the paintings'."""

from __future__ import annotations

from torch import Tensor

from impasto.losses.gaussians import exact, root, wasserstein
from impasto.losses.gaussians import of as gaussian_of
from impasto.losses.terms import PixelTerm, Seen, Term, at_least, total
from impasto.losses.variation import WHITE, wants

__all__ = ["build", "wants"]


def build(seen: Seen) -> list[Term]:
    """One term: Σ w_i W² of the pixels' Gaussians; relative: over the variance of the painting's colours."""
    recipe = seen.recipe
    if not recipe.palette_weight:
        return []
    targets = []
    for b, painting in zip(seen.blend, seen.paintings, strict=True):
        mean, C = gaussian_of(exact(painting.to(seen.pixels.device)).flatten(1))
        norm = at_least(C.trace().item(), mean) if recipe.units == "relative" else WHITE**-2
        targets.append((b / norm, mean, root(C)))

    def value(pixels: Tensor) -> Tensor:
        mean, C = gaussian_of(exact(pixels).flatten(1))
        return total(share * wasserstein(mean, C, other, half) for share, other, half in targets).float()

    return [PixelTerm("palette", recipe.palette_weight, value)]
