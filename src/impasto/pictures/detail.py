"""What a picture is given as it grows from one level to the next: the fine structure that it now has room for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impasto.pictures.color import spread

__all__ = ["carrying", "finer", "resample"]

Painting = tuple[Tensor, float, Tensor | None]  # pixels, share, how far they count
SHARE = 0.5  # of the start's own detail and of the paintings' grain (docs/performance.md)


def finer(picture: Tensor, size: tuple[int, int], start: Tensor, paintings: Sequence[Painting], seed: int) -> Tensor:
    """A picture C×H×W enlarged to `size` (height, width), with something in its new frequencies to begin from.

    Enlarging alone leaves them empty, and an optimiser takes long to fill them from nothing. They get half of what
    `start`, C×`size`, has there, and grey grain, half as strong as what the paintings, C×H×W with their shares, have
    between half their size and their own, as far as their pixels count (1×H×W; None: all of them). `seed` fixes the
    grain. Within 0…1.
    """
    coarse = (picture.shape[1], picture.shape[2])
    strength = sum(
        share * spread(_fine(painting, _halved(painting)), own)[1].item() for painting, share, own in paintings
    )
    generator = torch.Generator().manual_seed(seed)
    grain = _fine(torch.randn(1, *size, generator=generator, dtype=torch.float32), coarse)
    grain *= strength / grain.std(correction=0).clamp_min(1e-6)
    added = _fine(start, coarse).add_(grain)
    return _resized(picture, size).add_(added.to(picture), alpha=SHARE).clamp_(0, 1)


def carrying(picture: Tensor, fine: Tensor) -> Tensor:
    """A smaller picture C×h×w at the size of `fine`, C×H×W, with the detail of `fine` that it has no room for."""
    size = (fine.shape[1], fine.shape[2])
    return (_resized(picture, size) + _fine(fine, (picture.shape[1], picture.shape[2]))).clamp_(0, 1)


def resample(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture C×H×W at another size (height, width), on its own device, within 0…1."""
    return picture if tuple(picture.shape[1:]) == size else _resized(picture, size).clamp_(0, 1)


def _fine(picture: Tensor, coarse: tuple[int, int]) -> Tensor:
    """What a picture loses on its way to the size `coarse` and back."""
    return picture - _resized(_resized(picture, coarse), (picture.shape[1], picture.shape[2]))


def _halved(picture: Tensor) -> tuple[int, int]:
    return max(1, picture.shape[1] // 2), max(1, picture.shape[2] // 2)


def _resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    return torch.nn.functional.interpolate(picture[None], size, mode="bicubic", antialias=True)[0]
