"""What the photo holds: eq. 1 at each content layer, position by position."""

from __future__ import annotations

from torch import Tensor

from impasto.layers import resolve
from impasto.losses.equations import content_loss
from impasto.losses.terms import RowsTerm, Seen, Term, at_least, counted, energy, wide
from impasto.network.looks import Look
from impasto.recipe import Recipe

__all__ = ["build", "wants"]


def wants(recipe: Recipe) -> list[Look]:
    """The content's maps, whole, and the result's, a few rows at a time."""
    if not recipe.content_weight:
        return []
    layers = resolve(recipe.content_layer)
    return [*(Look(name, "map", "content") for name in layers), *(Look(name, "rows") for name in layers)]


def build(seen: Seen) -> list[Term]:
    """One term over all content layers."""
    recipe = seen.recipe
    if not recipe.content_weight:
        return []
    weights = resolve(recipe.content_layer)
    targets = {name: seen.content[Look(name, "map", "content")] for name in weights}
    visible = {name: seen.visible.at(name, 0) for name in weights}
    if recipe.units == "relative":
        scale = {name: 1 / at_least(0.5 * energy(P, visible[name]), P) for name, P in targets.items()}
    elif recipe.units == "paper":
        scale = dict.fromkeys(targets, seen.area)
    else:  # equations.report_content_loss; its normaliser √(N M) holds the M of the full size
        scale = {name: (seen.area / counted(P, visible[name])) ** 0.5 for name, P in targets.items()}

    def value(look: Look, F: Tensor, rows: slice) -> Tensor:
        P = targets[look.layer][:, rows]
        m = visible[look.layer]
        return weights[look.layer] * scale[look.layer] * content_loss(wide(F), wide(P), None if m is None else m[rows])

    return [RowsTerm("content", recipe.content_weight, tuple(Look(name, "rows") for name in weights), value)]
