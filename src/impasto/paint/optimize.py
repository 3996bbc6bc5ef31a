"""L-BFGS and Adam inside bounds. Knows nothing of style transfer: a function, a start, a box.

Both yield a `Step` for every evaluation of the gradient. The unknown never leaves the box, so nothing is lost when the
result is clipped in the end; and no step is taken into a value that is not a finite number. Both say where they stand
whenever they could be left there and begun again, in their own `Lbfgs` or `Adam`: from there the steps are the same, to
the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from pydantic import ConfigDict
from torch import Tensor

from impasto.errors import DivergenceError
from impasto.paint.curvature import Curvature, Operator, Pair, Scalar, dot, unit_of

__all__ = ["Adam", "Best", "Evaluation", "Lbfgs", "Step", "adam", "lbfgs"]

RECOVERIES = 3  # times a run goes back to its best point before it gives up
EXPLODED = 1e3  # a value this many times the largest of Adam's first WARMUP is divergence
WARMUP = 10  # a start near a minimum rises to the noise of Adam's own steps; that is no divergence
HALVINGS = 12  # of one line search
FIRST_MOVE = 0.1  # largest change of any coordinate in a step that has no curvature to go by


ANY_TYPE = ConfigDict(arbitrary_types_allowed=True)  # tensors, where a place is read back


@dataclass(frozen=True)
class Evaluation:
    """A function's value and gradient at a point, and the terms that the value is made of.

    `checksum`: the sum of the gradient, where it has been read from the device already.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ANY_TYPE

    value: float
    gradient: Tensor
    terms: Mapping[str, float] = field(default_factory=dict)
    checksum: float | None = None

    def finite(self) -> bool:
        """Whether both the value and the whole gradient are finite numbers."""
        checksum = self.gradient.sum().item() if self.checksum is None else self.checksum
        return math.isfinite(self.value) and math.isfinite(checksum)


@dataclass(frozen=True)
class Step:
    """One evaluation done: its number from 1, its value and terms, and the best point so far."""

    index: int
    value: float
    terms: Mapping[str, float]
    best: Tensor
    best_value: float
    best_terms: Mapping[str, float]


Evaluate = Callable[[Tensor], Evaluation]
Renew = Callable[[int], bool]  # after so many evaluations: whether the function is another one from now on


@dataclass
class Best:
    """The best finite point so far, of `index` evaluations, and how often it had to be gone back to."""

    __pydantic_config__: ClassVar[ConfigDict] = ANY_TYPE

    x: Tensor | None = None
    evaluation: Evaluation | None = None
    index: int = 0
    recoveries: int = 0

    def record(self, x: Tensor, evaluation: Evaluation, ceiling: float = math.inf) -> bool:
        """Count an evaluation; True if it is sound, False if it is divergence and the caller must go back.

        Divergence is a value or gradient that is not finite, or a value above `ceiling`.
        """
        self.index += 1
        if evaluation.finite() and evaluation.value <= ceiling:
            if self.evaluation is None or evaluation.value < self.evaluation.value:
                self.x, self.evaluation = x, evaluation
            return True
        self.recoveries += 1
        if self.evaluation is None or self.recoveries > RECOVERIES:
            what = "is not a finite number" if not evaluation.finite() else f"rose to {evaluation.value:.3g}"
            raise DivergenceError(
                f"the loss {what} at evaluation {self.index}"
                + (f", after {RECOVERIES} returns to the best picture" if self.evaluation else "")
                + "; lower the weights or the learning rate, or use precision float32"
            )
        return False

    def forget(self) -> None:
        """What has been found is of a function that is no more."""
        self.evaluation = None

    def step(self, evaluation: Evaluation) -> Step:
        """What is told of an evaluation."""
        assert self.x is not None
        assert self.evaluation is not None
        return Step(
            self.index, evaluation.value, evaluation.terms, self.x, self.evaluation.value, self.evaluation.terms
        )


@dataclass(frozen=True)
class Lbfgs:
    """Where L-BFGS stands before a line search. Its tensors do not change."""

    __pydantic_config__: ClassVar[ConfigDict] = ANY_TYPE

    x: Tensor
    now: Evaluation
    best: Best
    pairs: tuple[Pair, ...]
    scale: Scalar
    unit: float
    reach: float


@dataclass(frozen=True)
class Adam:
    """Where Adam stands after `number` evaluations; `moments`: its step, and the two, None before the first step.

    Its tensors are those that the next step changes: to be read before.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ANY_TYPE

    number: int
    point: Tensor
    moments: tuple[float, Tensor, Tensor] | None
    best: Best
    highest: float
    unit: float
    learning_rate: float


def lbfgs(
    evaluate: Evaluate,
    x: Tensor,
    evaluations: int,
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    history: int = 20,
    kept: torch.dtype | None = None,
    precondition: Operator | None = None,
    renew: Renew = lambda _: False,
    place: Lbfgs | None = None,
    mark: Callable[[Lbfgs], object] = lambda _: None,
) -> Iterator[Step]:
    """Minimise by projected L-BFGS with backtracking, at most `evaluations` gradients; ends early where nothing falls.

    Coordinates at a bound whose gradient points outward are held still, the rest move along the quasi-Newton direction,
    and the point is clipped to the box (Bertsekas 1982, "Projected Newton methods"). `precondition` is the first guess
    of the inverse Hessian, a symmetric positive operator. The last `history` moves are remembered, in the precision
    `kept` (None: that of `x`). Where `renew` says that the function has changed, what was best and what was remembered
    is forgotten. `mark` is told where it stands before every line search; with such a `place` it goes on from there,
    whatever `x` is. Raises DivergenceError after three returns to the best point.
    """
    if place is None:
        best, memory = Best(), Curvature(history, precondition, kept)
        x = x.clamp(lower, upper)
        now = evaluate(x)
        best.record(x, now)
        yield best.step(now)
        unit, reach = unit_of(now.gradient), FIRST_MOVE
    else:
        best, memory = replace(place.best), Curvature(history, precondition, kept, place.pairs, place.scale)
        x, now, unit, reach = place.x, place.now, place.unit, place.reach
    while best.index < evaluations:
        mark(Lbfgs(x, now, replace(best), tuple(memory.pairs), memory.scale, unit, reach))
        free = ~((x <= lower) & (now.gradient > 0) | (x >= upper) & (now.gradient < 0))
        slope = (now.gradient * unit).mul_(free)
        direction = memory.direction(slope).mul_(free)
        if memory.pairs and dot(direction, slope) >= 0:
            memory.pairs.clear()
            direction = memory.direction(slope).mul_(free)
        largest = direction.abs().max().item()
        if largest == 0:
            return
        length = 1.0 if memory.pairs else reach / largest
        accepted = False
        for _ in range(HALVINGS):
            if best.index >= evaluations:
                return
            trial = torch.add(x, direction, alpha=length).clamp_(lower, upper)
            then = evaluate(trial)
            sound = best.record(trial, then)
            yield best.step(then)
            if not sound:
                break
            if then.value <= now.value + 1e-4 * dot(slope, trial - x) / unit:
                accepted = True
                break
            length /= 2
        if accepted:
            still = (trial <= lower) & (then.gradient > 0) | (trial >= upper) & (then.gradient < 0)
            memory.add(trial - x, then.gradient.masked_fill(still, 0.0).mul_(unit).sub_(slope))
            x, now = trial, then
            if best.index < evaluations and renew(best.index):
                best.forget()
                memory.pairs.clear()
                now = evaluate(x)
                best.record(x, now)
                yield best.step(now)
        elif sound and not memory.pairs:
            return
        else:  # a bad memory or a step into nowhere: start again from the best point, more carefully
            assert best.x is not None
            assert best.evaluation is not None
            x, now = best.x, best.evaluation
            memory.pairs.clear()
            reach /= 2


def adam(
    evaluate: Evaluate,
    x: Tensor,
    evaluations: int,
    *,
    lower: float = 0.0,
    upper: float = 1.0,
    learning_rate: float = 0.02,
    renew: Renew = lambda _: False,
    place: Adam | None = None,
    mark: Callable[[Adam], object] = lambda _: None,
) -> Iterator[Step]:
    """Minimise by Adam (arXiv:1412.6980), clipped to the box after every step.

    On divergence: back to the best point with half the learning rate; raises DivergenceError after three times. `mark`
    is told where it stands before every evaluation; with such a `place` it goes on from there, whatever `x` is.
    """
    if place is None:
        begin, best, highest, unit, moments = 0, Best(), 0.0, 0.0, None
        point = x.clamp(lower, upper).clone()
    else:
        begin, point, best, moments = place.number, place.point.clone(), replace(place.best), place.moments
        highest, unit, learning_rate = place.highest, place.unit, place.learning_rate
    optimizer = _adam(point, learning_rate, moments)
    for number in range(begin, evaluations):
        mark(Adam(number, point, _moments(optimizer, point), replace(best), highest, unit, learning_rate))
        if number and renew(number):
            best.forget()
        now = evaluate(point)
        sound = best.record(point.clone(), now, math.inf if number < WARMUP else EXPLODED * highest)
        yield best.step(now)
        if sound:
            if number < WARMUP:
                highest = max(highest, abs(now.value))
            unit = unit or unit_of(now.gradient)
            point.grad = now.gradient * unit
            optimizer.step()
            point.clamp_(lower, upper)
        else:
            assert best.x is not None
            learning_rate /= 2
            point = best.x.clone()
            optimizer = _adam(point, learning_rate)


def _adam(point: Tensor, learning_rate: float, moments: tuple[float, Tensor, Tensor] | None = None) -> torch.optim.Adam:
    """Adam for a point, with the moments that it had there."""
    optimizer = torch.optim.Adam([point], lr=learning_rate, betas=(0.9, 0.99))
    if moments is not None:
        step, first, second = moments
        own = {"step": torch.tensor(step), "exp_avg": first.clone(), "exp_avg_sq": second.clone()}
        optimizer.load_state_dict({**optimizer.state_dict(), "state": {0: own}})
    return optimizer


def _moments(optimizer: torch.optim.Adam, point: Tensor) -> tuple[float, Tensor, Tensor] | None:
    own = optimizer.state.get(point)
    return (float(own["step"]), own["exp_avg"], own["exp_avg_sq"]) if own else None
