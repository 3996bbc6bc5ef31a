"""What makes impasto quick changes how soon a picture is good, not how good it gets.

Each optimisation is taken away in turn. The exact ones, strips and the gradient by hand, are compared number by number
in test_tiles.py and test_block.py, shared targets in test_targets.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest
import torch

import plain
from impasto import Recipe, Transfer
from impasto.paint import memory, optimize
from impasto.paint.run import follow
from impasto.pictures import detail
from impasto.pictures.encode import to_array

CONTENT, STYLE = plain.picture(48, 64), plain.picture(60, 50, 1)
USUAL: dict[str, Any] = {"size": 64, "levels": 2, "iterations": (20, 30), "precision": "float32", "style_weight": 100.0}
Change = Callable[[], AbstractContextManager[Any]]
LOOSE = 1.1  # two runs of an optimiser end apart in a landscape that is not convex


def total(change: Change = contextlib.nullcontext, **options: Any) -> float:
    """Paint, save as 8 bits in thought, and judge by the embedded network in float32."""
    with change():
        transfer = Transfer(CONTENT, STYLE, Recipe(**{**USUAL, **options}))
        result = follow(transfer)
    saved = torch.from_numpy(to_array(result.image)).permute(2, 0, 1).float() / 255
    plainly = Transfer(CONTENT, STYLE, Recipe(**USUAL))
    return plainly.objective(len(plainly.scene.sizes) - 1)(saved).value


@pytest.fixture(scope="module")
def usual() -> float:
    return total()


def without_precondition(*arguments: Any, **options: Any) -> Any:
    return optimize_lbfgs(*arguments, **{**options, "precondition": None})


def history_in_16_bits(*_: int) -> tuple[int, torch.dtype]:
    return 10, torch.bfloat16


optimize_lbfgs = optimize.lbfgs
CHEAPER: dict[str, tuple[dict[str, Any], Change]] = {
    "bfloat16": ({"precision": "bfloat16"}, contextlib.nullcontext),
    "strips of rows": ({"tile": 16}, contextlib.nullcontext),
    "a history in 16 bits": ({}, lambda: patch.object(memory, "history", history_in_16_bits)),
}
SOONER: dict[str, tuple[dict[str, Any], Change]] = {
    "no preconditioner": ({}, lambda: patch.object(optimize, "lbfgs", without_precondition)),
    "nothing added on finer levels": ({}, lambda: patch.object(detail, "SHARE", 0.0)),
    "full size alone": ({"levels": 1, "iterations": (50,)}, contextlib.nullcontext),
}


@pytest.mark.parametrize("name", CHEAPER)
def test_a_cheaper_evaluation_ends_at_an_equal_total(name: str, usual: float) -> None:
    options, change = CHEAPER[name]
    assert usual / LOOSE < total(change, **options) < usual * LOOSE


@pytest.mark.parametrize("name", SOONER)
def test_what_ends_sooner_ends_no_higher(name: str, usual: float) -> None:
    options, change = SOONER[name]
    assert usual < total(change, **options) * LOOSE
