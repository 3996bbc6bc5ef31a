"""Style transfer as the tools before impasto do it, for comparison and nothing else.

Gatys et al. 2016 by L-BFGS over the full-size picture from the photo on: no coarser sizes, no bounds, no line search,
a history of 100, float32, plain autograd through `F @ F.T`. The objective is the judge's own, before the picture is
clipped and rounded.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

HISTORY = 100


def optimise(
    objective: Callable[[Tensor], Tensor], start: Tensor, steps: int, seen: Callable[[int, Tensor], None]
) -> None:
    """Take `steps` steps of torch's L-BFGS, one evaluation each; `seen` gets each step's number and its picture."""
    picture = start.clone().requires_grad_()
    # Negative tolerances: the tools run their number of steps to the end.
    optimizer = torch.optim.LBFGS(
        [picture], lr=1, max_iter=steps, history_size=HISTORY, tolerance_grad=-1, tolerance_change=-1
    )
    done = 0

    def closure() -> Tensor:
        nonlocal done
        if done:
            seen(done, picture.detach())
        optimizer.zero_grad()
        loss = objective(picture)
        loss.backward()  # type: ignore[no-untyped-call]
        done += 1
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    seen(done, picture.detach())
