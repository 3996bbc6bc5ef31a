"""On-policy pictures: what impasto paints through the student, where the student's blind spots are.

The further an optimisation goes, the deeper it gets into them; so these transfers are impasto's own, with its schedule.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from student import Student
from torch import Tensor

import impasto

__all__ = ["transfers"]

SIZES = (224, 352)  # longer sides are drawn between
BETAS = (20.0, 2000.0)  # style weights are drawn between, evenly in the logarithm
NOISE_SHARE = 0.15  # of transfers that start from noise, the others from the content
EARLY = 0.25  # of the work: one picture is kept from there on, at random, beside the last


def transfers(
    student: Student,
    contents: list[Tensor],
    styles: list[Tensor],
    count: int,
    generator: torch.Generator,
    *,
    done: Callable[[], None] = lambda: None,
) -> list[Tensor]:
    """Two pictures (uint8 3×H×W) of each of `count` transfers between random pictures: half-finished and finished."""
    kept: list[Tensor] = []

    def chance() -> float:
        return float(torch.rand(1, generator=generator))

    def drawn(low: float, high: float) -> float:
        return low + (high - low) * chance()

    def pick(pictures: list[Tensor]) -> Tensor:
        return pictures[int(chance() * len(pictures))].float() / 255

    with tempfile.TemporaryDirectory() as folder:
        net = Path(folder) / "student.safetensors"
        student.save(net, {"input": "RGB 0..255 minus (123.68, 116.779, 103.939)"})
        for _ in range(count):
            content, style = pick(contents), pick(styles)
            recipe = impasto.Recipe(
                net=str(net),
                size=round(drawn(*SIZES)),
                style_loss="gram",
                style_weight=math.exp(drawn(*(math.log(beta) for beta in BETAS))),
                init="noise" if chance() < NOISE_SHARE else "content",
                seed=int(1e9 * chance()),
            )
            transfer = impasto.Transfer(content, style, recipe)
            early, half = drawn(EARLY, 1), None
            for progress in transfer.steps():
                if half is None and progress.fraction >= early:
                    half = transfer.result().image
            pictures = (half, transfer.result().image)
            kept += [(picture * 255).round().byte() for picture in pictures if picture is not None]
            done()
    return kept
