"""The Wasserstein distance of Gaussians: by hand, by its symmetries, and its gradient in float64."""

from __future__ import annotations

import pytest
import torch

from impasto.losses.gaussians import gaussian, of, root, wasserstein, wasserstein_gaussian


def points(n: int, count: int, seed: int) -> torch.Tensor:
    return torch.randn(n, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_by_hand_with_covariances_that_commute() -> None:
    """|μ|² + Σ (σ_x − σ_a)²: 9 + 16 + (3 − 1)² + (5 − 2)²."""
    C, D = torch.diag(torch.tensor([9.0, 25.0])), torch.diag(torch.tensor([1.0, 4.0]))
    value = wasserstein(torch.tensor([3.0, 4.0]), C, torch.zeros(2), root(D))
    assert value.item() == pytest.approx(38, rel=1e-4)


def test_it_is_symmetric_and_nothing_for_the_same() -> None:
    F, A = points(4, 300, 0), points(4, 200, 1) * 2 + 0.3
    assert wasserstein_gaussian(F, A).item() == pytest.approx(wasserstein_gaussian(A, F).item(), rel=1e-5)
    assert wasserstein_gaussian(F, F).item() == pytest.approx(0, abs=1e-4)


def test_moments_with_a_row_of_ones_hold_mean_and_covariance() -> None:
    F = points(3, 50, 2) + 1
    ones = torch.cat([F, torch.ones(1, 50, dtype=F.dtype)])
    for own, other in zip(gaussian(ones @ ones.T / 50), of(F), strict=True):
        assert torch.allclose(own, other)


@pytest.mark.parametrize("count", [40, 3])  # of low rank, too
def test_its_gradient(count: int) -> None:
    F, (mean, D) = points(5, count, 3).requires_grad_(), of(points(5, 60, 4))
    half = root(D)

    def value(F: torch.Tensor) -> torch.Tensor:
        return wasserstein(*of(F), mean, half)

    if count > 5:
        assert torch.autograd.gradcheck(value, F, atol=1e-4)
    (gradient,) = torch.autograd.grad(value(F), F)
    assert gradient.isfinite().all()
    assert value(F - 1e-3 * gradient).item() < value(F).item()
