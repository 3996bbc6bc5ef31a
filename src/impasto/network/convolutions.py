"""The convolutions of VGG-19, there and back, for any widths and ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from impasto.layers import CONVOLUTIONS
from impasto.network.backward import average_pool_back, max_pool_back

__all__ = ["Convolutions", "deepest_block", "place"]

METRIC = ".metric.weight"
_POOLINGS: dict[str, Callable[..., Tensor]] = {"max": max_pool2d, "average": avg_pool2d}


class Channels(NamedTuple):
    """Of a block: channels of its input, of all maps it makes (each counted once), and of the widest."""

    start: int
    made: int
    widest: int


class Convolutions:
    """Kernels by layer, each whole (`conv4_2.weight`) or in low rank (`conv4_2.down.weight`, 3×3, then `.up`, 1×1)."""

    def __init__(self, tensors: dict[str, Tensor], pooling: str, device: torch.device, dtype: torch.dtype) -> None:
        self.pooling, self.device, self.dtype = pooling, device, dtype
        self._backward: dict[str, Tensor] = {}
        self._kernels = {
            key: tensor.to(device, dtype).contiguous(memory_format=_layout(tensor))
            for key, tensor in tensors.items()
            if not key.endswith(METRIC)
        }
        # For a thin layer: the map Q from its channels to those of the layer it stands for (docs/lite.md).
        self.metrics = {
            key.removesuffix(METRIC): tensor.to(device) for key, tensor in tensors.items() if key.endswith(METRIC)
        }

    def layers(self, block: int, wanted: Iterable[str]) -> list[str]:
        """The convolutions of a block, as far as the deepest layer wanted."""
        return [name for name in CONVOLUTIONS[: place(wanted) + 1] if name[4] == str(block)]

    def has(self, name: str) -> bool:
        """Whether the weights reach a convolution."""
        return f"{name}.bias" in self._kernels

    def convolve(self, name: str, maps: Tensor) -> Tensor:
        """One convolution, before its ReLU."""
        kernels = self._kernels
        if f"{name}.down.weight" in kernels:
            maps = conv2d(maps, kernels[f"{name}.down.weight"], padding=1)
            return conv2d(maps, kernels[f"{name}.up.weight"], kernels[f"{name}.bias"])
        return conv2d(maps, kernels[f"{name}.weight"], kernels[f"{name}.bias"], padding=1)

    def convolve_back(self, name: str, gradient: Tensor) -> Tensor:
        """Gradient with respect to what `convolve` took, of the gradient with respect to what it gave."""
        if f"{name}.down.weight" in self._kernels:
            gradient = conv2d(gradient, self._turned(f"{name}.up.weight"))
            return conv2d(gradient, self._turned(f"{name}.down.weight"), padding=1)
        return conv2d(gradient, self._turned(f"{name}.weight"), padding=1)

    def pool(self, maps: Tensor, keep: bool) -> tuple[Tensor, Tensor | None]:
        """The step from one block to the next, half the size, a rest dropped; where `keep`, what `pool_back` needs."""
        if keep and self.pooling == "max":
            pooled, places = max_pool2d(maps, 2, return_indices=True)
            return pooled, places
        return _POOLINGS[self.pooling](maps, 2), None

    def pool_back(self, gradient: Tensor, maps: Tensor, places: Tensor | None) -> Tensor:
        """Gradient with respect to the maps that `pool` took, of the gradient with respect to what it gave."""
        return average_pool_back(gradient, maps) if places is None else max_pool_back(gradient, maps, places)

    def width(self, name: str) -> int:
        """Filters of a layer, N."""
        return self._kernels[f"{name.replace('relu', 'conv')}.bias"].shape[0]

    def channels(self, block: int) -> Channels:
        """How wide the maps of a block are, for an estimate of memory."""
        names = [name for name in CONVOLUTIONS if name[4] == str(block) and self.has(name)]
        ranks = [self._kernels[key].shape[0] for name in names if (key := f"{name}.down.weight") in self._kernels]
        widths = [self.width(name) for name in names]
        before = CONVOLUTIONS.index(names[0]) - 1
        return Channels(3 if before < 0 else self.width(CONVOLUTIONS[before]), sum(widths + ranks), max(widths))

    @property
    def bytes(self) -> int:
        """Of the kernels, and of these as the way back needs them."""
        return 2 * sum(kernel.nbytes for kernel in self._kernels.values())

    def _turned(self, key: str) -> Tensor:
        """A kernel O×I×k×k as its own gradient convolves with it: I×O×k×k, turned round; kept once made."""
        if key not in self._backward:
            kernel = self._kernels[key].transpose(0, 1).flip(2, 3)
            self._backward[key] = kernel.contiguous(memory_format=torch.channels_last)
        return self._backward[key]


def deepest_block(layers: Iterable[str]) -> int:
    """Number of the last block that any of `layers` stands in, 1 if there are none."""
    return max((int(name[4]) for name in layers), default=1)


def place(layers: Iterable[str]) -> int:
    """Index in CONVOLUTIONS of the deepest of `layers`, −1 if there are none."""
    return max((CONVOLUTIONS.index(name.replace("relu", "conv")) for name in layers), default=-1)


def _layout(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
