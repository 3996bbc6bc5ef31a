"""What turns maps of a photo into maps with a painting's statistics, in closed form; maps are N×h×w.

AdaIN (Huang and Belongie, arXiv:1703.06868, eq. 8); the optimal transport between Gaussians, which is whitening and
colouring (Li et al., arXiv:1705.08086) with the map that moves the points least; style swap (Chen and Schmidt,
arXiv:1612.04337, eqs 2 and 3).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad, unfold

__all__ = ["TRANSFORMS", "adain", "apply", "swap", "transport"]

TRANSFORMS = ("adain", "whiten", "swap")
LEAST = 1e-3  # of a layer's mean variance, added to a channel's: where a map is flat there is nothing to scale
RIDGE = 1e-3  # of the mean variance, added to the diagonal of a covariance that is inverted
BLOCKS = 4096  # of a painting that a swap looks at, at most, evenly spread
AT_ONCE = 2**25  # answers of blocks to places held at a time

Affine = tuple[Tensor, Tensor]


def adain(mean: Tensor, C: Tensor, other: Tensor, D: Tensor) -> Affine:
    """Scale N and shift N that bring mean and deviation of each channel to another's; of covariances C and D, N×N.

    >>> one = torch.tensor([2.0]), torch.tensor([[4.0]])
    >>> [round(number.item(), 3) for number in adain(*one, torch.tensor([5.0]), torch.tensor([[1.0]]))]
    [0.5, 4.0]
    """
    own, wanted = C.diagonal().clamp_min(0), D.diagonal().clamp_min(0)
    scale = wanted.sqrt() * (own + LEAST * own.mean() + 1e-12).rsqrt()
    return scale, other - scale * mean


def transport(mean: Tensor, C: Tensor, other: Tensor, D: Tensor) -> Affine:
    """Matrix N×N and shift N that bring mean and covariance to another's and move the points least.

    T = C^−½ (C^½ D C^½)^½ C^−½.
    """
    values, V = torch.linalg.eigh(C)
    values = values.clamp_min(0) + RIDGE * values.clamp_min(0).mean().clamp_min(1e-12)
    half = (V * values.sqrt()) @ V.T
    inverse = (V * values.rsqrt()) @ V.T
    inner = half @ D @ half
    squares, W = torch.linalg.eigh((inner + inner.T) / 2)
    T = inverse @ ((W * squares.clamp_min(0).sqrt()) @ W.T) @ inverse
    return T, other - T @ mean


def apply(maps: Tensor, affine: Affine) -> Tensor:
    """Maps N×h×w by the scale or the matrix, and the shift, of a transform."""
    A, b = (part.to(maps.dtype) for part in affine)
    if A.dim() == 1:
        return torch.addcmul(b[:, None, None], maps, A[:, None, None])
    return torch.addmm(b[:, None], A, maps.flatten(1)).view_as(maps)


def swap(maps: Tensor, painting: Tensor, counted: Tensor | None = None) -> Tensor:
    """Each 3×3 block of a map by the painting's block that is most like it, by cosine; where they overlap, their mean.

    `counted`, h×w: which places of the painting count at all.
    """
    blocks = _blocks(painting, counted).to(maps.dtype)
    kernels = blocks / blocks.flatten(1).norm(dim=1).clamp_min(1e-6)[:, None, None, None]
    out = torch.zeros(1, len(maps), maps.shape[1] + 2, maps.shape[2] + 2, dtype=maps.dtype, device=maps.device)
    covered = torch.zeros_like(out[:, :1])
    wide = pad(maps[None], (1, 1, 1, 1), mode="replicate")
    for first, last in _strips(maps.shape[1], AT_ONCE // (len(blocks) * maps.shape[2])):
        best = conv2d(wide[:, :, first : last + 2], kernels).argmax(1)  # 1×r×w
        chosen = blocks[best[0].flatten()].view(*best.shape[1:], *blocks.shape[1:])  # r×w×N×3×3
        for row in range(3):
            for column in range(3):
                there = (..., slice(first + row, last + row), slice(column, column + maps.shape[2]))
                out[there] += chosen[..., row, column].permute(2, 0, 1)
                covered[there] += 1
    inside: Tensor = (out / covered.clamp_min(1))[0, :, 1:-1, 1:-1]
    return inside


def _blocks(painting: Tensor, counted: Tensor | None) -> Tensor:
    """The 3×3 blocks of a map, K×N×3×3, of which the middle counts, BLOCKS at most."""
    if min(painting.shape[1:]) < 3:
        painting = pad(painting[None], (1, 1, 1, 1), mode="replicate")[0]
        counted = None
    columns = unfold(painting[None], 3)[0].T
    if counted is not None:
        inside = counted[1:-1, 1:-1].flatten() > 0.5
        columns = columns[inside] if inside.any() else columns
    chosen = torch.arange(0, len(columns), max(1, -(-len(columns) // BLOCKS)))
    return columns[chosen].view(len(chosen), len(painting), 3, 3)


def _strips(height: int, rows: int) -> Iterator[tuple[int, int]]:
    rows = max(1, rows)
    for first in range(0, height, rows):
        yield first, min(first + rows, height)
