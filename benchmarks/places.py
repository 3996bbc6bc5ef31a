"""Place by place: how near every place of a picture is to some place of the painting, by VGG-19, and the reverse.

The relaxed earth mover's distance of Kolkin, Salavon and Shakhnarovich (CVPR 2019, eqs 4–6), on relu2_1, relu3_1 and
relu4_1, the painting's mean taken off, at most 64 places a side; and the change of the photo's self-similarity (eq. 7).
Written apart from impasto; uses the network as `judge` loads it.
"""

from __future__ import annotations

import torch
from judge import MEAN, STEPS, Net
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, normalize, relu

__all__ = ["content", "observe", "style"]

STYLE, CONTENT = ("2_1", "3_1", "4_1"), ("3_1", "4_1")
PLACES, GRID = 64, 32  # a side, for style and for content

Maps = dict[str, Tensor]


@torch.no_grad()
def observe(net: Net, pixels: Tensor) -> Maps:
    """Maps N×h×w of the layers compared, of pixels 1×3×H×W, RGB 0…255."""
    x, found = pixels - torch.tensor(MEAN).view(1, 3, 1, 1), {}
    for step in STEPS:
        if step == "M":
            x = max_pool2d(x, 2)
            continue
        x = relu(conv2d(x, *net[step], padding=1))
        if step in STYLE:
            found[step] = x[0]
        if step == STYLE[-1]:
            break
    return found


def style(result: Maps, painting: Maps) -> float:
    """0: made of the painting's places alone, and of all of them; mean of the layers."""
    found = []
    for layer in STYLE:
        ours, theirs = _places(result[layer], PLACES), _places(painting[layer], PLACES)
        mean = theirs.mean(1, keepdim=True)
        far = 1 - normalize(ours - mean, dim=0).T @ normalize(theirs - mean, dim=0)
        found.append(max(far.amin(1).mean().item(), far.amin(0).mean().item()))
    return sum(found) / len(found)


def content(result: Maps, photo: Maps) -> float:
    """0: the photo's own structure; pictures of one size."""
    found = []
    for layer in CONTENT:
        one, other = _structure(result[layer]), _structure(photo[layer])
        found.append((one - other).abs().mean().item() * len(one))
    return sum(found) / len(found)


def _places(maps: Tensor, most: int) -> Tensor:
    step = max(1, -(-max(maps.shape[1:]) // most))
    return maps[:, ::step, ::step].flatten(1)


def _structure(maps: Tensor) -> Tensor:
    rows = normalize(_places(maps, GRID), dim=0)
    far = (1 - rows.T @ rows).clamp_min(0)
    return far / far.sum(1, keepdim=True).clamp_min(1e-9)
