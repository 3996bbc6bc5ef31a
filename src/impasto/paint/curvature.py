"""What L-BFGS knows of a function's curvature: its first guess, and what it has seen on the way."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

__all__ = ["Curvature", "Operator", "Pair", "Scalar", "dot", "smoothing", "unit_of"]

Operator = Callable[[Tensor], Tensor]
Scalar = float | Tensor  # of no dimension
Pair = tuple[Tensor, Tensor, Scalar]  # a move s, what it changed the gradient by, y, and 1 / sᵀy


class Curvature:
    """The limited memory of L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4)."""

    def __init__(
        self,
        history: int,
        precondition: Operator | None,
        kept: torch.dtype | None,
        pairs: Iterable[Pair] = (),
        scale: Scalar = 1.0,
    ) -> None:
        self.pairs: deque[Pair] = deque(pairs, maxlen=history)
        self.kept = kept
        self.precondition = precondition or (lambda v: v)
        self.scale = scale

    def add(self, s: Tensor, y: Tensor) -> None:
        """Remember a move s that changed the gradient by y, if the curvature along it is positive."""
        own = s.dtype
        s, y = s.to(self.kept or own), y.to(self.kept or own)  # what is remembered must fit together to the last bit
        wide = y.to(own)
        sy = dot(s.to(own), wide)
        if sy > 1e-10 * dot(wide, wide):
            self.pairs.append((s, y, 1 / sy))
            self.scale = sy / dot(wide, self.precondition(wide))

    def direction(self, gradient: Tensor) -> Tensor:
        """Minus the inverse Hessian's estimate times the gradient."""
        q = gradient.clone()
        alphas = []
        for s, y, rho in reversed(self.pairs):
            alphas.append(rho * dot(s.to(q.dtype), q))
            _add(q, y.to(q.dtype), -alphas[-1])
        q = self.precondition(q).mul_(self.scale if self.pairs else 1.0)
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            _add(q, s.to(q.dtype), alpha - rho * dot(y.to(q.dtype), q))
        return q.neg_()


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


def unit_of(gradient: Tensor) -> float:
    """A power of two that brings a gradient near 1, so that products of huge or tiny ones stay within float32."""
    exponent = math.frexp(gradient.abs().max().item())[1]
    return 2.0 ** -max(exponent, -100)


def dot(a: Tensor, b: Tensor) -> Scalar:
    """The product, as a number on the CPU; elsewhere it stays on the device, where reading it would wait for all."""
    product = torch.dot(a.flatten(), b.flatten())
    return product.item() if at_hand(product) else product


def _add(q: Tensor, v: Tensor, factor: Scalar) -> None:
    """Add `factor` · v to q, in place."""
    if isinstance(factor, Tensor):
        q.addcmul_(v, factor)
    else:
        q.add_(v, alpha=factor)


def at_hand(value: Tensor) -> bool:
    return value.device.type == "cpu"
