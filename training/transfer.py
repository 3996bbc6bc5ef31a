"""A small style transfer (Gatys et al. 2016) by L-BFGS-B, to make pictures as the network's users will and to judge it.

Relative units: |F − P|²/|P|² at conv4_2 plus β × the mean over `STYLE` of |G − A|²/|A|², each Gram matrix divided by
its own number of positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from regression import STYLE, distance, energy, grams
from scipy.optimize import minimize  # type: ignore[import-untyped]
from student import Student
from torch import Tensor
from vgg import Teacher, centre

__all__ = ["CONTENT", "Targets", "judge", "losses", "resized", "stylize", "targets"]

CONTENT = "conv4_2"


@dataclass(frozen=True)
class Targets:
    """What a picture is compared with: content maps and one Gram matrix a layer."""

    content: Tensor
    style: dict[str, Tensor]


def resized(picture: Tensor, longest: int) -> Tensor:
    """A picture 0…1 (1×3×H×W) with its longer side at `longest`."""
    height, width = picture.shape[-2:]
    factor = longest / max(height, width)
    size = (max(16, round(height * factor)), max(16, round(width * factor)))
    return F.interpolate(picture, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)


def _perceive(net: Teacher | Student, picture: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    taps = net.features(centre(picture), STYLE[-1])
    found = {}
    for name in STYLE:
        maps = torch.relu(taps[name])
        gram = grams(maps)[0] / (maps.shape[-1] * maps.shape[-2])
        metric = net.metric(name) if isinstance(net, Student) else None
        found[name] = gram if metric is None else metric.float() @ gram @ metric.float().T
    return taps[CONTENT], found


@torch.no_grad()
def targets(net: Teacher | Student, content: Tensor, style: Tensor) -> Targets:
    """The targets of one content and one style picture, 1×3×H×W of any sizes, as `net` sees them."""
    return Targets(_perceive(net, content)[0], _perceive(net, style)[1])


def losses(net: Teacher | Student, picture: Tensor, goal: Targets) -> tuple[Tensor, Tensor]:
    """Relative content and style loss of a picture."""
    maps, found = _perceive(net, picture)
    content = distance(maps, goal.content) / energy(goal.content)
    style = torch.stack([(found[name] - a).square().sum() / a.square().sum() for name, a in goal.style.items()])
    return content, style.mean()


def stylize(
    net: Teacher | Student,
    content: Tensor,
    style: Tensor,
    levels: dict[int, int],
    beta: float,
    *,
    start: Tensor | None = None,
    seen: Callable[[int, Tensor], None] | None = None,
) -> Tensor:
    """The content picture painted in the style: `levels` maps the longer side to L-BFGS-B iterations, small to large.

    `start` is a first picture of any size, the content where None; `seen` gets every iteration's count and picture.
    """
    picture = content if start is None else start
    count = 0
    for longest, steps in levels.items():
        goal = targets(net, resized(content, longest), resized(style, longest))
        shape = resized(content, longest).shape
        picture = F.interpolate(picture, size=shape[-2:], mode="bicubic", align_corners=False, antialias=True).clamp(
            0, 1
        )

        def value(flat: np.ndarray, shape: torch.Size = shape, goal: Targets = goal) -> tuple[float, np.ndarray]:
            x = torch.from_numpy(flat).float().view(shape).requires_grad_()
            c, s = losses(net, x, goal)
            total = c + beta * s
            (gradient,) = torch.autograd.grad(total, x)
            return total.item(), gradient.double().numpy().ravel()

        def watch(flat: np.ndarray, shape: torch.Size = shape) -> None:
            nonlocal count
            count += 1
            if seen is not None:
                seen(count, torch.from_numpy(flat).float().view(shape).clone())

        bounds = (np.zeros(picture.numel()), np.ones(picture.numel()))
        found = minimize(
            value,
            picture.double().numpy().ravel(),
            jac=True,
            method="L-BFGS-B",
            bounds=np.stack(bounds, 1),
            callback=watch,
            options={"maxiter": steps, "maxfun": 2 * steps, "ftol": 0.0, "gtol": 0.0, "maxcor": 10},
        )
        picture = torch.from_numpy(found.x).float().view(shape)
    return picture


@torch.no_grad()
def judge(teacher: Teacher, content: Tensor, style: Tensor, result: Tensor) -> tuple[float, float]:
    """Relative content and style loss of a finished picture, rounded to 8 bits, in the teacher's eyes."""
    longest = max(result.shape[-2:])
    exact = F.interpolate(content, size=result.shape[-2:], mode="bicubic", antialias=True, align_corners=False).clamp(
        0, 1
    )
    goal = targets(teacher, exact, resized(style, longest))
    c, s = losses(teacher, (result * 255).round() / 255, goal)
    return c.item(), s.item()
