"""A block's gradient by hand against autograd's, in float64."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

import plain
from impasto.network.block import Pass, relu_of
from impasto.network.encoder import Encoder
from impasto.network.weights.loading import Weights

SIZE = (11, 14)
TAPS = [("conv2_1",), ("relu2_1",), ("relu2_2",), ("conv2_2",), ("conv2_1", "relu2_1", "conv2_2", "relu2_2")]


def wide(pooling: str = "max", low_rank: bool = False) -> Encoder:
    weights = plain.weights()
    tensors = dict(weights.tensors)
    if low_rank:
        generator = torch.Generator().manual_seed(3)
        kernel = tensors.pop("conv2_1.weight")
        tensors["conv2_1.down.weight"] = torch.randn(3, kernel.shape[1], 3, 3, generator=generator)
        tensors["conv2_1.up.weight"] = torch.randn(kernel.shape[0], 3, 1, 1, generator=generator)
    own = Weights(tensors, weights.preprocessing, "wide", "", {})
    return Encoder(own, pooling=pooling, border=0, dtype=torch.float64)


def by_autograd(encoder: Encoder, start: Tensor, wanted: frozenset[str], pooled: bool) -> tuple[Tensor, Tensor]:
    """Value and gradient of Σ sin(tap) over the taps + Σ cos(end)."""
    start = start.clone().requires_grad_()
    loss, maps = torch.zeros((), dtype=torch.float64), start
    for name in encoder.layers(2, wanted):
        maps = encoder.convolve(name, maps)
        loss = loss + (maps.sin().sum() if name in wanted else 0)
        maps = torch.relu(maps)
        loss = loss + (maps.sin().sum() if relu_of(name) in wanted else 0)
    if pooled:
        halve = torch.nn.functional.max_pool2d if encoder.pooling == "max" else torch.nn.functional.avg_pool2d
        loss = loss + halve(maps, 2).cos().sum()
    (gradient,) = torch.autograd.grad(loss, start)
    return loss.detach(), gradient


@pytest.mark.parametrize("low_rank", [False, True])
@pytest.mark.parametrize("pooling", ["max", "average"])
@pytest.mark.parametrize(("taps", "deeper"), [*product(TAPS, [False, True]), ((), True)])
def test_value_and_gradient_are_those_of_autograd(
    taps: tuple[str, ...], deeper: bool, pooling: str, low_rank: bool
) -> None:
    encoder = wide(pooling, low_rank)
    wanted = frozenset(taps) | ({"relu3_1"} if deeper else set())
    start = torch.randn(1, encoder.width("conv1_2"), *SIZE, dtype=torch.float64, generator=torch.manual_seed(0))
    value, gradient = by_autograd(encoder, start, wanted, deeper)

    made = Pass(encoder, 2, start.clone(), wanted, pooled=slice(0, SIZE[0]) if deeper else None, keep=True)
    found = sum((tap.sin().sum() for tap in made.taps.values()), torch.zeros((), dtype=torch.float64))
    after = None
    if made.end is not None:
        found = found + made.end.cos().sum()
        after = -made.end.sin()

    def add(layer: str, maps: Tensor, into: Tensor) -> None:
        assert layer in taps
        into += maps.cos()

    assert torch.allclose(found, value, rtol=1e-12)
    assert torch.allclose(made.backward(after, add), gradient, rtol=1e-9, atol=1e-9 * gradient.abs().max().item())


def test_the_input_is_left_as_it_was() -> None:
    encoder = wide()
    start = torch.randn(1, encoder.width("conv1_2"), *SIZE, dtype=torch.float64, generator=torch.manual_seed(0))
    before = start.clone()
    made = Pass(encoder, 2, start, frozenset({"relu3_1"}), pooled=slice(0, SIZE[0]), keep=True)
    assert made.end is not None
    made.backward(torch.ones_like(made.end), lambda *_: None)
    assert torch.equal(start, before)
