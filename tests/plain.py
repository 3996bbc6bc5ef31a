"""VGG-19 once more, written plainly from the paper's table, and seeded pictures: what the tests compare against."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

import thin
from impasto.network.weights.known import CAFFE, Preprocessing
from impasto.network.weights.loading import Weights

# Table 1, column E: the number is a convolution's place in its block, M a pooling.
BLOCKS = (["1_1", "1_2"], ["2_1", "2_2"], *([f"{b}_{i}" for i in (1, 2, 3, 4)] for b in (3, 4, 5)))
COLUMN_E = [step for block in BLOCKS for step in (*block, "M")]
MEAN = torch.tensor([123.68, 116.779, 103.939]).view(3, 1, 1)


def tensors(last: str = "conv5_4") -> dict[str, Tensor]:
    """A thin seeded network whose activations keep their size from layer to layer."""
    net = {}
    for key, array in thin.network(last).items():
        fan = math.prod(array.shape[1:]) if array.ndim == 4 else 2
        net[key] = torch.from_numpy(array.copy()) * math.sqrt(2 / fan)
    return net


def weights(last: str = "conv5_4", preprocessing: Preprocessing = CAFFE) -> Weights:
    return Weights(tensors(last), preprocessing, "thin", "", {})


def features(net: dict[str, Tensor], picture: Tensor, *, average: bool = False, border: int = 0) -> dict[str, Tensor]:
    """Every layer's map of an RGB picture 0…1 for Caffe's preprocessing; the whole network, layer after layer."""
    height, width = picture.shape[1:]
    x = 255 * picture - MEAN.to(picture)
    if border:
        x = functional.pad(x[None], (border,) * 4, mode="reflect")[0]
    x, scale, found = x[None], 1, {}
    for step in COLUMN_E:
        if step == "M":
            x, scale = (functional.avg_pool2d if average else functional.max_pool2d)(x, 2), 2 * scale
            continue
        if f"conv{step}.weight" not in net:
            break
        x = functional.conv2d(x, net[f"conv{step}.weight"].to(x), net[f"conv{step}.bias"].to(x), padding=1)
        edge = border // scale
        inside = (slice(edge, edge + height // scale), slice(edge, edge + width // scale))
        found[f"conv{step}"] = x[0][:, *inside]
        x = x.clamp(min=0)
        found[f"relu{step}"] = x[0][:, *inside]
    return found


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """A smooth coloured picture with some grain and a bright block, within 0…1."""
    generator = torch.Generator().manual_seed(seed)
    waves = torch.rand(3, 3, generator=generator) * 6
    y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)[None, :]
    smooth = torch.stack([0.5 + 0.35 * torch.sin(a * x * 3 + b * y * 3 + c) for a, b, c in waves])
    smooth[:, height // 3 : height // 2, width // 4 : width // 2] += 0.3
    return (smooth + 0.05 * torch.randn(3, height, width, generator=generator)).clamp(0, 1)
