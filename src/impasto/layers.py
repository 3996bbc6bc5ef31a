"""The names of VGG-19's layers (Simonyan and Zisserman, arXiv:1409.1556, table 1, column E). Imports no torch.

A layer is written as people write it: `conv4_2` is the convolution's output, `relu4_2` the same after the ReLU.
Options add a weight behind a colon: `relu4_1:0.5`.
"""

from __future__ import annotations

import math

from impasto.errors import OptionError
from impasto.text import nearest

__all__ = ["BLOCKS", "CONVOLUTIONS", "NAMES", "parse_weighted", "resolve", "scale_of"]

BLOCKS = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4}  # block: number of 3×3 convolutions; a 2×2 pooling stands between blocks
CONVOLUTIONS = tuple(f"conv{block}_{i}" for block, count in BLOCKS.items() for i in range(1, count + 1))
NAMES = (*CONVOLUTIONS, *(name.replace("conv", "relu") for name in CONVOLUTIONS))


def scale_of(name: str) -> int:
    """Side of a layer's positions in input pixels: 1, 2, 4, 8 or 16.

    >>> scale_of("relu4_1")
    8
    """
    return 1 << (int(name[4]) - 1)


def parse_weighted(text: str) -> tuple[str, float | None]:
    """Split `NAME[:W]` into a checked layer name and its weight, None where no weight is given.

    >>> parse_weighted("relu4_1:0.5")
    ('relu4_1', 0.5)

    Raises OptionError for a name that VGG-19 does not have, or a weight that is not a finite number ≥ 0.
    """
    name, colon, number = str(text).strip().partition(":")
    if name not in NAMES:
        near = nearest(name, NAMES)
        raise OptionError(f"no layer {name!r} in VGG-19; did you mean {near}? (conv1_1 … conv5_4, relu1_1 … relu5_4)")
    if not colon:
        return name, None
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise OptionError(f"layer weight {number!r} in {text!r} must be a number of at least 0, as in {name}:0.5")
    return name, weight


def resolve(texts: tuple[str, ...]) -> dict[str, float]:
    """Weights by layer name; a layer given without one gets 1/K, K the number of layers (eq. 4's default).

    >>> resolve(("relu1_1", "relu2_1:3"))
    {'relu1_1': 0.5, 'relu2_1': 3.0}
    """
    pairs = [parse_weighted(text) for text in texts]
    return {name: 1 / len(pairs) if weight is None else weight for name, weight in pairs}
