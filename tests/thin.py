"""Thin networks with VGG-19's shape, written in every format of weights that impasto reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io
import torch
from safetensors.torch import save_file

from impasto.layers import CONVOLUTIONS

WIDTHS = {"1": 4, "2": 8, "3": 8, "4": 8, "5": 8}
FEATURES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
MEAN = (123.68, 116.779, 103.939)
OURS = {"input": "RGB 0..255 minus (123.68, 116.779, 103.939)"}

Net = dict[str, np.ndarray]


def network(last: str = "conv5_4") -> Net:
    """Seeded kernels O×I×3×3, the first taking RGB, and biases, by our names."""
    random = np.random.default_rng(7)
    net: Net = {}
    channels = 3
    for name in CONVOLUTIONS[: CONVOLUTIONS.index(last) + 1]:
        width = WIDTHS[name[4]]
        net[f"{name}.weight"] = random.standard_normal((width, channels, 3, 3), dtype=np.float32)
        net[f"{name}.bias"] = random.standard_normal(width, dtype=np.float32)
        channels = width
    return net


def bgr(net: Net) -> Net:
    """The same network with its first kernel for blue, green, red."""
    return {**net, "conv1_1.weight": net["conv1_1.weight"][:, ::-1]}


def names(net: Net) -> list[str]:
    return [key.removesuffix(".bias") for key in net if key.endswith(".bias")]


def features(net: Net) -> dict[str, torch.Tensor]:
    """A state dictionary with torchvision's names and a piece of its classifier."""
    state = {"classifier.0.weight": torch.zeros(2, 2)}
    for index, name in zip(FEATURES, names(net), strict=False):
        state[f"features.{index}.weight"] = torch.from_numpy(net[f"{name}.weight"].copy())
        state[f"features.{index}.bias"] = torch.from_numpy(net[f"{name}.bias"].copy())
    return state


def write_keras(path: Path, net: Net, naming: str = "{layer}_{old}_1:0", root: str = "") -> None:
    """`naming` of the arrays inside a layer's group: Keras 1 by default."""
    with h5py.File(path, "w") as file:
        top = file.require_group(root) if root else file
        for name, array in bgr(net).items():
            conv, _, part = name.partition(".")
            layer = conv.replace("conv", "block").replace("_", "_conv")
            key = naming.format(layer=layer, old="Wb"[part == "bias"], new={"weight": "kernel"}.get(part, part))
            top.require_group(layer)[key] = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        top.attrs["layer_names"] = [b"input_1", b"block1_conv1"]


def write_pth(path: Path, net: Net) -> None:
    torch.save(features(net), path)


def write_legacy_pth(path: Path, net: Net) -> None:
    torch.save(features(net), path, _use_new_zipfile_serialization=False)


def write_safetensors(path: Path, net: Net) -> None:
    save_file({key: torch.from_numpy(array.copy()) for key, array in net.items()}, path, metadata=OURS)


def write_matconvnet(path: Path, net: Net, *, older: bool = False) -> None:
    layers = []
    for name in names(net):
        kernel, bias = net[f"{name}.weight"].transpose(2, 3, 1, 0), net[f"{name}.bias"].reshape(1, -1)
        pair = np.empty((1, 2), dtype=object)
        pair[0, 0], pair[0, 1] = kernel, bias
        arrays = {"filters": kernel, "biases": bias} if older else {"weights": pair}
        layers += [{"type": "conv", "name": name, **arrays}, {"type": "relu", "name": name.replace("conv", "relu")}]
    image = np.broadcast_to(np.array(MEAN), (5, 4, 3)) if older else np.array(MEAN).reshape(1, 1, 3)
    normalization = {"averageImage": image}
    cells = np.array(layers, dtype=object).reshape(1, -1)
    rest = {"normalization": normalization} if older else {"meta": {"normalization": normalization}}
    scipy.io.savemat(path, {"layers": cells, **rest})


# file name, with the suffix to load it where it needs one: how it is written
WRITERS: dict[str, Callable[[Path, Net], None]] = {
    "keras.h5": write_keras,
    "torchvision.pth": write_pth,
    "legacy.pth": write_legacy_pth,
    "ours.safetensors": write_safetensors,
    "matconvnet.mat": write_matconvnet,
}
