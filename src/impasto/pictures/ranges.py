"""Samples that carry no white of their own, signed, 32-bit or float, to 0…1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImageReadError

__all__ = ["to_range"]

WHITES: dict[str, tuple[int, ...]] = {  # what white may be, by type
    "int8": (127,),
    "int16": (255, 2**15 - 1),
    "int32": (255, 65_535, 2**31 - 1),
    "uint32": (255, 65_535, 2**32 - 1),
}
FLOATS = (1, 255, 65_535)
OVER = 1.5  # times white, the brightest sample may be: overshoot, clipped
DARKEST = 0.2  # times white, the brightest float may be if white is not 1; between the whites it could be either


def to_range(values: NDArray[Any], label: str, notices: list[str]) -> NDArray[Any]:
    """Samples as float32 0…1 by the least white that holds them; uint8 and uint16 stay as they are.

    Raises ImageReadError for NaN, for negative samples, and where no white is plausible.
    """
    kind = values.dtype.name
    if kind in ("uint8", "uint16"):
        return values
    low, peak = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(peak)):
        raise ImageReadError(f"{label}: holds NaN or infinite values")
    if kind in WHITES:
        white = next(one for one in WHITES[kind] if peak <= OVER * one)
    else:
        plausible = [one for one in FLOATS if (one == 1 or peak >= DARKEST * one) and peak <= OVER * one]
        if not plausible:
            raise ImageReadError(f"{label}: {kind} values up to {peak:g} have no known white; scale them to 0…1 first")
        white = plausible[0]
    if low < (0 if kind in WHITES else -white / 2):
        raise ImageReadError(f"{label}: holds negative values, down to {low:g}; scale them to 0…1 first")
    notices.append(f"{label}: {kind} samples, taken as 0…{white}")
    scaled = values.astype(np.float32) if kind in ("float16", "int8", "int16") else values / np.float64(white)
    return np.clip(scaled / (white if scaled.dtype == np.float32 else 1), 0, 1).astype(np.float32)
