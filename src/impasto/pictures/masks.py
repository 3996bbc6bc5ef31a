"""Masks: grey pictures that say where, 1×H×W, 0…1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.pictures.color import luminance
from impasto.pictures.read import Picture

__all__ = ["average", "grey", "shared"]

PLAIN = 0.02  # spread of grey below which a cut-out mask says all by its alpha


def grey(picture: Picture) -> Tensor:
    """A picture as a mask, 1×H×W: its luminance, where it is visible; of a cut-out of one colour the alpha alone."""
    mask = luminance(picture.rgb).clamp(0, 1)
    if picture.alpha is None:
        return mask
    visible = mask[picture.alpha > 0]
    plain = not visible.numel() or bool(visible.max() - visible.min() <= PLAIN)
    return picture.alpha if plain else mask * picture.alpha


def average(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """C×H×W at another `size` (height, width): means over the area of each new pixel; where it grows, bilinear."""
    if tuple(mask.shape[1:]) == size:
        return mask
    height, width = size
    grows = height >= mask.shape[1] and width >= mask.shape[2]
    how = Image.Resampling.BILINEAR if grows else Image.Resampling.BOX
    planes = [np.asarray(Image.fromarray(plane.cpu().numpy()).resize((width, height), how)) for plane in mask.float()]
    return torch.from_numpy(np.stack(planes)).clamp_(0, 1).to(mask)


def shared(masks: Tensor, shares: Sequence[float]) -> Tensor:
    """The part that each of K paintings has in every pixel, K×H×W, of the masks K×H×W and the paintings' shares w_i.

    Where masks overlap, the paintings divide the pixel by w_i m_i, so that no pixel counts more than once.

    >>> shared(torch.tensor([[[1.0, 1.0, 0.0]], [[0.0, 1.0, 0.5]]]), (0.25, 0.75))
    tensor([[[1.0000, 0.2500, 0.0000]],
    <BLANKLINE>
            [[0.0000, 0.7500, 0.5000]]])
    """
    weighted = masks * torch.tensor(shares, dtype=masks.dtype)[:, None, None]
    cover = masks.sum(0).clamp_max(1) * (weighted.sum(0) > 0)
    return weighted / weighted.sum(0).clamp_min(1e-12) * cover
