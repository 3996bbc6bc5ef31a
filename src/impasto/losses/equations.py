"""The equations of the report, as pure functions: tensors in, scalar tensors out.

Equation numbers are those of "Neural Style Transfer" (Chen, Yang, Xie; KTH DD2424). F, P and A are feature maps,
N×H×W (or N×M), of the result, the content picture and a style picture; x and p are pictures, C×H×W, on whatever
scale the caller uses: the report's is 0…255. A batch of one (1×N×H×W) is taken as well.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

__all__ = [
    "content_loss",
    "gram",
    "gram_distance",
    "laplacian",
    "laplacian_loss",
    "mean_gram",
    "multi_style_target",
    "pooled_laplacian",
    "report_content_loss",
    "style_loss",
    "total_variation",
]


def _matrix(F: Tensor) -> Tensor:
    """Feature map N×H×W (or 1×N×H×W, or already N×M) as the matrix N×M."""
    if F.dim() == 4 and F.shape[0] == 1:
        F = F[0]
    return F.flatten(1)


def content_loss(F: Tensor, P: Tensor, weights: Tensor | None = None) -> Tensor:
    """Eq. 1: ½ Σ (F_ij − P_ij)², both N×H×W of one size; each position times its weight, H×W, where there are any.

    >>> content_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])).item()
    2.5
    """
    squares = (F - P).square()
    return 0.5 * (squares if weights is None else squares * weights).sum()


def report_content_loss(F: Tensor, P: Tensor) -> Tensor:
    """Σ (F_ij − P_ij)² / (2 √(N M)): what the report's program computes in place of eq. 1 (`units="report-code"`)."""
    return content_loss(F, P) / math.sqrt(F.numel())


def gram(F: Tensor) -> Tensor:
    """Eq. 2: G_ij = Σ_k F_ik F_jk, an N×N matrix; not divided by the number of positions.

    >>> gram(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[ 5., 11.],
            [11., 25.]])
    """
    matrix = _matrix(F)
    return matrix @ matrix.T


def mean_gram(F: Tensor) -> Tensor:
    """G / M in at least float32, M = H·W the map's own number of positions: comparable between sizes."""
    matrix = _matrix(F)
    G = gram(matrix)
    return G.to(torch.promote_types(G.dtype, torch.float32)) / matrix.shape[1]


def gram_distance(G: Tensor, A: Tensor) -> Tensor:
    """1/(4 N²) Σ (G_ij − A_ij)² of two Gram matrices N×N, each already divided by its own M: eq. 3's E_l."""
    return (G - A).square().sum() / (4 * G.shape[0] ** 2)


def style_loss(F: Tensor, A: Tensor) -> Tensor:
    """Eq. 3, one layer: 1/(4 N²) Σ (G_ij/M_x − A_ij/M_a)²; F is N×H×W, A is N×H'×W' of any size of its own.

    >>> style_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0, 3.0, 3.0]])).item()
    1.5625
    """
    return gram_distance(mean_gram(F), mean_gram(A))


def multi_style_target(grams: list[Tensor], weights: list[float]) -> tuple[Tensor, float]:
    """Eq. 6 as one style: target and constant with Σ w_i |G − A_i|² = (Σ w_i) |G − target|² + constant for every G.

    The grams are N×N, each divided by its own M. So several styles cost no more per step than one.
    """
    total = sum(weights)
    target = sum((w / total * A for w, A in zip(weights, grams, strict=True)), torch.zeros_like(grams[0]))
    constant = sum(w * (A - target).double().square().sum().item() for w, A in zip(weights, grams, strict=True))
    return target, constant


def total_variation(x: Tensor, weights: Tensor | None = None) -> Tensor:
    """Eq. 8: Σ |difference to the next pixel| over rows, columns and channels of x, C×H×W; 0 along a side of 1 pixel.

    With `weights`, 1×H×W, a difference counts as far as both of its pixels do.

    >>> total_variation(torch.tensor([[[0.0, 1.0], [3.0, 1.0]]])).item()
    6.0
    """
    down, across = (x[..., 1:, :] - x[..., :-1, :]).abs(), (x[..., :, 1:] - x[..., :, :-1]).abs()
    if weights is not None:
        down = down * torch.minimum(weights[..., 1:, :], weights[..., :-1, :])
        across = across * torch.minimum(weights[..., :, 1:], weights[..., :, :-1])
    return down.sum() + across.sum()


def laplacian(x: Tensor, exact: bool = False) -> Tensor:
    """Eq. 9 with eq. 13, or with eq. 12 if `exact`: the 4-neighbour Laplacian of x, C×H×W, as (H−2)×(W−2).

    Only positions where the kernel fits are used, so that nothing outside the picture enters; a side under 3 gives an
    empty map. Eq. 13 (the default) sums D over the colours, eq. 12 sums |D|.
    """
    middle = x[..., 1:-1, 1:-1]
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    D = around - 4 * middle
    return (D.abs() if exact else D).sum(dim=-3)


def laplacian_loss(x: Tensor, p: Tensor, pool: int = 1, exact: bool = False) -> Tensor:
    """Eq. 10, and each summand of eq. 14: Σ [D(p) − D(x)]² after average pooling pool×pool; x and p are C×H×W.

    0 where a pooled side is under 3.
    """
    return (pooled_laplacian(x, pool, exact) - pooled_laplacian(p, pool, exact)).square().sum()


def pooled_laplacian(x: Tensor, pool: int = 1, exact: bool = False, weights: Tensor | None = None) -> Tensor:
    """The map that eq. 14 compares: `laplacian` of x, C×H×W, after average pooling pool×pool (a rest is dropped).

    With `weights`, 1×H×W, the pooled means are weighted, and each D is multiplied by the root of how far all five of
    its places count, so that its square counts as far.
    """
    if min(x.shape[-2:]) < 3 * pool:
        return x.new_zeros((0, 0)) * x.sum()
    if weights is None:
        return laplacian(avg_pool2d(x, pool) if pool > 1 else x, exact)
    m = avg_pool2d(weights, pool)
    D = laplacian(avg_pool2d(x * weights, pool) / m.clamp_min(1e-6), exact)
    around = (m[..., 1:-1, 1:-1], m[..., :-2, 1:-1], m[..., 2:, 1:-1], m[..., 1:-1, :-2], m[..., 1:-1, 2:])
    return D * torch.stack(around).amin(0)[0].sqrt()
