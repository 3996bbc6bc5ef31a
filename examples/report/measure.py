"""What a saved picture is worth in the terms of eq. 5, all of them, whatever it was painted with."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from impasto import Recipe, Targets, Transfer
from impasto.pictures.read import read
from impasto.pictures.resize import resize

__all__ = ["POOLS", "colours", "jpeg", "terms"]

POOLS = (4, 16)  # of the Laplacians in the table
YUV = torch.tensor([[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]])
BRIGHT = 0.995  # quantile of each channel by which crushed highlights show


def terms(
    picture: Path | Image.Image, content: str, styles: Sequence[str], recipe: Recipe, targets: Targets
) -> dict[str, float]:
    """Content, style, tv and Laplacian of a picture, unweighted, and `total` as the recipe weighs them.

    In the recipe's units, float32 and without a border, as the equations stand. `tv per pixel` is on 0…1.
    """
    everything = recipe.replace(
        levels=1,
        border=0,
        precision="float32",
        color="style",  # a luminance transfer is judged by its picture, not by its unknown
        tv_weight=recipe.tv_weight or 1.0,
        laplacian=[f"{pool}:{recipe.laplacians().get(pool, 1.0)}" for pool in POOLS],
    )
    image = read(picture).rgb
    found = dict(Transfer(content, list(styles), everything, targets=targets).objective(0)(image).terms)
    weights = {"content": recipe.content_weight, "style": recipe.style_weight, "tv": recipe.tv_weight}
    weights |= {f"laplacian {pool}": gamma for pool, gamma in recipe.laplacians().items()}
    total = sum(weight * found[name] for name, weight in weights.items())
    return {**found, "total": total, "tv per pixel": found["tv"] / 255 / image[0].numel()}


def colours(picture: Path, content: str) -> dict[str, float]:
    """The result's colours against the content's at its size.

    Differences of the mean U and V in steps of 1/255, ratios of mean and spread of Y, and the least ratio of a
    channel's bright end.
    """
    result = read(picture).rgb
    photo = resize(read(content).rgb, (result.shape[1], result.shape[2]))
    one, other = (torch.einsum("ij,jhw->ihw", YUV, image) for image in (result, photo))
    chroma = (one - other).mean((1, 2)) * 255
    bright = [torch.quantile(image.flatten(1), BRIGHT, dim=1) for image in (result, photo)]
    return {
        "mean U off, /255": chroma[1].item(),
        "mean V off, /255": chroma[2].item(),
        "mean Y, ratio": (one[0].mean() / other[0].mean()).item(),
        "spread of Y, ratio": (one[0].std() / other[0].std()).item(),
        "bright end, least ratio": (bright[0] / bright[1]).min().item(),
    }


def jpeg(picture: Path, quality: int = 75) -> Image.Image:
    """The picture as it comes back from a JPEG of this quality."""
    buffer = io.BytesIO()
    with Image.open(picture) as file:
        file.convert("RGB").save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
