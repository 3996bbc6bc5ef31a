"""The Wasserstein distance of two Gaussians: how far two clouds of points are, by mean and covariance alone."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["exact", "gaussian", "of", "root", "wasserstein", "wasserstein_gaussian"]

# Of the mean variance, what is added to the diagonal, since few points span few directions.
RIDGE = {torch.float64: 1e-9, torch.float32: 1e-6}


def exact(values: Tensor) -> Tensor:
    """In float64 where the device has it: variances are small differences of second moments."""
    return values.float() if values.device.type == "mps" else values.double()


def gaussian(S: Tensor) -> tuple[Tensor, Tensor]:
    """Mean N and covariance N×N of points whose second moments with the mean are S, (N+1)×(N+1), divided by M."""
    mean = S[:-1, -1]
    return mean, S[:-1, :-1] - torch.outer(mean, mean)


def root(C: Tensor) -> Tensor:
    """The symmetric square root of a covariance N×N."""
    values, vectors = torch.linalg.eigh(C)
    half: Tensor = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    return half


def wasserstein(mean: Tensor, C: Tensor, other: Tensor, half: Tensor) -> Tensor:
    """W² = |μ_x − μ_a|² + tr(Σ_x + Σ_a − 2 (Σ_a^½ Σ_x Σ_a^½)^½); `other` is μ_a, `half` Σ_a^½.

    Differentiable in `mean` N and `C` N×N, also where Σ_a^½ Σ_x Σ_a^½ is of low rank: a ridge is added to it. 0 for
    equal Gaussians up to that ridge.

    >>> one, two = torch.tensor([[4.0]]), torch.tensor([[1.0]])
    >>> round(wasserstein(torch.tensor([3.0]), one, torch.tensor([1.0]), root(two)).item(), 3)
    5.0
    """
    inner = half @ C @ half
    inner = (inner + inner.T) / 2
    ridge = RIDGE[inner.dtype] * inner.detach().diagonal().mean().clamp_min(1e-30)
    values = torch.linalg.eigvalsh(inner + ridge * torch.eye(len(inner), dtype=inner.dtype, device=inner.device))
    cross = values.clamp_min(ridge / 2).sqrt().sum()
    distance: Tensor = (mean - other).square().sum() + C.trace() + half.square().sum() - 2 * cross
    return distance


def wasserstein_gaussian(F: Tensor, A: Tensor) -> Tensor:
    """W² of the Gaussians of two feature maps (or pictures), N×H×W, each of a size of its own."""
    (mean, C), (other, D) = (of(maps.flatten(1)) for maps in (F, A))
    return wasserstein(mean, C, other, root(D))


def of(points: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean N and covariance N×N of points N×M, each counted by its weight, M, where there are weights."""
    if weights is None:
        mean = points.mean(1)
        away = points - mean[:, None]
        return mean, away @ away.T / points.shape[1]
    share = weights / weights.sum().clamp_min(1e-12)
    mean = points @ share
    away = points - mean[:, None]
    return mean, (away * share) @ away.T
