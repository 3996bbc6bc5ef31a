"""The student: VGG-19's shape with thin first blocks and low-rank deeper ones, its features and its file.

A thin layer has its own channels S; the linear map `metric`, teacher channels × S, reads the teacher's from them.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from vgg import CONVOLUTIONS

__all__ = ["SHAPE", "Student", "inputs_of"]

# layer: (rank of the 3×3 convolution, or None where it is whole, and channels)
SHAPE: dict[str, tuple[int | None, int]] = {
    "conv1_1": (None, 32),
    "conv1_2": (None, 32),
    "conv2_1": (None, 96),
    "conv2_2": (None, 128),
    "conv3_1": (96, 256),
    "conv3_2": (80, 256),
    "conv3_3": (80, 256),
    "conv3_4": (80, 256),
    "conv4_1": (192, 512),
    "conv4_2": (192, 512),
    "conv4_3": (256, 512),
    "conv4_4": (352, 512),
    "conv5_1": (None, 512),
    "conv5_2": (128, 512),
    "conv5_3": (128, 512),
    "conv5_4": (128, 512),
}


def inputs_of(shape: dict[str, tuple[int | None, int]], name: str) -> int:
    """Channels that enter the layer `name`."""
    before = CONVOLUTIONS.index(name) - 1
    return 3 if before < 0 else shape[CONVOLUTIONS[before]][1]


class Student:
    """Tensors by name, as they are stored, and the features they make; missing layers are simply not there yet."""

    def __init__(self, tensors: dict[str, Tensor], dtype: torch.dtype = torch.bfloat16) -> None:
        self.tensors, self.dtype = tensors, dtype

    def frozen(self) -> Student:
        """The same network with its kernels in the working precision, quicker where nothing is trained."""
        return Student(
            {
                key: tensor.detach() if key.endswith("metric.weight") else _laid_out(tensor.detach().to(self.dtype))
                for key, tensor in self.tensors.items()
            },
            self.dtype,
        )

    def metric(self, name: str) -> Tensor | None:
        """The map from this layer's channels to the teacher's, None where they are the same."""
        return self.tensors.get(f"{name.replace('conv', 'relu')}.metric.weight")

    def convolve(self, name: str, h: Tensor) -> Tensor:
        """One layer's convolution, before the ReLU."""
        t = self.tensors

        def kernel(key: str) -> Tensor:
            return _laid_out(t[f"{name}.{key}"].to(self.dtype))

        bias = t[f"{name}.bias"].to(self.dtype)
        if f"{name}.weight" in t:
            return F.conv2d(h, kernel("weight"), bias, padding=1)
        return F.conv2d(F.conv2d(h, kernel("down.weight"), padding=1), kernel("up.weight"), bias)

    def features(self, x: Tensor, upto: str = "conv5_4", first: str = "conv1_1") -> dict[str, Tensor]:
        """Convolution outputs (before the ReLU) by layer name, from `first`, which `x` enters, as far as `upto`.

        `x` is a batch of centred pictures, or of what `entering(first, …)` gave.
        """
        taps: dict[str, Tensor] = {}
        h = x.to(self.dtype)
        for name in CONVOLUTIONS[CONVOLUTIONS.index(first) : CONVOLUTIONS.index(upto) + 1]:
            taps[name] = self.convolve(name, self.entering(name, taps) if taps else h)
        return taps

    def entering(self, name: str, taps: dict[str, Tensor]) -> Tensor:
        """What enters the layer `name`: the layer before after its ReLU, pooled where a block begins."""
        h = torch.relu(taps[CONVOLUTIONS[CONVOLUTIONS.index(name) - 1]])
        return F.max_pool2d(h, 2) if name.endswith("_1") else h

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        """Write float16 weights (biases and metrics float32) as safetensors."""
        stored = {
            key: (tensor.detach().half() if tensor.dim() == 4 else tensor.detach().float()).contiguous()
            for key, tensor in self.tensors.items()
        }
        save_file(stored, path, metadata={"format": "pt", **metadata})

    @classmethod
    def load(cls, path: Path, dtype: torch.dtype = torch.bfloat16) -> Student:
        """A student from its file, in float32."""
        with safe_open(path, "pt") as file:
            return cls({key: file.get_tensor(key).float() for key in file.keys()}, dtype)  # noqa: SIM118


def _laid_out(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
