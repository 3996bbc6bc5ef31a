"""VGG-19 as a feature extractor (Simonyan and Zisserman, arXiv:1409.1556), for any widths.

One class serves the original network and the embedded one: the shape is the table in `layers`, the widths are the
weights'. Pictures come in as RGB 0…1; the network's own scale and mean are applied inside.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from impasto.errors import OptionError, WeightsError
from impasto.layers import CONVOLUTIONS, NAMES, scale_of
from impasto.network.block import Pass
from impasto.network.convolutions import Convolutions, deepest_block, place
from impasto.network.weights.loading import Weights
from impasto.text import nearest

__all__ = ["Encoder", "reflected"]


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


class Encoder(Convolutions):
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
        super().__init__(weights.tensors, pooling, torch.device(device), dtype)
        self.border = border
        self.name = weights.name
        prep = weights.preprocessing
        self.identity = (weights.sha256, prep, pooling, border, str(self.device), dtype)
        std, mean = (torch.tensor(row, dtype=torch.float32, device=self.device) for row in (prep.std, prep.mean))
        self._scale = (prep.scale / std).view(3, 1, 1)
        self._shift = (mean / std).view(3, 1, 1)

    def __call__(self, picture: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Feature maps N×h×w of `layers`, in the encoder's precision, of a picture 3×H×W (or 1×H×W: grey), RGB 0…1.

        Stops at the deepest layer asked for. h and w are H and W over 1, 2, 4, 8 or 16, rounded down, at least 1.
        Raises WeightsError for a layer that the weights do not reach, OptionError for one that VGG-19 does not have and
        for a picture too small for it.
        """
        wanted = self.check(layers, picture)
        maps = self.maps(self.prepare(picture), wanted)
        return {name: tap[0, :, *self.window(name, picture)] for name, tap in maps.items()}

    def maps(self, prepared: Tensor, wanted: frozenset[str]) -> dict[str, Tensor]:
        """Maps B×N×h×w, border included, of pictures as `prepare` or `scaled` give them; differentiable."""
        maps: Tensor | None = prepared
        found: dict[str, Tensor] = {}
        for block in range(1, (depth := deepest_block(wanted)) + 1):
            assert maps is not None
            made = Pass(self, block, maps, wanted, pooled=slice(None) if block < depth else None, keep=False)
            found.update(made.taps)
            maps = made.end
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
        for name in CONVOLUTIONS[: place(wanted) + 1]:
            if not self.has(name):
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
        return self.scaled(pixels[None])

    def scaled(self, pixels: Tensor) -> Tensor:
        """Pictures B×3×H×W, RGB 0…1, in the network's own scale, without a border."""
        own = (pixels * self._scale).sub_(self._shift).to(self.dtype)  # in place: large pictures set the peak here
        return own.contiguous(memory_format=torch.channels_last)

    def window(self, name: str, picture: Tensor) -> tuple[slice, slice]:
        """Rows and columns of a layer's map that belong to the picture itself, not to its border."""
        scale = scale_of(name)
        start = self.border // scale
        height, width = (max(1, side // scale) for side in picture.shape[-2:])
        return slice(start, start + height), slice(start, start + width)
