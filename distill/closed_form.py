"""Layers in closed form: channel selection for thin ones, one-sided reduced-rank regression for low rank.

Every low-rank layer is fitted with the student's own inputs against the teacher's responses, so that it mends what
the layers before it have lost. After Zhang et al., "Accelerating very deep convolutional networks" (1505.06798).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from student import Student
from torch import Tensor
from vgg import Convolution

__all__ = ["FAST", "composed", "fit_one_sided", "second_moment", "select", "start_thin"]

RIDGE = 0.1  # pull of the refit towards the teacher's weights, in units of the inputs' mean variance
RELAXED = 1.5  # of a one-sided fit's step, below 2
FAST = torch.bfloat16  # of the products over positions; sums go on in float32, and the ridge outweighs the rounding
CHUNK = 4096  # positions


def second_moment(features: Iterable[Tensor]) -> Tensor:
    """Mean of f fᵀ over all positions of the feature maps B×N×H×W, N×N."""
    total, count = torch.zeros(()), 0
    for maps in features:
        flat = maps.float().transpose(0, 1).flatten(1)
        total = total + flat @ flat.T
        count += flat.shape[1]
    return total / count


def select(moment: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` channels that best rebuild all N linearly, and the map N×count that does.

    Greedy: a pivoted Cholesky factorisation of the second moment takes the channel with most energy left unexplained.
    """
    left = moment.double().clone()
    chosen: list[int] = []
    for _ in range(count):
        gain = (left.square().sum(0) / left.diagonal().clamp_min(1e-9)).clone()
        gain[chosen] = -1
        pivot = int(gain.argmax())
        chosen.append(pivot)
        column = left[:, pivot].clone()
        left -= torch.outer(column, column) / column[pivot].clamp_min(1e-9)
    index = torch.tensor(sorted(chosen))
    known = moment.double()[index][:, index]
    known += 1e-6 * known.diagonal().mean() * torch.eye(count, dtype=torch.float64)
    return index, torch.linalg.solve(known, moment.double()[index]).T.float()


def composed(kernel: Tensor, metric: Tensor | None) -> Tensor:
    """A teacher's kernel O×I×3×3 as it acts on the student's channels that `metric`, I×S, reads."""
    return kernel if metric is None else torch.einsum("oihw,is->oshw", kernel, metric)


def start_thin(
    student: Student, name: str, before: Tensor | None, teacher: Convolution, *, moment: Tensor, width: int
) -> None:
    """Put the selected channels of one teacher's layer into the student, with their metric."""
    kernel, bias = teacher
    index, metric = select(moment, width)
    student.tensors[f"{name}.weight"] = composed(kernel, before)[index].contiguous()
    student.tensors[f"{name}.bias"] = bias[index].clone()
    student.tensors[f"{name.replace('conv', 'relu')}.metric.weight"] = metric


def _product(a: Tensor, b: Tensor) -> Tensor:
    """aᵀ b over positions, chunk by chunk, in float32."""
    total = torch.zeros(a.shape[1], b.shape[1])
    for x, y in zip(torch.split(a, CHUNK), torch.split(b, CHUNK), strict=True):
        total += (x.T.to(FAST) @ y.to(FAST)).float()
    return total


@torch.no_grad()
def fit_one_sided(
    patches: Tensor, wanted: Tensor, start: Tensor, rank: int | None, rounds: int
) -> tuple[dict[str, Tensor], list[float]]:
    """The layer of this rank (None: full) whose output *after the ReLU* is nearest the teacher's; its error by round.

    `patches` P×9I of what enters, in `FAST`, are centred in place; `wanted` P×O of the teacher's outputs before the
    ReLU, `start` the kernel towards which the ridge pulls, O×I×3×3. Where the teacher is negative, any negative answer
    is right; each round therefore takes the present answer as the target there (zero where it is positive), which
    majorises the error after the ReLU, and solves a reduced-rank regression. A step of `RELAXED` times the way
    converges faster.
    """
    outputs, inputs = start.shape[:2]
    size = patches.shape[1]
    mean = torch.stack([part.float().sum(0) for part in torch.split(patches, CHUNK)]).sum(0) / len(patches)
    for part in torch.split(patches, CHUNK):
        part.copy_(part.float() - mean)
    moment = _product(patches, patches)
    ridge = RIDGE * float(moment.diagonal().mean())
    factor, failed = torch.linalg.cholesky_ex(moment + ridge * torch.eye(size))
    while failed:  # too few positions for the precision of `FAST`
        ridge *= 2
        factor, failed = torch.linalg.cholesky_ex(moment + ridge * torch.eye(size))
    moment.diagonal().add_(ridge)
    prior = ridge * start.reshape(outputs, size).T
    negative, energy = wanted < 0, wanted.relu().square().sum()
    target, history = wanted.clone(), []
    for turn in range(rounds + 1):
        level = target.mean(0)
        solved = torch.cholesky_solve(_product(patches, target - level) + prior, factor)
        if rank is None:
            directions = torch.eye(outputs)
        else:
            directions = torch.linalg.eigh((solved.T @ (moment @ solved)).double()).eigenvectors[:, -rank:].float()
        down = directions.T @ solved.T
        answer = (patches @ down.T.to(FAST)).float() @ directions.T + level
        history.append(float((answer.relu() - wanted.relu()).square().sum() / energy))
        if turn == rounds:
            break
        goal = torch.where(negative, answer.clamp_max(0), wanted)
        target = answer + RELAXED * (goal - answer) if turn else goal
    bias = level - directions @ (down @ mean)
    if rank is None:
        return {"weight": down.reshape(start.shape).contiguous(), "bias": bias}, history
    layer = {
        "down.weight": down.reshape(rank, inputs, 3, 3).contiguous(),
        "up.weight": directions.reshape(outputs, rank, 1, 1).contiguous(),
        "bias": bias,
    }
    return layer, history
