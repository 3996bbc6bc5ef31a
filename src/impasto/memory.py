"""How much memory and work a picture takes, and which way of walking the network fits."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from impasto.encoder import Encoder, deepest_block
from impasto.layers import BLOCKS
from impasto.tiles import WHOLE, Plan

__all__ = ["Need", "available", "choose", "history", "keep_buffers", "largest", "need"]

GIB = 2**30
BASE = 0.45 * GIB  # Python, torch and the libraries
PICTURES = 9  # float32 pictures that the optimiser holds beside its history
SCRATCH = 1.25  # what convolutions lay out anew, and what the allocator leaves between blocks
SHARE = 0.7  # of the free memory that is taken without being asked
HISTORY_BYTES = 0.6 * GIB
MOVES = 20
WIDE = (256, 128, 64)  # rows of strips; up to 20 % slower than a picture in one piece
NARROW = (32, 16, 8)  # slower still, as strips overlap
DEEP, NONE = frozenset({3, 4, 5}), frozenset[int]()
ROOMY = 1.2  # times the estimate that must be allowed before buffers are kept, as they leave gaps
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # of glibc's mallopt


@dataclass(frozen=True)
class Need:
    """Bytes at the peak of one level, and the way of walking they are for."""

    plan: Plan
    bytes: float


def available(device: torch.device) -> float:
    """Bytes that a run may use in all: most of what is free on the device, and what this process has already."""
    if device.type == "cuda":
        return SHARE * torch.cuda.mem_get_info(device)[0]
    if device.type != "cpu":
        return math.inf  # other devices do not tell
    _give_back()
    return SHARE * min([_free(), *_container()]) + BASE


def keep_buffers(needed: float, limit: float) -> bool:
    """Let the process keep the memory of one step for the next; returns whether it does.

    glibc gives every large buffer back to the system, which then clears it page by page again: a sixth of the time of a
    step, and above 2000 pixels up to half. Done for the whole process, so for programs to ask for, not for a library;
    not where memory is scarce.
    """
    mallopt = _glibc("mallopt")
    if mallopt is None or ROOMY * needed > limit:
        return False
    settings = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26}
    done = [int(mallopt(ctypes.c_int(key), ctypes.c_int(value))) for key, value in settings.items()]
    return min(done) == 1


def history(height: int, width: int) -> tuple[int, torch.dtype]:
    """Moves that L-BFGS remembers, and in which precision: 20 in float32; for large pictures fewer, in bfloat16.

    Depends on the size alone, so that results repeat.
    """
    numbers = 2 * 3 * height * width
    if MOVES * 4 * numbers <= HISTORY_BYTES:
        return MOVES, torch.float32
    return max(3, min(MOVES, int(HISTORY_BYTES / (2 * numbers)))), torch.bfloat16


def need(encoder: Encoder, size: tuple[int, int], layers: Iterable[str], maps: Iterable[str], plan: Plan) -> float:
    """Estimated peak of bytes, process included, of one evaluation of a picture of `size` (height, width).

    `layers`: all that are compared; `maps`: those compared position by position, whose targets are kept whole.
    """
    item, (height, width) = encoder.dtype.itemsize, size
    tall, wide = height + 2 * encoder.border, width + 2 * encoder.border
    depth = deepest_block(layers)
    starts: list[float] = []
    kept = strip = 0.0
    for block in range(1, depth + 1):
        area = tall * wide / 4 ** (block - 1)
        rows = min(plan.rows or tall, tall >> (block - 1))
        whole = rows >= tall >> (block - 1)
        channels = encoder.channels(block)
        starts.append(channels.start * area * item)
        made = channels.made * item
        reach = 0 if whole else 2 * BLOCKS[block]
        busy = (made + 4 * channels.widest * item) * (rows + reach) * wide / 2 ** (block - 1)
        if block in plan.kept:
            kept += made * area
            busy -= made * rows * wide / 2 ** (block - 1)
        strip = max(strip, busy)
    # On the way back through a block: what all blocks so far start from, and the gradients by two of these.
    inputs = max(sum(starts[: b + 1]) + sum(starts[b : b + 2]) for b in range(depth))
    targets = sum(encoder.width(name) * tall * wide / 4 ** (int(name[4]) - 1) * item for name in maps)
    moves, precision = history(height, width)
    pictures = 3 * height * width * (4 * PICTURES + 2 * moves * precision.itemsize)
    return float(BASE + encoder.bytes + pictures + targets + SCRATCH * (inputs + kept + strip))


def choose(
    encoder: Encoder,
    size: tuple[int, int],
    layers: Iterable[str],
    maps: Iterable[str],
    *,
    limit: float,
    rows: int = 0,
) -> Need:
    """The fastest way of walking that stays within `limit` bytes, or the smallest there is; `rows` fixes the strips.

    Wide strips whose buffers can be kept from step to step are faster than larger buffers that are given back.
    """
    if rows:
        plans = [Plan(rows, DEEP), Plan(rows, NONE)]
    else:
        plans = [WHOLE, *(Plan(n, DEEP) for n in WIDE), *(Plan(n, NONE) for n in WIDE + NARROW)]
    needs = [Need(plan, need(encoder, size, layers, maps, plan)) for plan in plans]
    roomy = [one for one in needs if ROOMY * one.bytes <= limit and one.plan.rows not in NARROW]
    fitting = [one for one in needs if one.bytes <= limit]
    return next(iter(roomy + fitting), min(needs, key=lambda one: one.bytes))


def largest(encoder: Encoder, shape: tuple[int, int], layers: Iterable[str], maps: Iterable[str], limit: float) -> int:
    """The longer side, in steps of 64 px, of the largest picture of this shape within `limit` bytes; 0 if none is."""
    longest, fits = max(shape), 0
    for longer in range(64, longest, 64):
        height, width = (max(1, round(side * longer / longest)) for side in shape)
        if choose(encoder, (height, width), layers, maps, limit=limit).bytes > limit:
            break
        fits = longer
    return fits


def _glibc(name: str) -> Callable[..., int] | None:
    """A function of the GNU C library by name; None where another is in use."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return function


def _give_back() -> None:
    """Let the system have what this process keeps from an earlier picture."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(ctypes.c_size_t(0))


def _free() -> float:
    return float(psutil.virtual_memory().available)


def _container() -> list[float]:
    """What is left of a control group's limit, if there is one."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = (folder / "memory.current").read_text(encoding="ascii").strip()
        return [] if limit == "max" else [float(limit) - float(used)]
    except (OSError, ValueError):
        return []
