"""On-policy pictures: what the student's own style transfers look like on the way, where its blind spots are."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from student import Student
from torch import Tensor
from transfer import resized, stylize

__all__ = ["transfers"]

LEVELS = {80: 20, 144: 20, 208: 24}  # longer side: L-BFGS iterations
KEPT = (3, 9, 24)  # iterations of the last level whose pictures are kept
BETAS = (30.0, 3000.0)  # style weights are drawn between, evenly in the logarithm
NOISE_SHARE = 0.3  # of transfers that start from noise, the others from the content


def transfers(
    student: Student,
    contents: list[Tensor],
    styles: list[Tensor],
    count: int,
    generator: torch.Generator,
    *,
    done: Callable[[], None] = lambda: None,
) -> list[Tensor]:
    """Half-finished and finished pictures (uint8 3×H×W) of `count` transfers between random pictures."""
    kept: list[Tensor] = []
    first_kept = sum(LEVELS.values()) - LEVELS[max(LEVELS)]
    frozen = student.frozen()

    def pick(pictures: list[Tensor]) -> Tensor:
        picture = pictures[int(torch.randint(len(pictures), (1,), generator=generator))]
        return resized(picture[None].float() / 255, max(LEVELS))

    for _ in range(count):
        content, style = pick(contents), pick(styles)
        low, high = (math.log(beta) for beta in BETAS)
        beta = math.exp(low + (high - low) * float(torch.rand(1, generator=generator)))
        noisy = float(torch.rand(1, generator=generator)) < NOISE_SHARE
        start = torch.rand(content.shape, generator=generator) if noisy else None

        def keep(step: int, picture: Tensor) -> None:
            if step - first_kept in KEPT:
                kept.append((picture[0] * 255).round().byte())

        stylize(frozen, content, style, LEVELS, beta, start=start, seen=keep)
        done()
    return kept
