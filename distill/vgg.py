"""The teacher: VGG-19's convolutions read from a Keras no-top file, and its features at every ReLU.

Features are taken for a batch B×3×H×W of pixels 0…255 minus `MEAN`, as the Caffe weights expect.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["BLOCKS", "CONVOLUTIONS", "MEAN", "Teacher", "centre", "read_keras"]

BLOCKS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4}
CONVOLUTIONS = tuple(f"conv{block}_{i}" for block, count in BLOCKS.items() for i in range(1, count + 1))
MEAN = torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)  # of ImageNet, in RGB order

Convolution = tuple[Tensor, Tensor]  # weight O×I×3×3 and bias O


def centre(pictures: Tensor) -> Tensor:
    """Pictures 0…1 (B×3×H×W) as the network takes them: 0…255 minus the mean pixel, channels last."""
    return (pictures * 255 - MEAN).contiguous(memory_format=torch.channels_last)


def read_keras(path: Path) -> dict[str, Convolution]:
    """VGG-19's convolutions from a Keras no-top HDF5 file, the first one turned from BGR to RGB."""
    found: dict[str, Convolution] = {}
    with h5py.File(path, "r") as file:
        for name in CONVOLUTIONS:
            group = file[f"block{name[4]}_conv{name[6]}"]
            keys = [key.decode() if isinstance(key, bytes) else key for key in group.attrs["weight_names"]]
            kernel, bias = (torch.from_numpy(np.asarray(group[key], dtype=np.float32)) for key in keys)
            kernel = kernel.permute(3, 2, 0, 1)
            found[name] = (kernel.flip(1) if name == "conv1_1" else kernel).contiguous(), bias
    return found


class Teacher:
    """VGG-19 with fixed weights in the given precision; bfloat16 halves the time of the features."""

    def __init__(self, convolutions: dict[str, Convolution], dtype: torch.dtype = torch.bfloat16) -> None:
        self.dtype = dtype
        self.convolutions = {
            name: (kernel.to(dtype, memory_format=torch.channels_last), bias.to(dtype))
            for name, (kernel, bias) in convolutions.items()
        }

    def features(self, x: Tensor, upto: str = "conv5_4") -> dict[str, Tensor]:
        """Convolution outputs (before the ReLU) of centred pictures by layer name, as far as `upto`."""
        taps: dict[str, Tensor] = {}
        h = x.to(self.dtype)
        block = "1"
        for name, (kernel, bias) in self.convolutions.items():
            if name[4] != block:
                h, block = F.max_pool2d(h, 2), name[4]
            taps[name] = F.conv2d(h, kernel, bias, padding=1)
            h = torch.relu(taps[name])
            if name == upto:
                break
        return taps
