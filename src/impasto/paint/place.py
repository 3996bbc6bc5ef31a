"""Where a run stands, and the same as plain values beside tensors, as a file holds them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from pydantic import ConfigDict, TypeAdapter
from torch import Tensor

from impasto.network.tiles import Plan
from impasto.paint.optimize import Adam, Lbfgs

__all__ = ["Place", "pack", "tensors", "unpack"]

TENSOR, ORDER = "$tensor", "order"  # of what stands for a tensor: its name, and its dimensions as they lie in memory


@dataclass(frozen=True)
class Place:
    """All that a run needs to go on as if it had not been left.

    `round`: which of the run's rounds it is in, counted from 0; `picture`, `losses`: the best as the round began, with
    `taken` evaluations done so far, in `seconds`. `optimizer`: where it stands in the round, None at its beginning;
    `matched`: what the objective's targets were made from. `plans`: how each level's network is walked, which changes
    the order of sums. Chance is none of it: what is left to chance begins with the recipe's seed every time.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(arbitrary_types_allowed=True)

    round: int
    picture: Tensor
    losses: Mapping[str, float]
    plans: tuple[Plan, ...]
    taken: int = 0
    seconds: float = 0.0
    optimizer: Lbfgs | Adam | None = None
    matched: Mapping[str, tuple[int, Tensor]] = dataclasses.field(default_factory=dict)


def pack(place: Place) -> tuple[Any, dict[str, Tensor]]:
    """A place as values of JSON, and the tensors that they name, each contiguous.

    A tensor's dimensions are put in the order in which they lie in memory: sums follow it, to the last bit. The same
    tensor in two places is named once.
    """
    found: dict[str, Tensor] = {}
    names: dict[Any, str] = {}

    def packed(value: Any, name: str) -> Any:
        if isinstance(value, Tensor):
            order = sorted(range(value.ndim), key=lambda axis: -value.stride()[axis])
            first = names.setdefault((value.data_ptr(), value.shape, value.stride(), value.dtype), name)
            if first == name:
                found[name] = value.detach().permute(order).contiguous()
            return {TENSOR: first, ORDER: order}
        if dataclasses.is_dataclass(value):
            value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return {key: packed(one, f"{name}.{key}".strip(".")) for key, one in value.items()}
        if isinstance(value, frozenset):
            value = sorted(value)
        if isinstance(value, tuple | list):
            return [packed(one, f"{name}.{number}") for number, one in enumerate(value)]
        return value

    return packed(place, ""), found


def unpack(values: Any, read: Callable[[str], Tensor], device: torch.device) -> Place:
    """The place that `pack` made values and tensors of; `read` gives a tensor by its name.

    Raises ValueError for what it did not make.
    """

    def unpacked(value: Any) -> Any:
        if isinstance(value, dict) and set(value) == {TENSOR, ORDER}:
            tensor, order = read(value[TENSOR]), value[ORDER]
            if sorted(order) != list(range(tensor.ndim)):
                raise ValueError(f"{value[TENSOR]} has no order {order}")
            own = tensor.to(device, copy=True)  # aligned as any other tensor, which sums depend on
            return own.permute([order.index(axis) for axis in range(own.ndim)])
        if isinstance(value, dict):
            return {key: unpacked(one) for key, one in value.items()}
        return [unpacked(one) for one in value] if isinstance(value, list) else value

    return TypeAdapter(Place).validate_python(unpacked(values))


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors within a place or a part of it."""
    if isinstance(value, Tensor):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from tensors(getattr(value, field.name))
    elif isinstance(value, Mapping):
        yield from tensors(tuple(value.values()))
    elif isinstance(value, tuple):
        for one in value:
            yield from tensors(one)
