"""What a file of weights must hold to be a VGG-19: names, shapes and numbers, checked before and while data is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from impasto.errors import WeightsError
from impasto.layers import CONVOLUTIONS

__all__ = ["MAX_CHANNELS", "METRICS", "PARTS", "Array", "collect"]

METRICS = tuple(f"{name.replace('conv', 'relu')}.metric.weight" for name in CONVOLUTIONS)  # of thin layers
PARTS = ("weight", "bias", "down.weight", "up.weight")
MAX_CHANNELS = 1024  # VGG-19 has 512; bounds the memory that a hostile header can ask for


class Array(NamedTuple):
    """An array in a file, not read yet: its shape as O×I×H×W or O, whether it holds floats, and how to read it."""

    shape: tuple[int, ...]
    floating: bool
    read: Callable[[], Tensor]


def collect(where: str, arrays: Mapping[str, Array], *, bgr: bool) -> dict[str, Tensor]:
    """Check names and shapes, then read: float32, finite, first kernel in RGB order."""
    _check_names(where, arrays)
    _check_shapes(where, arrays)
    tensors = {}
    for key, array in arrays.items():
        if not array.floating:
            raise WeightsError(f"{where}: {key} holds no floating-point numbers; get it again")
        tensor = array.read().to(torch.float32).contiguous()
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"{where}: {key} holds values that are not finite numbers; the file is damaged, get it again"
            )
        tensors[key] = tensor
    if bgr:
        first = next(key for key in ("conv1_1.weight", "conv1_1.down.weight") if key in tensors)
        tensors[first] = tensors[first].flip(1)
    return tensors


def _check_names(where: str, keys: Iterable[str]) -> None:
    """A file may end early, but what it has must begin at conv1_1 and have no gap."""
    present = {key.partition(".")[0] for key in keys if key not in METRICS}
    for name in present.difference(CONVOLUTIONS):
        raise WeightsError(f"{where}: no VGG-19: it has {name}; use weights of plain VGG-19")
    for index, name in enumerate(CONVOLUTIONS[: len(present)]):
        if name not in present:
            later = next(later for later in CONVOLUTIONS[index:] if later in present)
            raise WeightsError(f"{where}: no VGG-19: it has {later} but not {name}; use weights of plain VGG-19")


def _check_shapes(where: str, arrays: Mapping[str, Array]) -> None:
    channels = 3
    for name in CONVOLUTIONS:
        kernels = {part: arrays[f"{name}.{part}"].shape for part in PARTS if f"{name}.{part}" in arrays}
        if not kernels:
            return
        if set(kernels) not in ({"weight", "bias"}, {"down.weight", "up.weight", "bias"}):
            found = ", ".join(kernels)
            raise WeightsError(
                f"{where}: {name} has {found}; expected weight, bias or down.weight, up.weight, bias; get it again"
            )
        whole = "weight" in kernels
        last, first = kernels["weight" if whole else "up.weight"], kernels["weight" if whole else "down.weight"]
        width = last[0] if last else 0
        expected = {"weight": (width, channels, 3, 3), "bias": (width,)}
        if not whole:
            rank = first[0] if first else 0
            expected = {"down.weight": (rank, channels, 3, 3), "up.weight": (width, rank, 1, 1), "bias": (width,)}
        for part, shape in kernels.items():
            if shape != expected[part] or not all(1 <= side <= MAX_CHANNELS for side in shape):
                raise WeightsError(
                    f"{where}: {name}.{part} is {_times(shape)}, expected {_times(expected[part])} "
                    f"with 1 to {MAX_CHANNELS} channels; the file is damaged or no VGG-19"
                )
        channels = width
        metric = arrays.get(f"{name.replace('conv', 'relu')}.metric.weight")
        if metric is not None and (
            len(metric.shape) != 2 or metric.shape[1] != width or not 1 <= metric.shape[0] <= MAX_CHANNELS
        ):
            raise WeightsError(
                f"{where}: the metric of {name} is {_times(metric.shape)}, expected N×{width}; the file is damaged"
            )


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"
