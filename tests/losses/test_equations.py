"""Each equation against numbers worked out by hand, against float64 gradients, and for what must never change."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from impasto import losses


def maps(n: int, height: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(n, height, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rows(*values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_content_loss_by_hand() -> None:
    # differences 1, -2 / 3, 0 → squares 1 + 4 + 9 + 0 = 14 → half of it
    assert losses.content_loss(rows([1, 2], [3, 4]), rows([0, 4], [0, 4])).item() == 7


def test_report_content_loss_by_hand() -> None:
    # Σ = 14 as above; N = 2, M = 2 → 14 / (2·√4)
    assert losses.report_content_loss(rows([1, 2], [3, 4]), rows([0, 4], [0, 4])).item() == 3.5


def test_gram_by_hand() -> None:
    # rows (1, 2, 0) and (0, 1, 3): 1+4, 0+2+0, 1+9
    assert losses.gram(rows([1, 2, 0], [0, 1, 3])).tolist() == [[5, 2], [2, 10]]


@pytest.mark.parametrize("shape", [(2, 4), (2, 2, 2), (1, 2, 2, 2)])
def test_gram_takes_matrix_map_and_batch_of_one(shape: tuple[int, ...]) -> None:
    # rows (1, 2, 3, 4) and (0, 1, 0, 1): 1+4+9+16, 2+4, 1+1
    F = rows([1, 2, 3, 4], [0, 1, 0, 1]).reshape(shape)
    assert losses.gram(F).tolist() == [[30, 6], [6, 2]]
    assert losses.mean_gram(F).tolist() == [[7.5, 1.5], [1.5, 0.5]]  # M = 4


def test_style_loss_by_hand() -> None:
    # G = [[5,2],[2,10]] over M = 3; A of rows (1,1), (0,2) = [[2,2],[2,4]] over M = 2 → [[1,1],[1,2]]
    # G/3 − A/2 = [[2/3, −1/3], [−1/3, 4/3]] → 4/9 + 1/9 + 1/9 + 16/9 = 22/9; 1/(4·2²) of it
    loss = losses.style_loss(rows([1, 2, 0], [0, 1, 3]), rows([1, 1], [0, 2]))
    assert loss.item() == pytest.approx(22 / 9 / 16)


def test_style_loss_is_the_papers_for_equal_sizes() -> None:
    # Gatys et al. write 1/(4 N² M²) Σ (G − A)²
    F, A = maps(3, 4, 5), maps(3, 4, 5, 1)
    paper = (losses.gram(F) - losses.gram(A)).square().sum() / (4 * 3**2 * 20**2)
    assert losses.style_loss(F, A).item() == pytest.approx(paper.item(), rel=1e-12)


def test_total_variation_by_hand() -> None:
    # 0 1 4
    # 2 2 0   down: 2, 1, 4; right: 1, 3, 0, 2
    assert losses.total_variation(torch.tensor([[[0.0, 1, 4], [2, 2, 0]]])).item() == 13


def test_total_variation_adds_the_channels() -> None:
    # one step of 1 in each channel, one of them negative
    assert losses.total_variation(torch.tensor([[[0.0, 1]], [[1.0, 0]], [[0.0, 1]]])).item() == 3


def test_laplacian_by_hand() -> None:
    # 1 2 3
    # 4 9 6   2 + 8 + 4 + 6 − 4·9 = −16
    # 7 8 9
    x = torch.tensor([[[1.0, 2, 3], [4, 9, 6], [7, 8, 9]]])
    assert losses.laplacian(x).tolist() == [[-16]]


def test_laplacian_of_colours_exact_and_approximate() -> None:
    # middles 1, −1, 2 on black: D = −4, 4, −8; summed −8, absolutes 16
    x = torch.zeros(3, 3, 3)
    x[:, 1, 1] = torch.tensor([1.0, -1, 2])
    assert losses.laplacian(x).tolist() == [[-8]]
    assert losses.laplacian(x, exact=True).tolist() == [[16]]


def test_laplacian_loss_by_hand() -> None:
    # D(x) = −8, D(p) = 4·(−1)·3 = −12 → (−4)²; exact: 16 against 12 → 4²; and a p that differs in both
    x, p = torch.zeros(3, 3, 3), torch.zeros(3, 3, 3)
    x[:, 1, 1], p[:, 1, 1] = torch.tensor([1.0, -1, 2]), torch.tensor([1.0, 1, 1])
    assert losses.laplacian_loss(x, p).item() == 16
    p[:, 1, 1] = torch.tensor([0.0, 0, 1])  # D = −4, |D| = 4
    assert losses.laplacian_loss(x, p).item() == 16
    assert losses.laplacian_loss(x, p, exact=True).item() == 144


def test_laplacian_loss_pools_before() -> None:
    # Pooled 2×2 the middle block (0, 4, 0, 4) becomes 2, and D = −8; against black 64. The 7th row and column drop out.
    x = torch.zeros(1, 7, 7)
    x[0, 2, 3], x[0, 3, 3], x[0, 6, 6] = 4, 4, 99
    assert losses.laplacian_loss(x, torch.zeros(1, 7, 7), pool=2).item() == 64


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 9), (11, 8)])
def test_pixel_terms_are_zero_and_finite_where_nothing_fits(shape: tuple[int, int]) -> None:
    x = torch.rand(3, *shape, requires_grad=True)
    loss = losses.laplacian_loss(x, torch.rand(3, *shape), pool=4)
    (gradient,) = torch.autograd.grad(loss, x)
    assert loss.item() == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_total_variation_of_a_thin_picture(shape: tuple[int, int]) -> None:
    ramp = torch.arange(float(shape[0] * shape[1])).reshape(1, *shape).requires_grad_()
    loss = losses.total_variation(ramp)
    (gradient,) = torch.autograd.grad(loss, ramp)
    assert loss.item() == max(shape) - 1  # steps of 1
    assert torch.isfinite(gradient).all()


def test_gram_forgets_where_things_are() -> None:
    F = maps(4, 5, 6)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    shuffled = F.flatten(1)[:, order].reshape(4, 6, 5)
    assert torch.allclose(losses.gram(F), losses.gram(shuffled), rtol=1e-12)
    assert losses.style_loss(F, shuffled).item() == pytest.approx(0, abs=1e-24)


def test_each_gram_has_its_own_number_of_positions() -> None:
    F, A = maps(4, 5, 6), maps(4, 3, 7, 1)
    assert losses.style_loss(F, A.tile(1, 2, 2)).item() == pytest.approx(losses.style_loss(F, A).item(), rel=1e-12)
    assert losses.style_loss(F.tile(1, 2, 2), A).item() == pytest.approx(losses.style_loss(F, A).item(), rel=1e-12)


def test_laplacian_forgets_brightness_and_slope() -> None:
    x = torch.rand(3, 8, 9, dtype=torch.float64)
    slope = torch.arange(8.0, dtype=torch.float64)[:, None] * 3 + torch.arange(9.0, dtype=torch.float64) * 2 + 40
    assert losses.laplacian_loss(x + slope, x).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("weights", [[1.0], [0.3, 0.7], [0.2, 0.5, 0.3], [2.0, 1.0, 0.0, 4.0]])
def test_several_styles_as_one_target(weights: list[float]) -> None:
    grams = [losses.mean_gram(maps(4, 5, 6, seed)) for seed in range(len(weights))]
    target, constant = losses.multi_style_target(grams, weights)
    for seed in (10, 11):
        G = losses.mean_gram(maps(4, 7, 3, seed)).requires_grad_()
        explicit = sum((w * (G - A).square().sum() for w, A in zip(weights, grams, strict=True)), torch.zeros(()))
        short = sum(weights) * (G - target).square().sum() + constant
        assert short.item() == pytest.approx(explicit.item(), rel=1e-12)
        assert torch.allclose(*(torch.autograd.grad(loss, G)[0] for loss in (explicit, short)), rtol=1e-10)


def test_several_styles_by_hand() -> None:
    # ¼·(G − 0)² + ¾·(G − 4)² = (G − 3)² + 3: at G = 1, ¼ + 27/4 = 7 = 4 + 3
    target, constant = losses.multi_style_target([torch.tensor([[0.0]]), torch.tensor([[4.0]])], [0.25, 0.75])
    assert target.item() == 3
    assert constant == 3


def test_mean_gram_of_half_precision_is_float32() -> None:
    assert losses.mean_gram(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32
    assert losses.mean_gram(torch.ones(2, 3, dtype=torch.float64)).dtype == torch.float64


def test_gradient_of_style_loss_is_the_closed_form() -> None:
    # ∂E/∂F = 1/(N² M) (G/M − A/M_a) F
    F, A = maps(3, 4, 5).requires_grad_(), maps(3, 2, 7, 1)
    (gradient,) = torch.autograd.grad(losses.style_loss(F, A), F)
    difference = losses.mean_gram(F) - losses.mean_gram(A)
    assert torch.allclose(gradient.flatten(1), difference @ F.flatten(1) / (3**2 * 20), rtol=1e-10)


def test_gradients_in_float64() -> None:
    F, P, A = maps(3, 4, 5).requires_grad_(), maps(3, 4, 5, 1), maps(3, 2, 3, 2)
    x, p = maps(3, 9, 8).requires_grad_(), maps(3, 9, 8, 1)
    assert gradcheck(losses.content_loss, (F, P))
    assert gradcheck(losses.report_content_loss, (F, P))
    assert gradcheck(losses.gram, (F,))
    assert gradcheck(losses.mean_gram, (F,))
    assert gradcheck(losses.style_loss, (F, A))
    assert gradcheck(losses.total_variation, (x,))
    for pool in (1, 2):
        for exact in (False, True):
            assert gradcheck(lambda x, pool=pool, exact=exact: losses.laplacian_loss(x, p, pool, exact), (x,))


def test_gram_gradient_for_a_gradient_that_is_not_symmetric() -> None:
    F, weight = maps(3, 1, 4).flatten(1).requires_grad_(), maps(3, 1, 3, 1).flatten(1)
    (ours,) = torch.autograd.grad((losses.gram(F) * weight).sum(), F)
    (plain,) = torch.autograd.grad(((F @ F.T) * weight).sum(), F)
    assert torch.allclose(ours, plain, rtol=1e-12)


def test_report_content_loss_against_eq_1() -> None:
    # the report's α/β of 1e-2 at conv4_2, 512 filters at 64×64 positions of a 512 px picture, is about 7e-6 in eq. 1
    F, P = maps(2, 3, 8), maps(2, 3, 8, 1)
    ratio = losses.report_content_loss(F, P).item() / losses.content_loss(F, P).item()
    assert ratio == pytest.approx(1 / math.sqrt(2 * 24))
    assert 1e-2 / math.sqrt(512 * 64 * 64) == pytest.approx(6.9e-6, rel=0.01)


def test_hidden_pixels_and_positions_count_in_no_sum() -> None:
    """Total variation by hand, and Laplacian and content of a part, whatever the rest is."""
    x = torch.tensor([[[0.0, 1.0, 9.0], [3.0, 1.0, 9.0]]])
    seen = torch.tensor([[[1.0, 1.0, 0.0], [0.5, 1.0, 0.0]]])
    # down: 3 at ½, 0; across: 1, and 2 at ½; nothing towards the 9s
    assert losses.total_variation(x, seen).item() == pytest.approx(3.5)
    assert losses.total_variation(x, torch.ones(1, 2, 3)) == losses.total_variation(x)
    x, rest = maps(3, 12, 16), maps(3, 12, 16, 1)
    part = torch.zeros(1, 12, 16)
    part[:, :, :8] = 1
    spoiled = torch.where(part > 0, x, rest)
    for pool, exact in ((1, False), (2, True)):
        whole = losses.pooled_laplacian(spoiled, pool, exact, part)
        alone = losses.pooled_laplacian(x[:, :, :8], pool, exact)
        assert torch.allclose(whole[:, : alone.shape[1]], alone, atol=1e-5)
        assert whole[:, alone.shape[1] :].abs().max() == 0
        every = losses.pooled_laplacian(x, pool, exact, torch.ones(1, 12, 16))
        assert torch.allclose(every, losses.pooled_laplacian(x, pool, exact), atol=1e-5)
    own = losses.content_loss(spoiled, x + 1, part[0])
    assert own.item() == pytest.approx(0.5 * 3 * 12 * 8)
