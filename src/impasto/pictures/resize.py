"""Sizes of pictures, and pictures at another size."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["fit", "resize"]


def resize(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize C×H×W to `size` (height, width) with Pillow's antialiased Lanczos filter in float, clamped to 0…1."""
    if tuple(rgb.shape[1:]) == tuple(size):
        return rgb
    height, width = size
    planes = [
        np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS))
        for plane in rgb.detach().to("cpu", torch.float32).numpy()
    ]
    return torch.from_numpy(np.stack(planes)).clamp_(0, 1).to(rgb.device, rgb.dtype)


def fit(size: tuple[int, int], longer: int) -> tuple[int, int]:
    """Height and width of the same shape whose longer side is `longer`, rounded, never below 1; 0 keeps `size`.

    >>> fit((600, 800), 512)
    (384, 512)
    """
    longest = max(size)
    if longer == 0:
        return size
    height, width = (max(1, (2 * side * longer + longest) // (2 * longest)) for side in size)
    return height, width
