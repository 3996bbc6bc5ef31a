"""What may be seen of a picture through the network: maps, their second moments, several layers on one grid.

A `Look` names one such thing. Losses ask for looks; how the network is walked to answer them is its own affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ["Grid", "Look"]


@dataclass(frozen=True)
class Look:
    """One thing to see in a layer of the network, of the picture being painted or of one it is compared with.

    `kind`: `map`, the whole map; `rows`, the map a few rows at a time, for losses that are sums over positions;
    `gram`, F Fᵀ/M, N×N; or `moments`, (N+1)×(N+1), the same with the mean: what F with a row of ones gives.
    `step`: for maps, the side in pixels of the cells of a grid laid over the picture, on which every layer has the same
    size; 0 leaves a layer its own positions. `region`: a part of the picture; 0 is all of it.
    """

    layer: str
    kind: Literal["map", "rows", "gram", "moments"]
    whose: Literal["result", "content", "style"] = "result"
    step: int = 0
    region: int = 0


class Grid:
    """Bilinear resampling of a map h×w to `size`, centre to centre as `interpolate` does, any rows at a time.

    Linear in the map: what strips of rows give adds up to what the whole map gives, and the way back is the transpose.
    """

    def __init__(self, own: tuple[int, int], size: tuple[int, int], device: torch.device) -> None:
        self.size = size
        self._rows, self._columns = (_taps(length, count, device) for length, count in zip(own, size, strict=True))

    def nothing(self, F: Tensor) -> Tensor:
        """What a map of so many channels begins to add to: zeros in at least float32."""
        return torch.zeros(len(F), *self.size, device=F.device, dtype=torch.promote_types(F.dtype, torch.float32))

    def add(self, total: Tensor, F: Tensor, rows: slice) -> None:
        """Add to `total`, N×`size`, what these rows of the map, F N×r×w, give."""
        for index, weight in self._columns:
            part = F[:, :, index] * weight.to(total)
            for row, share in self._rows:
                there = (row >= rows.start) & (row < rows.stop)
                total[:, there] += part[:, row[there] - rows.start] * share[there, None].to(total)

    def back(self, gradient: Tensor, F: Tensor, rows: slice) -> Tensor:
        """Gradient with respect to these rows, of the gradient N×`size` with respect to the total."""
        found = torch.zeros(F.shape, dtype=gradient.dtype, device=F.device)
        tall = torch.zeros(F.shape[0], F.shape[1], self.size[1], dtype=gradient.dtype, device=F.device)
        for row, share in self._rows:
            there = (row >= rows.start) & (row < rows.stop)
            tall.index_add_(1, row[there] - rows.start, gradient[:, there] * share[there, None].to(gradient))
        for index, weight in self._columns:
            found.index_add_(2, index, tall * weight.to(gradient))
        return found


def _taps(length: int, count: int, device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """For each of `count` places on a line of `length` the two positions beside it, each with its weight."""
    place = (torch.arange(count, dtype=torch.float64) + 0.5) * (length / count) - 0.5
    place = place.clamp(0, length - 1)
    first = place.floor().long()
    weight = place - first
    second = (first + 1).clamp_max(length - 1)
    return [(first.to(device), (1 - weight).to(device)), (second.to(device), weight.to(device))]
