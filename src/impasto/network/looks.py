"""What may be seen of a picture through the network: maps, their second moments, several layers on one grid.

A `Look` names one such thing. Losses ask for looks; how the network is walked to answer them is its own affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from impasto.layers import scale_of

__all__ = ["Look", "cells", "cells_back"]


@dataclass(frozen=True)
class Look:
    """One thing to see in a layer of the network, of the picture being painted or of one it is compared with.

    `whose`: `mix` is what the painted picture is matched as, the content mixed with the picture so far.
    `kind`: `map`, the whole map; `rows`, the map a few rows at a time, for losses that are sums over positions;
    `gram`, F Fᵀ/M, N×N; or `moments`, (N+1)×(N+1), the same with the mean: what F with a row of ones gives.
    `step`: for maps, the side in pixels of the cells of a grid laid over the picture, over each of which a map is
    averaged; a layer whose positions are as large keeps its own, and so does every layer where it is 0. `region`: a
    part of the picture; 0 is all of it.
    """

    layer: str
    kind: Literal["map", "rows", "gram", "moments"]
    whose: Literal["result", "content", "style", "mix"] = "result"
    step: int = 0
    region: int = 0

    @property
    def side(self) -> int:
        """Side of a cell in the layer's own positions."""
        return max(1, self.step // scale_of(self.layer))


def cells(F: Tensor, side: int) -> Tensor:
    """Means of a map N×h×w over cells of side×side positions; what is left at the far edges is a cell as well.

    >>> cells(torch.tensor([[[1.0, 3.0, 5.0]]]), 2)
    tensor([[[2., 5.]]])
    """
    return F if side == 1 else avg_pool2d(F[None], side, ceil_mode=True, count_include_pad=False)[0]


def cells_back(gradient: Tensor, shape: torch.Size, side: int) -> Tensor:
    """Gradient with respect to a map N×h×w of this shape, of the gradient with respect to its `cells`."""
    if side == 1:
        return gradient
    parts = gradient
    for dim in (1, 2):
        count = torch.full((gradient.shape[dim],), side, device=gradient.device)
        count[-1] = shape[dim] - side * (gradient.shape[dim] - 1)
        parts = (parts / count.view([-1 if d == dim else 1 for d in range(3)])).repeat_interleave(count, dim)
    return parts
