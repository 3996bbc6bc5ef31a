"""VGG-19 as a feature extractor (Simonyan and Zisserman, arXiv:1409.1556), for any widths.

One class serves the original network and the embedded one: the shape is the table in `layers`, the widths are the
weights'. Pictures come in as RGB 0…1; the network's own scale and mean are applied inside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

from impasto.errors import OptionError, WeightsError
from impasto.layers import CONVOLUTIONS, NAMES, nearest, scale_of
from impasto.weights import Weights

__all__ = ["Encoder", "deepest_block", "reflected", "relu_of"]


METRIC = ".metric.weight"
_POOLINGS: dict[str, Callable[..., Tensor]] = {"max": max_pool2d, "average": avg_pool2d}


def reflected(length: int, border: int, device: torch.device | None = None) -> Tensor:
    """Positions of a line of `length` pixels continued by `border` mirrored ones at both ends.

    Works for any border, also longer than the line.

    >>> reflected(3, 2).tolist()
    [2, 1, 0, 1, 2, 1, 0]
    >>> reflected(1, 2).tolist()
    [0, 0, 0, 0, 0]
    """
    period = max(1, 2 * (length - 1))
    index = torch.arange(-border, length + border, device=device) % period
    return torch.minimum(index, period - index)


class Channels(NamedTuple):
    """Of a block: channels of its input, of all maps it makes (each counted once), and of the widest."""

    start: int
    made: int
    widest: int


class Encoder:
    """Feature maps of a picture by layer name.

    `weights`: the convolutions, each whole (`conv4_2.weight`) or in low rank (`conv4_2.down.weight`, 3×3, then
    `conv4_2.up.weight`, 1×1). `pooling`: max or average. `border`: reflected pixels around the picture, cropped from
    every map, so that the zeros that convolutions put outside the picture do not colour its edge; 0 for none.
    `identity`: equal for two encoders that see the same.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        pooling: str = "max",
        border: int = 16,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.device, self.dtype = torch.device(device), dtype
        self.border = border
        self.name = weights.name
        self.identity = (weights.sha256, weights.preprocessing, pooling, border, str(self.device), dtype)
        self.pooling = pooling
        self._backward: dict[str, Tensor] = {}
        self._kernels = {
            key: tensor.to(self.device, dtype).contiguous(memory_format=_layout(tensor))
            for key, tensor in weights.tensors.items()
            if not key.endswith(METRIC)
        }
        # For a thin layer: the map Q from its channels to those of the layer it stands for (docs/lite.md).
        self.metrics = {
            key.removesuffix(METRIC): tensor.to(self.device)
            for key, tensor in weights.tensors.items()
            if key.endswith(METRIC)
        }
        prep = weights.preprocessing
        self._scale = (prep.scale / torch.tensor(prep.std, device=self.device)).view(3, 1, 1)
        self._shift = (torch.tensor(prep.mean, device=self.device) / torch.tensor(prep.std, device=self.device)).view(
            3, 1, 1
        )

    def __call__(self, picture: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Feature maps N×h×w of `layers`, in the encoder's precision, of a picture 3×H×W (or 1×H×W: grey), RGB 0…1.

        Stops at the deepest layer asked for. h and w are H and W over 1, 2, 4, 8 or 16, rounded down, at least 1.
        Raises WeightsError for a layer that the weights do not reach, OptionError for one that VGG-19 does not have and
        for a picture too small for it.
        """
        wanted = self.check(layers, picture)
        maps = self.prepare(picture)
        found: dict[str, Tensor] = {}
        for block in range(1, deepest_block(wanted) + 1):
            taps, maps = self.block(block, maps if block == 1 else self.pool(maps), wanted)
            for name, tap in taps.items():
                rows, columns = self.window(name, picture)
                found[name] = tap[0, :, rows, columns]
        return found

    def check(self, layers: Iterable[str], picture: Tensor) -> frozenset[str]:
        """The layers as a set, after making sure that weights and picture reach them; raises as `__call__` does."""
        wanted = frozenset(layers)
        if unknown := sorted(wanted.difference(NAMES)):
            raise OptionError(f"no layer {unknown[0]!r} in VGG-19; did you mean {nearest(unknown[0], NAMES)}?")
        height, width = picture.shape[-2:]
        deepest = deepest_block(wanted)
        if (min(height, width) + 2 * self.border) >> (deepest - 1) < 1:
            raise OptionError(
                f"a picture of {width}×{height} pixels is too small for conv{deepest}_1"
                f" with border {self.border}; use a border of 16"
            )
        for name in CONVOLUTIONS[: _place(wanted) + 1]:
            if f"{name}.bias" not in self._kernels:
                raise WeightsError(
                    f"{self.name}: the weights end before {name}; choose earlier layers or a complete file"
                )
        return wanted

    def prepare(self, picture: Tensor) -> Tensor:
        """What the first block takes, 1×3×(H+2·border)×(W+2·border), of a picture 3×H×W or 1×H×W, RGB 0…1."""
        height, width = picture.shape[-2:]
        pixels = picture.expand(3, height, width)
        if self.border:
            rows = reflected(height, self.border, picture.device)
            columns = reflected(width, self.border, picture.device)
            pixels = pixels.index_select(-2, rows).index_select(-1, columns)
        scaled = (pixels * self._scale - self._shift).to(self.dtype)
        return scaled[None].contiguous(memory_format=torch.channels_last)

    def block(self, number: int, maps: Tensor, wanted: frozenset[str]) -> tuple[dict[str, Tensor], Tensor]:
        """The maps of `wanted` layers in one block, not cropped, and its last one, all 1×N×h×w, of the block's input.

        Stops at the deepest layer wanted, if that is in this block.
        """
        taps: dict[str, Tensor] = {}
        for name in self.layers(number, wanted):
            maps = self.convolve(name, maps)
            if name in wanted:
                taps[name] = maps
                maps = torch.relu(maps)
            else:
                maps = torch.relu_(maps)
            relu = relu_of(name)
            if relu in wanted:
                taps[relu] = maps
        return taps, maps

    def layers(self, number: int, wanted: frozenset[str]) -> list[str]:
        """The convolutions of a block, as far as the deepest layer wanted."""
        return [name for name in CONVOLUTIONS[: _place(wanted) + 1] if name[4] == str(number)]

    def pool(self, maps: Tensor) -> Tensor:
        """The step from one block to the next: half the size, a rest dropped."""
        return _POOLINGS[self.pooling](maps, 2)

    def pool_forth(self, maps: Tensor, keep: bool) -> tuple[Tensor, Tensor | None]:
        """`pool`, and the places of the largest, which `pool_back` needs, where they are to be kept."""
        if keep and self.pooling == "max":
            pooled, places = max_pool2d(maps, 2, return_indices=True)
            return pooled, places
        return self.pool(maps), None

    def pool_back(self, gradient: Tensor, maps: Tensor, places: Tensor | None) -> Tensor:
        """Gradient by the maps that `pool_forth` took, of the gradient by what it gave."""
        two, none, one = [2, 2], [0, 0], [1, 1]
        aten = torch.ops.aten
        back: Tensor
        if places is not None:
            back = aten.max_pool2d_with_indices_backward(gradient, maps, two, two, none, one, False, places)
        else:
            back = aten.avg_pool2d_backward(gradient, maps, two, two, none, False, True, None)
        return back

    def convolve(self, name: str, maps: Tensor) -> Tensor:
        """One convolution, before its ReLU."""
        kernels = self._kernels
        if f"{name}.down.weight" in kernels:
            maps = conv2d(maps, kernels[f"{name}.down.weight"], padding=1)
            return conv2d(maps, kernels[f"{name}.up.weight"], kernels[f"{name}.bias"])
        return conv2d(maps, kernels[f"{name}.weight"], kernels[f"{name}.bias"], padding=1)

    def convolve_back(self, name: str, gradient: Tensor) -> Tensor:
        """Gradient by what `convolve` took, of the gradient by what it gave."""
        if f"{name}.down.weight" in self._kernels:
            gradient = conv2d(gradient, self._turned(f"{name}.up.weight"))
            return conv2d(gradient, self._turned(f"{name}.down.weight"), padding=1)
        return conv2d(gradient, self._turned(f"{name}.weight"), padding=1)

    def window(self, name: str, picture: Tensor) -> tuple[slice, slice]:
        """Rows and columns of a layer's map that belong to the picture itself, not to its border."""
        scale = scale_of(name)
        start = self.border // scale
        height, width = (max(1, side // scale) for side in picture.shape[-2:])
        return slice(start, start + height), slice(start, start + width)

    def width(self, name: str) -> int:
        """Filters of a layer, N."""
        return self._kernels[f"{name.replace('relu', 'conv')}.bias"].shape[0]

    def channels(self, block: int) -> Channels:
        """How wide the maps of a block are, for an estimate of memory."""
        names = [name for name in CONVOLUTIONS if name[4] == str(block) and f"{name}.bias" in self._kernels]
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


def relu_of(name: str) -> str:
    """The layer behind a convolution.

    >>> relu_of("conv4_2")
    'relu4_2'
    """
    return name.replace("conv", "relu")


def deepest_block(layers: Iterable[str]) -> int:
    """Number of the last block that any of `layers` stands in, 1 if there are none."""
    return max((int(name[4]) for name in layers), default=1)


def _place(layers: Iterable[str]) -> int:
    """Index in CONVOLUTIONS of the deepest of `layers`, −1 if there are none."""
    return max((CONVOLUTIONS.index(name.replace("relu", "conv")) for name in layers), default=-1)


def _layout(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
