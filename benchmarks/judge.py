"""The judge of the benchmarks: VGG-19 in float32, written apart from impasto, with zero padding and whole pictures.

A picture's total is content + β · style. Content is |F − P|² / |P|² at conv4_2; style is the mean over relu1_1 …
relu5_1 of |G − A|² / |A|², each Gram matrix divided by its own number of positions. The photo is resized to the
picture's size, the painting to its longer side. These are the relative units of impasto's default objective.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, relu

STEPS = (  # up to the last layer compared; M is the pooling
    *("1_1", "1_2", "M", "2_1", "2_2", "M", "3_1", "3_2", "3_3", "3_4", "M"),
    *("4_1", "4_2", "4_3", "4_4", "M", "5_1"),
)
CONTENT = "4_2"
STYLE = ("1_1", "2_1", "3_1", "4_1", "5_1")
MEAN = (123.68, 116.779, 103.939)  # of RGB 0…255

Net = dict[str, tuple[Tensor, Tensor]]


def load(path: Path, device: str = "cpu") -> Net:
    """Kernels O×I×3×3, the first taking RGB, and biases, of the Keras file of VGG-19 without its classifier."""
    net: Net = {}
    with h5py.File(path, "r") as file:
        for step in STEPS:
            if step == "M":
                continue
            arrays: dict[int, np.ndarray] = {}
            file[f"block{step.replace('_', '_conv')}"].visititems(
                lambda _, item, arrays=arrays: arrays.update({item.ndim: item[()]}) if hasattr(item, "ndim") else None
            )
            kernel = torch.from_numpy(arrays[4].transpose(3, 2, 0, 1).astype(np.float32))
            if step == "1_1":
                kernel = kernel.flip(1)  # the file takes BGR
            net[step] = kernel.contiguous().to(device), torch.from_numpy(arrays[1].astype(np.float32)).to(device)
    return net


def observe(net: Net, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
    """The content layer's map and the style layers' Gram matrices of pixels 1×3×H×W, RGB 0…255."""
    x = pixels - torch.tensor(MEAN, device=pixels.device).view(1, 3, 1, 1)
    content, grams = x, []
    for step in STEPS:
        if step == "M":
            x = max_pool2d(x, 2)
            continue
        x = conv2d(x, *net[step], padding=1)
        if step == CONTENT:
            content = x
        x = relu(x)
        if step in STYLE:
            F = x[0].flatten(1)
            grams.append(F @ F.T / F.shape[1])
    return content, grams


class Judge:
    """Content and style loss of pictures of one size; differentiable, so that it can also be minimised.

    `content`, `style`: 1×3×H×W, RGB 0…255.
    """

    def __init__(self, net: Net, content: Tensor, style: Tensor) -> None:
        self.net = net
        with torch.no_grad():
            self.content, self.grams = observe(net, content)[0], observe(net, style)[1]

    def __call__(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Content and style loss of pixels 1×3×H×W, RGB 0…255."""
        found, grams = observe(self.net, pixels)
        content = (found - self.content).square().sum() / self.content.square().sum()
        shares = [(G - A).square().sum() / A.square().sum() for G, A in zip(grams, self.grams, strict=True)]
        return content, torch.stack(shares).mean()


def between(net: Net, content: Path, style: Path, size: tuple[int, int], device: str = "cpu") -> Judge:
    """The judge of pictures of this (width, height) between a photo and a painting."""
    with Image.open(style) as painting:
        scale = max(size) / max(painting.size)
        shape = max(1, round(painting.width * scale)), max(1, round(painting.height * scale))
    return Judge(net, pixels(content, size).to(device), pixels(style, shape).to(device))


def pixels(path: Path, size: tuple[int, int] | None = None) -> Tensor:
    """A picture file as 1×3×H×W, RGB 0…255, resized to (width, height) if asked to."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    if size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(image).astype(np.float32)).permute(2, 0, 1)[None].contiguous()
