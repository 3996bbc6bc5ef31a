"""Gradient training: the student's features and Gram matrices regressed onto the teacher's, many layers at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from student import Student
from torch import Tensor
from vgg import CONVOLUTIONS, Teacher, centre

__all__ = ["Plan", "Trainer", "distance", "energy", "grams", "read_metric", "relative_errors"]


@dataclass(frozen=True)
class Plan:
    """One stage of training: how long, on what, and how much each layer counts."""

    steps: int
    batch: int
    side: int
    rate: float  # of AdamW, in units of each tensor's own root mean square
    taps: dict[str, float] = field(default_factory=dict)  # weight of the feature error after the ReLU
    before_relu: dict[str, float] = field(default_factory=dict)  # the same before it
    gram: float = 0.3  # weight of the Gram error beside each tap's feature error


def read_metric(student: Student, name: str, maps: Tensor) -> Tensor:
    """The teacher's channels as read from the student's, after the ReLU."""
    metric = student.metric(name)
    return maps if metric is None else F.conv2d(maps, metric.to(maps.dtype)[:, :, None, None])


class _Distance(torch.autograd.Function):
    """Σ (a − b)² in the precision of its inputs: one multiplication in the backward, no float32 copies."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, a: Tensor, b: Tensor) -> Tensor:
        difference = a - b
        ctx.save_for_backward(difference)
        return torch.linalg.vector_norm(difference, dtype=torch.float32).square()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return difference * (2 * grads[0]).to(difference.dtype), None


class _Grams(torch.autograd.Function):
    """Σ f fᵀ of each picture of a batch, in float32, with a backward of one product."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, maps: Tensor) -> Tensor:
        flat = maps.permute(0, 2, 3, 1).flatten(1, 2)
        ctx.save_for_backward(maps)
        return (flat.transpose(1, 2) @ flat).float()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (maps,) = ctx.saved_tensors  # type: ignore[attr-defined]
        count, channels, height, width = maps.shape
        flat = maps.permute(0, 2, 3, 1).flatten(1, 2)
        pushed = flat @ (grads[0] + grads[0].transpose(1, 2)).to(maps.dtype)
        return pushed.view(count, height, width, channels).permute(0, 3, 1, 2)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Σ (a − b)², with a gradient for `a` alone."""
    found: Tensor = _Distance.apply(a, b)  # type: ignore[no-untyped-call]
    return found


def grams(maps: Tensor) -> Tensor:
    """Gram matrices B×N×N of feature maps B×N×H×W, summed over positions, in float32."""
    found: Tensor = _Grams.apply(maps)  # type: ignore[no-untyped-call]
    return found


def energy(maps: Tensor) -> Tensor:
    """Σ maps², in float32."""
    return torch.linalg.vector_norm(maps, dtype=torch.float32).square()


def relative_errors(student: Student, teacher: Teacher, x: Tensor, plan: Plan) -> tuple[Tensor, dict[str, float]]:
    """The loss of one batch of centred pictures, and each tap's relative squared feature error."""
    wanted = [*plan.taps, *plan.before_relu]
    upto = max(wanted, key=CONVOLUTIONS.index)
    with torch.no_grad():
        targets = teacher.features(x, upto)
    found = student.features(x, upto)
    loss = torch.zeros(())
    errors: dict[str, float] = {}
    for name, weight in plan.before_relu.items():
        error = distance(found[name], targets[name]) / energy(targets[name])
        loss = loss + weight * error
    for name, weight in plan.taps.items():
        target = torch.relu(targets[name])
        maps = read_metric(student, name, torch.relu(found[name]))
        error = distance(maps, target) / energy(target)
        errors[name] = error.item()
        loss = loss + weight * error
        if plan.gram:
            goal = grams(target)
            loss = loss + weight * plan.gram * (grams(maps) - goal).square().sum() / goal.square().sum()
    return loss, errors


class Trainer:
    """AdamW over some of a student's tensors, its rate falling along a half cosine; holds what a checkpoint needs."""

    def __init__(self, student: Student, teacher: Teacher, plan: Plan, trained: Callable[[str], bool]) -> None:
        self.student, self.teacher, self.plan, self.step = student, teacher, plan, 0
        self.names = [name for name in sorted(student.tensors) if trained(name)]
        groups = []
        for name in self.names:
            tensor = student.tensors[name] = student.tensors[name].detach().clone().requires_grad_()
            scale = tensor.detach().square().mean().sqrt().clamp_min(1e-3).item()
            groups.append({"params": [tensor], "lr": plan.rate * scale, "scale": scale})
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.98), eps=1e-12)

    def advance(self, pictures: Tensor) -> tuple[float, dict[str, float]]:
        """One step on a batch of pictures 0…1; returns its loss and each tap's error."""
        share = self.step / self.plan.steps
        rate = self.plan.rate * min(1.0, (self.step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.zero_grad(set_to_none=True)
        loss, errors = relative_errors(self.student, self.teacher, centre(pictures), self.plan)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.step += 1
        return loss.item(), errors
