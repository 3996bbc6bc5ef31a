"""The ways back through ReLU and pooling, by PyTorch's own kernels where this version has them, else by public calls.

The kernels are not part of PyTorch's promise to its users, so each has a twin here that is: the same numbers, slower.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

__all__ = ["average_pool_back", "max_pool_back", "relu_back"]

KERNELS = ("threshold_backward.grad_input", "max_pool2d_with_indices_backward.default", "avg_pool2d_backward.default")


@functools.cache
def kernels() -> tuple[Callable[..., Any], ...] | None:
    """The operators of KERNELS; None where one is missing or does not take what is given here."""
    maps, gradient = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 1, 1)
    places = torch.zeros(1, 1, 1, 1, dtype=torch.int64)
    try:
        found: list[Any] = [functools.reduce(getattr, name.split("."), torch.ops.aten) for name in KERNELS]
        found[0](maps, maps, 0, grad_input=maps.clone())
        found[1](gradient, maps, [2, 2], [2, 2], [0, 0], [1, 1], False, places)
        found[2](gradient, maps, [2, 2], [2, 2], [0, 0], False, True, None)
    except (AttributeError, RuntimeError, TypeError):
        return None
    return tuple(found)


def relu_back(gradient: Tensor, maps: Tensor) -> Tensor:
    """Gradient with respect to what a ReLU took, in place: 0 where what it gave, `maps`, is 0."""
    if (own := kernels()) is not None:
        own[0](gradient, maps, 0, grad_input=gradient)
        return gradient
    return gradient.masked_fill_(maps <= 0, 0)


def max_pool_back(gradient: Tensor, maps: Tensor, places: Tensor) -> Tensor:
    """Gradient with respect to the maps 1×N×h×w that 2×2 maxima were taken of; `places` are where these stood."""
    if (own := kernels()) is not None:
        back: Tensor = own[1](gradient, maps, [2, 2], [2, 2], [0, 0], [1, 1], False, places)
        return back
    flat = torch.zeros_like(maps, memory_format=torch.contiguous_format).flatten(2)
    back = flat.scatter_(2, places.flatten(2), gradient.flatten(2)).view(maps.shape)
    return back.contiguous(memory_format=torch.channels_last)


def average_pool_back(gradient: Tensor, maps: Tensor) -> Tensor:
    """Gradient with respect to the maps 1×N×h×w that 2×2 means were taken of."""
    if (own := kernels()) is not None:
        back: Tensor = own[2](gradient, maps, [2, 2], [2, 2], [0, 0], False, True, None)
        return back
    whole = interpolate(gradient / 4, scale_factor=2, mode="nearest")
    rest = (maps.shape[3] - whole.shape[3], maps.shape[2] - whole.shape[2])
    return pad(whole, (0, rest[0], 0, rest[1])).contiguous(memory_format=torch.channels_last)
