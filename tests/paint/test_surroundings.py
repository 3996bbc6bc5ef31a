"""What a program around impasto may be doing: inference mode, another default precision, gradients switched off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
import torch

import plain
from impasto import Recipe, Transfer, stylize
from impasto.paint import memory

CONTENT, STYLE = plain.picture(36, 48), plain.picture(40, 44, 1)


@contextmanager
def float64_by_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


AROUND: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "float64 by default": float64_by_default,
}


@pytest.mark.parametrize("options", [{}, {"init": "noise"}, {"color": "luminance"}, {"optimizer": "adam"}], ids=str)
@pytest.mark.parametrize("name", AROUND)
def test_the_picture_is_the_same(name: str, options: dict[str, Any], thin_path: str) -> None:
    recipe = Recipe(net=thin_path, size=48, levels=2, iterations=3, precision="float32", **options)
    pictures = []
    for around in (nullcontext, AROUND[name]):
        with around():
            result = stylize(CONTENT, STYLE, recipe)
            assert result.image.dtype == torch.float32
            assert not result.image.is_inference()
            pictures.append(result.image)
    assert torch.equal(*pictures)


def test_inference_mode_between_two_steps_stays_as_the_program_set_it(thin_path: str) -> None:
    transfer = Transfer(CONTENT, STYLE, Recipe(net=thin_path, size=32, levels=1, iterations=3))
    with torch.inference_mode():
        modes = [torch.is_inference_mode_enabled() for _ in transfer.steps()]
    assert modes == [True] * 3


def test_memory_that_pytorch_keeps_unused_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10 * memory.GIB, 80 * memory.GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 50 * memory.GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20 * memory.GIB)
    assert memory.available(torch.device("cuda")) == pytest.approx(0.7 * 40 * memory.GIB)
