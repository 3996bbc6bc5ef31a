"""The teacher's judgement of a finished picture, in relative units.

|F − P|²/|P|² at conv4_2 and the mean over `STYLE` of |G − A|²/|A|², each Gram matrix divided by its own number of
positions. No border, float32.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from regression import STYLE
from torch import Tensor
from vgg import Teacher, centre

__all__ = ["CONTENT", "judge", "resized"]

CONTENT = "conv4_2"


def resized(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture 0…1 (1×3×H×W) at another height and width, by Lanczos' filter in 8 bits, as it was painted from."""
    array = (picture[0] * 255).round().byte().permute(1, 2, 0).numpy()
    small = Image.fromarray(array).resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(small)).permute(2, 0, 1)[None].float() / 255


@torch.no_grad()
def judge(teacher: Teacher, content: Tensor, style: Tensor, result: Tensor) -> tuple[float, float]:
    """Content and style loss of a result 0…1, rounded to 8 bits; all 1×3×H×W of any sizes.

    The content is seen at the result's size, the style with its longer side as long as the result's.
    """
    height, width = result.shape[-2:]
    longest, own = max(height, width), max(style.shape[-2:])
    small = (max(1, round(style.shape[-2] * longest / own)), max(1, round(style.shape[-1] * longest / own)))
    target, wanted = _maps(teacher, resized(content, (height, width))), _maps(teacher, resized(style, small))
    found = _maps(teacher, (result * 255).round() / 255)
    content_loss = _energy(found[CONTENT] - target[CONTENT]) / _energy(target[CONTENT])
    style_losses = []
    for name in STYLE:
        goal = _gram(wanted[name])
        style_losses.append(_energy(_gram(found[name]) - goal) / _energy(goal))
    return content_loss, sum(style_losses) / len(style_losses)


def _maps(teacher: Teacher, picture: Tensor) -> dict[str, Tensor]:
    return teacher.features(centre(picture), STYLE[-1])


def _gram(maps: Tensor) -> Tensor:
    flat = torch.relu(maps)[0].flatten(1)
    return flat @ flat.T / flat.shape[1]


def _energy(values: Tensor) -> float:
    return float(values.square().sum())
