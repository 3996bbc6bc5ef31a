"""The photo's edges: eqs 10 and 14, at one scale or several."""

from __future__ import annotations

from torch import Tensor

from impasto.losses.equations import pooled_laplacian
from impasto.losses.terms import PixelTerm, Seen, Term
from impasto.losses.variation import WHITE, wants

__all__ = ["build", "wants"]


def build(seen: Seen) -> list[Term]:
    """One term per pooling."""
    return [_at_pooling(seen, pool, gamma) for pool, gamma in seen.recipe.laplacians().items()]


def _at_pooling(seen: Seen, pool: int, gamma: float) -> Term:
    recipe = seen.recipe
    exact = recipe.laplacian_exact
    visible = seen.pixel_weights()
    target = pooled_laplacian(seen.pixels * WHITE, pool, exact, visible)
    # A content without edges has nothing to compare against: one grey level per position is the least.
    scale = 1 / max(target.square().sum().item(), target.numel(), 1) if recipe.units == "relative" else seen.area

    def value(pixels: Tensor) -> Tensor:
        return scale * (pooled_laplacian(pixels * WHITE, pool, exact, visible) - target).square().sum()

    return PixelTerm(f"laplacian {pool}", gamma, value)
