"""The terms of eq. 5 of a saved picture, all of them, whatever the picture was painted with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from impasto import Recipe, Targets, Transfer
from impasto.images import read

__all__ = ["POOLS", "terms"]

POOLS = (4, 16)  # of the Laplacians in the table


def terms(picture: Path, content: str, styles: Sequence[str], recipe: Recipe, targets: Targets) -> dict[str, float]:
    """Content, style, tv and Laplacian of a picture, unweighted, and `total` as the recipe weighs them.

    In the recipe's units, float32 and without a border, as the equations stand.
    """
    everything = recipe.replace(
        levels=1,
        border=0,
        precision="float32",
        color="style",  # a luminance transfer is judged by its picture, not by its unknown
        tv_weight=recipe.tv_weight or 1.0,
        laplacian=[f"{pool}:{recipe.laplacians().get(pool, 1.0)}" for pool in POOLS],
    )
    objective = Transfer(content, list(styles), everything, targets=targets).objective(0)
    with torch.no_grad():
        found = dict(objective(read(picture).rgb).terms)
    weights = {"content": recipe.content_weight, "style": recipe.style_weight, "tv": recipe.tv_weight}
    weights |= {f"laplacian {pool}": gamma for pool, gamma in recipe.laplacians().items()}
    return {**found, "total": sum(weight * found[name] for name, weight in weights.items())}
