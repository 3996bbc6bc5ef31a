"""Gradient training: the student's features and Gram matrices regressed onto the teacher's, many layers at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from student import Student
from torch import Tensor
from vgg import CONVOLUTIONS, Teacher, centre

__all__ = ["STYLE", "Plan", "Trainer", "distance", "energy", "grams", "read_metric", "relative_errors"]

STYLE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")  # read after the ReLU

ECHOES = 2  # steps on each batch: the teacher's features cost as much as a step


@dataclass(frozen=True)
class Plan:
    """One stage of training: how long, on what, and how much each layer counts."""

    steps: int
    batch: int
    side: int
    rate: float  # of Adam, in units of each tensor's own root mean square
    taps: dict[str, float] = field(default_factory=dict)  # weight of the feature error after the ReLU
    before_relu: dict[str, float] = field(default_factory=dict)  # the same before it
    first: str = "conv1_1"  # the layers before it are left as they are
    gram: float = 1.0  # weight of the Gram error beside the feature error at `STYLE`

    def deepest(self) -> str:
        """The deepest layer that counts."""
        return max((*self.taps, *self.before_relu), key=CONVOLUTIONS.index)


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
        return energy(difference)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (difference,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return difference * (2 * grads[0]).to(difference.dtype), None


class _Grams(torch.autograd.Function):
    """Σ f fᵀ of each picture of a batch, in float32, with a backward of one product."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, maps: Tensor) -> Tensor:
        ctx.save_for_backward(maps)
        flats = maps.permute(0, 2, 3, 1).flatten(1, 2)
        return torch.stack([flat.T @ flat for flat in flats]).float()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (maps,) = ctx.saved_tensors  # type: ignore[attr-defined]
        flats = maps.permute(0, 2, 3, 1)
        both = (grads[0] + grads[0].transpose(1, 2)).to(maps.dtype)
        return torch.stack([flat @ push for flat, push in zip(flats, both, strict=True)]).permute(0, 3, 1, 2)


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Σ (a − b)², with a gradient for `a` alone."""
    found: Tensor = _Distance.apply(a, b)  # type: ignore[no-untyped-call]
    return found


def grams(maps: Tensor) -> Tensor:
    """Gram matrices B×N×N of feature maps B×N×H×W, summed over positions, in float32."""
    found: Tensor = _Grams.apply(maps)  # type: ignore[no-untyped-call]
    return found


def energy(maps: Tensor) -> Tensor:
    """Σ maps², as float32, to the precision of the maps."""
    norm: Tensor = torch.linalg.vector_norm(maps)  # with dtype=float32 it copies: 20 times slower
    return norm.float().square()


def relative_errors(
    student: Student, x: Tensor, targets: dict[str, Tensor], plan: Plan
) -> tuple[Tensor, dict[str, float]]:
    """The loss of a batch, of pictures or of what enters `plan.first`, and each tap's relative squared error."""
    found = student.features(x, plan.deepest(), plan.first)
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
        if name in STYLE:
            goal = grams(target)
            loss = loss + weight * plan.gram * (grams(maps) - goal).square().sum() / goal.square().sum()
    return loss, errors


class Trainer:
    """Adam over some of a student's tensors, its rate falling along a half cosine; holds what a checkpoint needs."""

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
        """`ECHOES` steps on a batch of pictures 0…1; returns the first one's loss and errors, unseen until then."""
        x = centre(pictures)
        with torch.no_grad():
            targets = self.teacher.features(x, self.plan.deepest())
        reports = [self.descend(x, targets) for _ in range(ECHOES)]
        return reports[0]

    def descend(self, x: Tensor, targets: dict[str, Tensor]) -> tuple[float, dict[str, float]]:
        """One step on what enters `plan.first`, against the teacher's convolution outputs."""
        share = self.step / self.plan.steps
        rate = self.plan.rate * min(1.0, (self.step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.zero_grad(set_to_none=True)
        loss, errors = relative_errors(self.student, x, targets, self.plan)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.step += 1
        return loss.item(), errors

    def state(self) -> dict[str, Any]:
        """What `restore` needs beside the tensors."""
        return {"step": self.step, "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
