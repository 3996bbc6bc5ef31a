"""Whose colours, as a whole: mean and covariance of the result's pixels against the paintings'."""

from __future__ import annotations

from torch import Tensor

from impasto.losses.gaussians import exact, root, wasserstein
from impasto.losses.gaussians import of as gaussian_of
from impasto.losses.terms import PixelTerm, Seen, Term, at_least, total
from impasto.losses.variation import WHITE, wants
from impasto.network.regions import Regions

__all__ = ["build", "wants"]


def build(seen: Seen) -> list[Term]:
    """One term: Σ w_i W² of the pixels' Gaussians; relative: over the variance of the painting's colours."""
    recipe = seen.recipe
    if not recipe.palette_weight:
        return []
    targets = []
    for region, number, b in seen.shares("relu1_1"):
        painting = exact(seen.paintings[number].to(seen.pixels.device)).flatten(1)
        mean, C = gaussian_of(painting, _weights(seen.style_regions[number], 0))
        norm = at_least(C.trace().item(), mean) if recipe.units == "relative" else WHITE**-2
        targets.append((region, b / norm, mean, root(C)))
    weights = {region: _weights(seen.regions, region) for region, *_ in targets}
    if not targets:
        return []

    def value(pixels: Tensor) -> Tensor:
        points = exact(pixels).flatten(1)
        ours = {region: gaussian_of(points, m) for region, m in weights.items()}
        return total(share * wasserstein(*ours[region], other, half) for region, share, other, half in targets).float()

    return [PixelTerm("palette", recipe.palette_weight, value)]


def _weights(regions: Regions, region: int) -> Tensor | None:
    """A region's weights of the pixels, H·W; None where all of them count."""
    weights = regions.at("relu1_1", region)  # a layer with a position for every pixel
    return None if weights is None else exact(weights).flatten()
