"""The public twins of PyTorch's own kernels give the same numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch.nn.functional import max_pool2d

import plain
from impasto.network import backward
from impasto.network.encoder import Encoder
from impasto.paint.objective import compared
from impasto.recipe import Recipe

SIZES = [(6, 8), (7, 9), (2, 3), (13, 2)]


@pytest.fixture
def public(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A PyTorch without these kernels."""
    backward.kernels.cache_clear()
    monkeypatch.setattr(backward, "KERNELS", ("no_such_operator.default", *backward.KERNELS[1:]))
    assert backward.kernels() is None
    yield
    backward.kernels.cache_clear()


def random(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> torch.Tensor:
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return made.contiguous(memory_format=torch.channels_last)


def test_this_pytorch_has_the_kernels() -> None:
    backward.kernels.cache_clear()
    assert backward.kernels() is not None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("size", SIZES)
def test_the_twins_are_equal_to_the_bit(
    size: tuple[int, int], dtype: torch.dtype, request: pytest.FixtureRequest
) -> None:
    maps = torch.relu(random(1, 5, *size, dtype=dtype))
    gradient = random(1, 5, *size, dtype=dtype, seed=1)
    halved = random(1, 5, size[0] // 2, size[1] // 2, dtype=dtype, seed=2)
    _, places = max_pool2d(maps, 2, return_indices=True)

    def all_three() -> list[torch.Tensor]:
        return [
            backward.relu_back(gradient.clone(), maps),
            backward.max_pool_back(halved, maps, places),
            backward.average_pool_back(halved, maps),
        ]

    own = all_three()
    request.getfixturevalue("public")
    for one, other in zip(own, all_three(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_a_whole_evaluation_without_the_kernels(pooling: str, request: pytest.FixtureRequest) -> None:
    content, style, x = plain.picture(37, 44), plain.picture(40, 33, 1), plain.picture(37, 44, 9)
    recipe = Recipe(pooling=pooling, border=0, style_layer=("relu1_1", "relu3_1"), content_layer="conv3_2")
    function = compared(recipe, Encoder(plain.weights(), border=0, pooling=pooling), content, [style])
    own = function(x)
    request.getfixturevalue("public")
    twin = function(x)
    assert twin.value == own.value
    assert torch.equal(twin.gradient, own.gradient)
