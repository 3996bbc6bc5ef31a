"""Layers in closed form: channel selection for thin ones, least-squares refits and leading directions for low rank.

Every layer is fitted with the student's own inputs against the teacher's responses, so that it mends what the
layers before it have lost.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from student import Student
from torch import Tensor
from vgg import Convolution, Teacher, centre

__all__ = ["composed", "fit_low_rank", "second_moment", "select", "start_thin"]

RIDGE = 1e-3  # pull of the refit towards the teacher's weights, in units of the inputs' mean energy


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


def start_thin(student: Student, name: str, before: Tensor | None, teacher: Convolution, moment: Tensor, width: int) -> None:
    """Put the selected channels of one teacher's layer into the student, with their metric."""
    kernel, bias = teacher
    index, metric = select(moment, width)
    student.tensors[f"{name}.weight"] = composed(kernel, before)[index].contiguous()
    student.tensors[f"{name}.bias"] = bias[index].clone()
    student.tensors[f"{name.replace('conv', 'relu')}.metric.weight"] = metric


@torch.no_grad()
def fit_low_rank(
    student: Student,
    name: str,
    before: str,
    teacher: Teacher,
    start: Tensor,
    rank: int,
    crops: Iterable[Tensor],
    positions: int,
    generator: torch.Generator,
) -> float:
    """Fit one low-rank layer into the student; returns the relative squared error of its pre-activations.

    `before` is the layer before, `start` the kernel towards which the ridge pulls (O×I×3×3), `crops` batches of
    pictures 0…1, of each of which at most `positions` positions are used.
    """
    outputs, inputs = start.shape[:2]
    size = 9 * inputs
    xx, xy = torch.zeros(size + 1, size + 1), torch.zeros(size + 1, outputs)
    yy, count = torch.zeros(outputs), 0
    for batch in crops:
        x = centre(batch)
        target = teacher.features(x, name)[name]
        maps = student.entering(name, student.features(x, before))
        patches = F.unfold(maps.float(), 3, padding=1).transpose(1, 2).reshape(-1, size)
        wanted = target.float().permute(0, 2, 3, 1).reshape(-1, outputs)
        keep = torch.randperm(len(patches), generator=generator)[:positions]
        patches = torch.cat((patches[keep], torch.ones(len(keep), 1)), 1)
        wanted = wanted[keep]
        xx += patches.T @ patches
        xy += patches.T @ wanted
        yy += wanted.square().sum(0)
        count += len(keep)
    ridge = RIDGE * xx.diagonal()[:-1].mean()
    prior = torch.cat((start.reshape(outputs, size).T, torch.zeros(1, outputs)))
    pull = torch.full((size + 1,), float(ridge))
    pull[-1] = 0.0
    solved = torch.linalg.solve(xx + torch.diag(pull), xy + pull[:, None] * prior)
    mean = xx[-1, :-1] / count
    middle = xx[:-1, :-1] - count * torch.outer(mean, mean)
    response = solved[:-1].T @ middle @ solved[:-1]
    directions = torch.linalg.eigh(response.double()).eigenvectors[:, -rank:].float()
    projected = directions.T @ solved[:-1].T
    centre_of = xy[-1] / count
    bias = centre_of - directions @ (projected @ mean)
    student.tensors[f"{name}.down.weight"] = projected.reshape(rank, inputs, 3, 3).contiguous()
    student.tensors[f"{name}.up.weight"] = directions.reshape(outputs, rank, 1, 1).contiguous()
    student.tensors[f"{name}.bias"] = bias
    full = torch.cat(((directions @ projected).T, bias[None]))
    error = yy.sum() - 2 * (full * xy).sum() + (full * (xx @ full)).sum()
    return float(error / yy.sum())
