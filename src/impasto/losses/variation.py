"""Smoothness: eq. 8, total variation of the result's pixels."""

from __future__ import annotations

from impasto.losses.equations import total_variation
from impasto.losses.terms import PixelTerm, Seen, Term
from impasto.network.looks import Look
from impasto.recipe import Recipe

__all__ = ["build", "wants"]

WHITE = 255.0  # the scale on which the report takes its sums over pixels


def wants(recipe: Recipe) -> list[Look]:
    """Nothing: pixels are there without looking."""
    del recipe
    return []


def build(seen: Seen) -> list[Term]:
    """One term."""
    recipe = seen.recipe
    height, width = seen.pixels.shape[-2:]
    visible = seen.pixel_weights()
    count = height * width if visible is None else max(1.0, visible.sum().item())
    scale = WHITE * seen.area if recipe.units != "relative" else 1 / count
    return [PixelTerm("tv", recipe.tv_weight, lambda pixels: scale * total_variation(pixels, visible))]
