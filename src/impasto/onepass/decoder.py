"""The way back from feature maps to a picture, in one pass (report, refs 3, 4, 6–9).

The decoder's hidden maps begin as estimates of the encoder's own relu3_1, relu2_1 and relu1_1, channel by channel, so
that a painting's statistics at these layers act there, with nothing that would have to predict them. From one level to
the next: enlarged twice by nearest neighbour, 3×3 convolution to a low rank, 1×1 convolution, ReLU.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, pad

__all__ = ["LEVELS", "Decoder"]

LEVELS = ("relu4_1", "relu3_1", "relu2_1", "relu1_1")  # what the maps stand for, from the first to the last


class Decoder:
    """Maps of a level from those of the level before, and the picture from the last.

    `tensors`: for each of relu3_1, relu2_1, relu1_1 `NAME.down.weight` (R×I×3×3), `NAME.up.weight` (O×R×1×1) and
    `NAME.bias` (O); `rgb.weight` (3×I×3×3) and `rgb.bias` (3). Takes batches; differentiable in tensors and maps.
    """

    def __init__(
        self, tensors: Mapping[str, Tensor], *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        self.device, self.dtype = torch.device(device), dtype
        self.tensors = {
            key: tensor.to(self.device, dtype).contiguous(
                memory_format=torch.channels_last if tensor.dim() == 4 else torch.contiguous_format
            )
            for key, tensor in tensors.items()
        }

    def step(self, level: str, before: Tensor, top: bool = True, bottom: bool = True) -> Tensor:
        """Maps of `level`, B×N×2h×2w, from those of the level before, B×I×h×w.

        `top`, `bottom`: whether the maps end there, and go on beyond as they end; of a strip of larger maps the
        outermost rows are only looked at, and one row of the answer is missing at each side that goes on.
        """
        t = self.tensors
        wide = interpolate(before.to(self.dtype), scale_factor=2, mode="nearest")
        low = conv2d(_framed(wide, top, bottom), t[f"{level}.down.weight"])
        return torch.relu_(conv2d(low, t[f"{level}.up.weight"], t[f"{level}.bias"]))

    def rgb(self, maps: Tensor, top: bool = True, bottom: bool = True) -> Tensor:
        """The picture, B×3×H×W, about 0…1, from maps of relu1_1, B×N×H×W; edges as `step` has them."""
        return conv2d(_framed(maps.to(self.dtype), top, bottom), self.tensors["rgb.weight"], self.tensors["rgb.bias"])

    def width(self, level: str) -> int:
        """Channels of a level behind the first, N."""
        return self.tensors[f"{level}.bias"].shape[0]

    @property
    def multiplications(self) -> int:
        """For each pixel of the picture."""
        sides = {level: 2 ** (len(LEVELS) - 1 - n) for n, level in enumerate(LEVELS)}
        kernels = [(key.partition(".")[0], tensor) for key, tensor in self.tensors.items() if tensor.dim() == 4]
        return sum(int(tensor.numel()) // sides.get(level, 1) ** 2 for level, tensor in kernels)


def _framed(maps: Tensor, top: bool, bottom: bool) -> Tensor:
    """Maps with one more line at each side where they end: their last line again."""
    return pad(maps, (1, 1, int(top), int(bottom)), mode="replicate")
