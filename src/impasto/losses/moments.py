"""What the paintings hold, by mean and covariance of each layer: the Wasserstein distance of Gaussians."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from impasto.layers import resolve
from impasto.losses.gaussians import exact, gaussian, root, wasserstein
from impasto.losses.terms import LookTerm, Seen, Term, at_least, total
from impasto.network.looks import Look
from impasto.recipe import Recipe

__all__ = ["build", "wants"]


def wants(recipe: Recipe) -> list[Look]:
    """Second moments with the mean, of every style picture and of the result."""
    if not recipe.style_losses().get("moments"):
        return []
    return [Look(name, "moments", whose) for whose in ("style", "result") for name in resolve(recipe.style_layer)]


def build(seen: Seen) -> list[Term]:
    """One term: Σ w_i Σ w_l W², in relative units each W² over the painting's own second moments, tr Σ + |μ|²."""
    recipe = seen.recipe
    strength = recipe.style_losses().get("moments", 0.0)
    if not strength:
        return []
    targets = []
    for name, w in resolve(recipe.style_layer).items():
        for region, number, b in seen.shares(name):
            S = exact(seen.styles[number][Look(name, "moments", "style")])
            mean, C = gaussian(S)
            norm = at_least(S[:-1, :-1].trace().item(), mean) if recipe.units == "relative" else 1.0
            targets.append((Look(name, "moments", region=region), b * w / norm, mean, root(C)))
    looks = tuple(dict.fromkeys(look for look, *_ in targets))
    if not looks:
        return []

    def value(S: Mapping[Look, Tensor]) -> Tensor:
        seen = {look: gaussian(exact(S[look])) for look in looks}
        return total(share * wasserstein(*seen[look], mean, half) for look, share, mean, half in targets).float()

    return [LookTerm("moments", recipe.style_weight * strength, looks, value)]
