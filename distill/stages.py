"""The steps that make the network, in order, each small enough to be done again when a run was cut.

1. thin      channels selected for conv1_1, conv1_2 and conv2_1, then trained a little by gradient;
2. fit       conv2_2 … conv5_1 one by one in closed form, on natural pictures;
3. transfers the student's own half-finished transfers join the pictures, and `fit` runs again, `ROUNDS` times, the
             last time on much more data;
4. polish    where it is asked for: all layers together by gradient, on natural and own pictures;
5. tail      conv5_2 … conv5_4 in closed form.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from closed_form import FAST, composed, fit_one_sided, second_moment, start_thin
from data import Cache, Material, cached
from onpolicy import transfers
from regression import Plan, Trainer
from student import SHAPE, Student
from torch import Tensor
from vgg import CONVOLUTIONS, Convolution, Teacher, centre

__all__ = ["Workshop", "steps"]

THIN = CONVOLUTIONS[:3]
FIRST_OF = {"2": "conv2_2", "3": "conv2_2", "4": "conv4_1", "5": "conv4_1"}  # block: where its cache begins
LAST_OF = {"conv2_2": "conv3_4", "conv4_1": "conv5_4"}
SIDES = {"conv2_2": 96, "conv4_1": 176}  # pixels of the crops that a cache is made of
OWN_SIDE = 128  # at most of crops from own pictures, which are smaller
EFFORTS = {"quick": (320, 40_000), "full": (800, 130_000)}  # natural crops in a cache, and positions of a fit
OWN_CROPS = 0.5  # own crops for each natural one
OWN_SHARE = 0.4  # of the positions
FIT_ROUNDS = 5
ROUNDS = 2  # of transfers followed by a fit of everything
TRANSFERS = 20  # in each round
OWN_KEPT = 240  # own pictures, the newest

THIN_PLAN = Plan(1600, 8, 96, 0.02, {"conv1_1": 1.0, "conv1_2": 0.5, "conv2_1": 1.0}, gram=10.0)
POLISH_WEIGHTS = {
    **{"conv1_1": 1.0, "conv1_2": 0.2, "conv2_1": 1.0, "conv2_2": 0.3},
    **{"conv3_1": 1.0, "conv3_2": 0.15, "conv3_3": 0.15, "conv3_4": 0.3},
    **{"conv4_1": 1.0, "conv4_2": 1.0, "conv4_3": 0.15, "conv4_4": 0.3, "conv5_1": 1.0},
}
POLISH_BATCH = (4, 1, 3)  # crops of photographs, paintings and own pictures

Tick = Callable[[str], None]  # a part of a step is done; the text says how it stands


def steps(polished: bool) -> list[tuple[str, ...]]:
    """Every step as its kind and arguments, in the order they are taken."""
    found: list[tuple[str, ...]] = [("thin",)]
    for turn in range(ROUNDS + 1):
        effort = "full" if turn == ROUNDS else "quick"
        found += [("transfers",)] if turn else []
        found += [("fit", name, effort) for name in CONVOLUTIONS[3:13]]
    found += [("transfers",), ("polish",)] if polished else []
    return found + [("fit", name, "full") for name in CONVOLUTIONS[13:]]


@dataclass
class Workshop:
    """The teacher, the student so far and the pictures; each step changes the student or the pictures."""

    weights: dict[str, Convolution]
    material: Material
    student: Student
    polish: Plan
    caches: dict[str, list[Cache]] = field(default_factory=dict)  # by first layer; none outlives its step's block

    def __post_init__(self) -> None:
        self.teacher = Teacher(self.weights)

    def take(self, step: tuple[str, ...], generator: torch.Generator, trainer: Trainer | None, tick: Tick) -> None:
        """Do one step; `trainer` is the polish's own, as a checkpoint restored it."""
        kind = step[0]
        if kind == "fit":
            self._fit(step[1], EFFORTS[step[2]], generator, tick)
            return
        self.caches.clear()
        if kind == "thin":
            self._thin(generator, tick)
        elif kind == "transfers":
            self._transfers(TRANSFERS, generator, tick)
        elif trainer is not None:
            self._polish(trainer, generator, tick)

    def trainer(self) -> Trainer:
        """A trainer of all tensors, at its first step."""
        return Trainer(self.student, self.teacher, self.polish, lambda name: True)

    def _thin(self, generator: torch.Generator, tick: Tick) -> None:
        batches = self.material.batches((5, 3, 0), THIN_PLAN.side, generator)
        with torch.no_grad():
            found = [self.teacher.features(centre(batch), THIN[-1]) for batch in itertools.islice(batches, 12)]
        before = None
        for name in THIN:
            moment = second_moment(torch.relu(taps[name]) for taps in found)
            start_thin(self.student, name, before, self.weights[name], moment=moment, width=SHAPE[name][1])
            before = self.student.metric(name)
        trainer = Trainer(self.student, self.teacher, THIN_PLAN, lambda name: True)
        while trainer.step < THIN_PLAN.steps:
            loss, _ = trainer.advance(next(batches))
            tick(f"loss {loss:.4f}")

    def _fit(self, name: str, effort: tuple[int, int], generator: torch.Generator, tick: Tick) -> None:
        crops, positions = effort
        first = FIRST_OF[name[4]]
        if first not in self.caches:
            self.caches.clear()  # one at a time: a cache takes some gigabytes
            self.caches[first] = self._cached(first, crops, generator, tick)
        parts = self.caches[first]
        shares = (1 - OWN_SHARE, OWN_SHARE) if len(parts) == 2 else (1,)
        pairs = [
            sampled(self.student, part, first, name, count=round(share * positions), generator=generator)
            for part, share in zip(parts, shares, strict=True)
        ]
        patches, wanted = (torch.cat(each) for each in zip(*pairs, strict=True))
        pairs.clear()  # gigabytes
        before = CONVOLUTIONS[CONVOLUTIONS.index(name) - 1]
        start = composed(self.weights[name][0], self.student.metric(before))
        layer, history = fit_one_sided(patches, wanted, start, SHAPE[name][0], FIT_ROUNDS)
        self.student.tensors.update({f"{name}.{key}": tensor for key, tensor in layer.items()})
        tick(f"{name}: {100 * history[-1]:.2f} % off after the ReLU")

    def _cached(self, first: str, crops: int, generator: torch.Generator, tick: Tick) -> list[Cache]:
        def told(batches: Iterator[Tensor], count: int) -> Iterator[Tensor]:
            for batch in itertools.islice(batches, count // 8):
                yield batch
                tick(f"features from {first}")

        natural = told(self.material.batches((6, 2, 0), SIDES[first], generator), crops)
        parts = [cached(self.student, self.teacher, first, LAST_OF[first], natural)]
        if self.material.own:
            side = min(SIDES[first], OWN_SIDE)
            own = told(self.material.batches((0, 0, 8), side, generator), round(OWN_CROPS * crops))
            parts.append(cached(self.student, self.teacher, first, LAST_OF[first], own))
        return parts

    def _transfers(self, count: int, generator: torch.Generator, tick: Tick) -> None:
        made = transfers(
            self.student, self.material.photos, self.material.art, count, generator, done=lambda: tick("transfers")
        )
        self.material.own = (self.material.own + made)[-OWN_KEPT:]

    def _polish(self, trainer: Trainer, generator: torch.Generator, tick: Tick) -> None:
        batches = self.material.batches(POLISH_BATCH, self.polish.side, generator)
        while trainer.step < self.polish.steps:
            loss, errors = trainer.advance(next(batches))
            tick(f"loss {loss:.4f}, relu4_2 {100 * errors['conv4_2']:.1f} %, relu5_1 {100 * errors['conv5_1']:.1f} %")


@torch.no_grad()
def sampled(
    student: Student, cache: Cache, first: str, name: str, *, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """About `count` random positions of a layer: what enters it, P×9I in `FAST`, and the teacher's answers, P×O."""
    frozen, patches, wanted = student.frozen(), [], []
    before = CONVOLUTIONS[CONVOLUTIONS.index(name) - 1]
    each = count // len(cache.entering) + 1
    for start in range(0, len(cache.entering), 16):
        maps = cache.entering[start : start + 16]
        if name != first:
            maps = frozen.entering(name, frozen.features(maps, before, first))
        number, (height, width) = len(maps) * each, maps.shape[-2:]
        picture = torch.arange(len(maps)).repeat_interleave(each)
        row = torch.randint(height, (number,), generator=generator)
        column = torch.randint(width, (number,), generator=generator)
        windows = torch.nn.functional.pad(maps.to(FAST), (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1)
        patches.append(windows[picture, :, row, column].flatten(1))
        wanted.append(cache.targets[name][start : start + 16][picture, :, row, column].float())
    return torch.cat(patches), torch.cat(wanted)
