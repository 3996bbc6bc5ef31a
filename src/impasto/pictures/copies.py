"""Copies of a painting in which it holds its strokes another way round: turned, mirrored, tilted, scaled."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

__all__ = ["copies", "sizes_of"]

TILT = 7.5  # degrees, either way
SCALES = (0.95, 1.05)


def copies(picture: Tensor, kinds: Iterable[str]) -> list[Tensor]:
    """Copies of a picture C×H×W of the kinds named, each of a size of its own; the picture itself is not among them.

    `turned`: by 90°, 180° and 270°; `mirrored`: left and right exchanged; `tilted`: by ±7.5°, where what comes in from
    outside is mirrored; `scaled`: to 0.95 and 1.05 of its size (the last two as Li and Wand, arXiv:1601.04589).
    """
    found: list[Tensor] = []
    for kind in dict.fromkeys(kinds):
        if kind == "turned":
            found += [torch.rot90(picture, quarter, (1, 2)) for quarter in (1, 2, 3)]
        elif kind == "mirrored":
            found.append(picture.flip(2))
        elif kind == "tilted":
            found += [_tilted(picture, math.radians(angle)) for angle in (-TILT, TILT)]
        else:
            found += [_scaled(picture, scale) for scale in SCALES]
    return found


def sizes_of(size: tuple[int, int], kinds: Iterable[str]) -> list[tuple[int, int]]:
    """Height and width of each of `copies` of a picture of a size.

    >>> sizes_of((20, 40), ["turned", "scaled"])
    [(40, 20), (20, 40), (40, 20), (19, 38), (21, 42)]
    """
    height, width = size
    turned = [(width, height), size, (width, height)]
    scaled = [(max(1, round(scale * height)), max(1, round(scale * width))) for scale in SCALES]
    found = {"turned": turned, "mirrored": [size], "tilted": [size, size], "scaled": scaled}
    return [own for kind in dict.fromkeys(kinds) for own in found[kind]]


def _tilted(picture: Tensor, angle: float) -> Tensor:
    height, width = picture.shape[1:]
    cos, sin = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[[cos, -sin * height / width, 0], [sin * width / height, cos, 0]]], dtype=picture.dtype)
    grid = affine_grid(turn.to(picture.device), [1, picture.shape[0], height, width], align_corners=False)
    return grid_sample(picture[None], grid, mode="bilinear", padding_mode="reflection", align_corners=False)[0]


def _scaled(picture: Tensor, scale: float) -> Tensor:
    size = [max(1, round(scale * side)) for side in picture.shape[1:]]
    return interpolate(picture[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
