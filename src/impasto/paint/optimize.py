"""L-BFGS and Adam inside bounds. Knows nothing of style transfer: a function, a start, a box.

Both yield a `Step` for every evaluation of the gradient. The unknown never leaves the box, so nothing is lost when the
result is clipped in the end; and no step is taken into a value that is not a finite number.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.errors import DivergenceError

__all__ = ["Evaluation", "Step", "adam", "lbfgs", "smoothing"]

RECOVERIES = 3  # times a run goes back to its best point before it gives up
EXPLODED = 1e3  # a value this many times the largest of Adam's first WARMUP is divergence
WARMUP = 10  # a start near a minimum rises to the noise of Adam's own steps; that is no divergence
HALVINGS = 12  # of one line search
FIRST_MOVE = 0.1  # largest change of any coordinate in a step that has no curvature to go by


@dataclass(frozen=True)
class Evaluation:
    """A function's value and gradient at a point, and the terms that the value is made of.

    `checksum`: the sum of the gradient, where it has been read from the device already.
    """

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
Operator = Callable[[Tensor], Tensor]
Scalar = float | Tensor  # of no dimension
Renew = Callable[[int], bool]  # after so many evaluations: whether the function is another one from now on


class _Best:
    """The best finite point so far, and how often it had to be gone back to."""

    def __init__(self) -> None:
        self.x: Tensor | None = None
        self.evaluation: Evaluation | None = None
        self.index = 0
        self.recoveries = 0

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
        assert self.x is not None
        assert self.evaluation is not None
        return Step(
            self.index, evaluation.value, evaluation.terms, self.x, self.evaluation.value, self.evaluation.terms
        )


class _Curvature:
    """The limited memory of L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4)."""

    def __init__(self, history: int, precondition: Operator | None, kept: torch.dtype | None) -> None:
        self.pairs: deque[tuple[Tensor, Tensor, Scalar]] = deque(maxlen=history)
        self.kept = kept
        self.precondition = precondition or (lambda v: v)
        self.scale: Scalar = 1.0

    def add(self, s: Tensor, y: Tensor) -> None:
        """Remember a move s that changed the gradient by y, if the curvature along it is positive."""
        own = s.dtype
        s, y = s.to(self.kept or own), y.to(self.kept or own)  # what is remembered must fit together to the last bit
        wide = y.to(own)
        sy = _dot(s.to(own), wide)
        if sy > 1e-10 * _dot(wide, wide):
            self.pairs.append((s, y, 1 / sy))
            self.scale = sy / _dot(wide, self.precondition(wide))

    def direction(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessian's estimate times the gradient."""
        q = gradient.clone()
        alphas = []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * _dot(s.to(q.dtype), q))
            _add(q, y.to(q.dtype), -alphas[-1])
        q = self.precondition(q).mul_(self.scale if self.pairs else 1.0)
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            _add(q, s.to(q.dtype), alpha - rho * _dot(y.to(q.dtype), q))
        return q.neg_()


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
) -> Iterator[Step]:
    """Minimise by projected L-BFGS with backtracking, at most `evaluations` gradients; ends early where nothing falls.

    Coordinates at a bound whose gradient points outward are held still, the rest move along the quasi-Newton direction,
    and the point is clipped to the box (Bertsekas 1982, "Projected Newton methods"). `precondition` is the first guess
    of the inverse Hessian, a symmetric positive operator. The last `history` moves are remembered, in the precision
    `kept` (None: that of `x`). Where `renew` says that the function has changed, what was best and what was remembered
    is forgotten. Raises DivergenceError after three returns to the best point.
    """
    best, memory = _Best(), _Curvature(history, precondition, kept)
    x = x.clamp(lower, upper)
    now = evaluate(x)
    best.record(x, now)
    yield best.step(now)
    unit = _unit(now.gradient)
    reach = FIRST_MOVE
    while best.index < evaluations:
        free = ~((x <= lower) & (now.gradient > 0) | (x >= upper) & (now.gradient < 0))
        slope = (now.gradient * unit).mul_(free)
        direction = memory.direction(slope).mul_(free)
        if memory.pairs and _dot(direction, slope) >= 0:
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
            if then.value <= now.value + 1e-4 * _dot(slope, trial - x) / unit:
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
) -> Iterator[Step]:
    """Minimise by Adam (arXiv:1412.6980), clipped to the box after every step.

    On divergence: back to the best point with half the learning rate; raises DivergenceError after three times.
    """
    best, highest, unit = _Best(), 0.0, 0.0
    point = x.clamp(lower, upper).clone()
    optimizer = torch.optim.Adam([point], lr=learning_rate, betas=(0.9, 0.99))
    for number in range(evaluations):
        if number and renew(number):
            best.forget()
        now = evaluate(point)
        sound = best.record(point.clone(), now, math.inf if number < WARMUP else EXPLODED * highest)
        yield best.step(now)
        if sound:
            if number < WARMUP:
                highest = max(highest, abs(now.value))
            unit = unit or _unit(now.gradient)
            point.grad = now.gradient * unit
            optimizer.step()
            point.clamp_(lower, upper)
        else:
            assert best.x is not None
            learning_rate /= 2
            point = best.x.clone()
            optimizer = torch.optim.Adam([point], lr=learning_rate, betas=(0.9, 0.99))


def smoothing(height: int, width: int, device: torch.device | None = None, power: float = 1.0) -> Operator:
    """The operator that divides each frequency f of a picture C×H×W by f^power, frequency 0 as the lowest other.

    As L-BFGS's first guess it lets broad changes of colour, which plain pixels learn last, go as fast as fine ones; at
    power 1 the same as optimising in a Fourier basis scaled by 1/√f (Olah et al. 2017, "Feature Visualization").
    """
    rows = torch.fft.fftfreq(height, device=device, dtype=torch.float32)[:, None]
    columns = torch.fft.rfftfreq(width, device=device, dtype=torch.float32)[None, :]
    frequency = (rows.square() + columns.square()).sqrt().clamp_min(1 / max(height, width))
    gain = frequency**-power
    gain = gain / gain.mean()
    return lambda picture: torch.fft.irfft2(torch.fft.rfft2(picture) * gain, s=(height, width))


def _unit(gradient: Tensor) -> float:
    """A power of two that brings a gradient near 1, so that products of huge or tiny ones stay within float32."""
    exponent = math.frexp(gradient.abs().max().item())[1]
    return 2.0 ** -max(exponent, -100)


def _dot(a: Tensor, b: Tensor) -> Scalar:
    """The product, as a number on the CPU; elsewhere it stays on the device, where reading it would wait for all."""
    product = torch.dot(a.flatten(), b.flatten())
    return product.item() if _at_hand(product) else product


def _add(q: Tensor, v: Tensor, factor: Scalar) -> None:
    """Add `factor` · v to q, in place."""
    if isinstance(factor, Tensor):
        q.addcmul_(v, factor)
    else:
        q.add_(v, alpha=factor)


def _at_hand(value: Tensor) -> bool:
    return value.device.type == "cpu"
