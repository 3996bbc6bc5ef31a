"""Second moments of maps, weighted by position or not, and the way back through them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

__all__ = ["add_product", "second_moments"]

PART = 2**16  # positions that are weighted at a time


def _positions(F: Tensor) -> Tensor:
    """Maps N×h×w as M×N, without a copy where they lie in memory position by position."""
    return F.permute(1, 2, 0).reshape(-1, F.shape[0])


def _weighted(F: Tensor, weights: Tensor | None) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """Maps N×h×w as M×N, and the same times the weights h×w and these as M×1, in parts where there are weights."""
    matrix = _positions(F)
    if weights is None:
        yield matrix, matrix, None
        return
    column = weights.reshape(-1, 1).to(F)
    for part, own in zip(torch.split(matrix, PART), torch.split(column, PART), strict=True):
        yield part, part * own, own


def second_moments(F: Tensor, weights: Tensor | None, mean: bool) -> Tensor:
    """Σ m F Fᵀ over positions, N×N, in at least float32; with `mean` that of F and a row of ones, (N+1)×(N+1)."""
    wide = torch.promote_types(F.dtype, torch.float32)
    count = F.shape[0] + mean
    S: Tensor | None = None
    for matrix, weighted, own in _weighted(F, weights):
        part = matrix.new_empty((count, count), dtype=wide)
        part[: F.shape[0], : F.shape[0]] = weighted.T @ matrix
        if mean:
            part[-1, :-1] = part[:-1, -1] = weighted.sum(0, dtype=wide)
            part[-1, -1] = len(matrix) if own is None else own.sum(dtype=wide)
        S = part if S is None else S + part
    assert S is not None
    return S


def add_product(gradient: Tensor, F: Tensor, weights: Tensor | None, change: Tensor) -> None:
    """Add m C F to the gradient N×h×w with respect to F, in place; `change` is C = ∂L/∂S + ∂L/∂Sᵀ.

    One row and column more than F has are those of the mean: what they give is the same at every position.
    """
    count = F.shape[0]
    matrix = gradient.permute(1, 2, 0)
    if matrix.is_contiguous():
        rows = torch.split(matrix.view(-1, count), PART if weights is not None else matrix.numel())
        for row, (_, weighted, _) in zip(rows, _weighted(F, weights), strict=True):
            row.addmm_(weighted, change[:count, :count])
    else:
        product = torch.cat([weighted @ change[:count, :count] for _, weighted, _ in _weighted(F, weights)])
        gradient += product.view(matrix.shape).permute(2, 0, 1)
    if len(change) > count:
        shift = change[:count, count, None, None]
        gradient += shift if weights is None else shift * weights.to(F)
