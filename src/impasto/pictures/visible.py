"""Pictures with hidden parts: what is hidden takes the colours around it, and counts in nothing.

Alpha is 1×H×W, 0…1: how far each pixel counts.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from impasto.pictures.resize import resize

__all__ = ["filled", "hidden", "resized"]

CLEAR = 0.25  # alpha from which the colours of a pixel are those of its visible neighbours alone


def filled(rgb: Tensor, alpha: Tensor) -> Tensor:
    """The picture C×H×W with the colours around them in its hidden pixels, so that no edge is seen where it ends.

    Visible pixels are averaged into ever smaller pictures, and each hidden one takes the finest of these that has
    something to say there. Unchanged where nothing, or everything, is hidden.

    >>> filled(torch.tensor([[[0.2, 0.9, 0.9, 0.2]]]), torch.tensor([[[1.0, 0.0, 0.0, 1.0]]])).round(decimals=3)
    tensor([[[0.2000, 0.2000, 0.2000, 0.2000]]])
    """
    cover = (alpha > 0).to(rgb)
    if bool(cover.all()) or not bool(cover.any()):
        return rgb
    colours, covers = [rgb * cover], [cover]
    while not bool(covers[-1].all()):
        covers.append(_halved(covers[-1]))
        colours.append(_halved(colours[-1]))
    found = colours.pop() / covers.pop()
    for colour, own in zip(reversed(colours), reversed(covers), strict=True):
        larger = interpolate(found[None], own.shape[1:], mode="bilinear")[0]
        found = torch.where(own > 0, colour / own.clamp_min(1e-9), larger)
    return found


def hidden(alpha: Tensor) -> tuple[int, int, int, int]:
    """Lines at the top, bottom, left and right in which nothing is visible; none where nothing is at all.

    >>> hidden(torch.tensor([[[0.0, 0.0, 0.0], [0.0, 0.5, 0.0]]]))
    (1, 0, 1, 1)
    """
    seen = alpha[0] > 0
    if not bool(seen.any()):
        return 0, 0, 0, 0
    rows, columns = torch.nonzero(seen.any(1)).flatten().tolist(), torch.nonzero(seen.any(0)).flatten().tolist()
    return rows[0], alpha.shape[1] - 1 - rows[-1], columns[0], alpha.shape[2] - 1 - columns[-1]


def resized(rgb: Tensor, alpha: Tensor | None, size: tuple[int, int]) -> tuple[Tensor, Tensor | None]:
    """`resize` of a picture C×H×W with its alpha: colours count as far as they are visible."""
    if alpha is None or tuple(rgb.shape[1:]) == tuple(size):
        return resize(rgb, size), alpha
    plain, cover = resize(rgb, size), resize(alpha, size)
    own = (resize(rgb * alpha, size) / cover.clamp_min(1e-3)).clamp(0, 1)
    return torch.lerp(plain, own, (cover / CLEAR).clamp(0, 1)), cover


def _halved(planes: Tensor) -> Tensor:
    return avg_pool2d(planes[None], 2, ceil_mode=True, count_include_pad=False)[0]
