"""Where to compute, and in which precision, on every PyTorch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from impasto import devices
from impasto.errors import OptionError

CPU = torch.device("cpu")


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.delattr(torch.cpu, name, raising=False)


@pytest.mark.parametrize("there", [True, False])
def test_an_older_pytorch_tells_under_another_name(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "get_capabilities")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: there, raising=False)
    assert devices.choose_precision("auto", CPU) == (torch.bfloat16 if there else torch.float32)


@pytest.mark.parametrize(
    ("told", "expected"),
    [({"amx_tile": True}, torch.bfloat16), ({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)],
)
def test_precision_follows_the_processor(told: dict[str, Any], expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert devices.choose_precision("auto", CPU) == expected


def test_a_pytorch_that_does_not_tell_is_taken_for_a_plain_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "get_capabilities", "_is_avx512_bf16_supported", "_is_amx_tile_supported")
    assert devices.choose_precision("auto", CPU) == torch.float32
    assert devices.choose_precision("bfloat16", CPU) == torch.bfloat16


def test_a_device_that_is_not_there_is_named_beside_those_that_are() -> None:
    with pytest.raises(OptionError, match=r"no 'cuda:77' here; present: .*cpu"):
        devices.choose_device("cuda:77")
