"""How much memory there is, how much of it L-BFGS may remember, and keeping what a step has used for the next."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psutil
import torch

from impasto.paint import groups

__all__ = ["GIB", "available", "give_back", "history", "keep_buffers", "resident", "scattered", "working"]

GIB = 2**30
BASE = 0.45 * GIB  # Python, torch and the libraries, on devices where it cannot be measured
FIRST_USE = 0.06 * GIB  # what the libraries add as they first work
SHARE = 0.7  # of the free memory that is taken without being asked
HISTORY_BYTES = 0.6 * GIB
MOVES = 20
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4  # of glibc's mallopt
KEEP = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 2**26}
GIVE = {MMAP_MAX: 2**16, MMAP_THRESHOLD: 2**17, TRIM_THRESHOLD: 2**17, TOP_PAD: 2**17}


def available(device: torch.device) -> float:
    """Bytes that a run may use in all: most of what is free on the device, and what this process has already."""
    if device.type == "cuda":
        # What PyTorch's cache holds unused counts as free: it is given back to whoever asks within this process.
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return SHARE * (torch.cuda.mem_get_info(device)[0] + unused)
    if device.type != "cpu":
        return math.inf  # other devices do not tell
    give_back()
    left = groups.left()
    return SHARE * (_free() if left is None else min(_free(), left)) + resident()


def resident() -> float:
    """Bytes that this process has in memory now."""
    return float(psutil.Process().memory_info().rss)


def working(device: torch.device) -> float:
    """Bytes that this process takes on a device before it paints, with what the libraries add as they first work."""
    if device.type != "cpu":
        return BASE
    give_back()
    return resident() + FIRST_USE


def give_back() -> None:
    """Let the system have what this process keeps of what it has let go, as between one level and the next."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(ctypes.c_size_t(0))


def keep_buffers(needed: float, limit: float) -> bool:
    """Let the process keep the memory of one step for the next, where `needed` bytes are within the limit.

    Returns whether it does. glibc gives every large buffer back to the system, which then clears it page by page
    again: a sixth of the time of a step, and above 2000 pixels up to half. Done for the whole process, so for programs
    to ask for, not for a library; where memory is scarce, every block above 128 KiB is given back instead, so that no
    gaps stay between others.
    """
    _Buffers.kept = needed <= limit and _set(KEEP)
    if not _Buffers.kept:
        _set(GIVE)
    return _Buffers.kept


@contextmanager
def scattered() -> Iterator[None]:
    """For work that needs many buffers of many sizes once: they are given back at once, also where others are kept."""
    if not _Buffers.kept:
        yield
        return
    _set(GIVE)
    try:
        yield
    finally:
        give_back()
        _set(KEEP)


def history(height: int, width: int) -> tuple[int, torch.dtype]:
    """Moves that L-BFGS remembers, and in which precision: 20 in float32; for large pictures fewer, in bfloat16.

    Depends on the size alone, so that results repeat.
    """
    numbers = 2 * 3 * height * width
    if MOVES * 4 * numbers <= HISTORY_BYTES:
        return MOVES, torch.float32
    return max(3, min(MOVES, int(HISTORY_BYTES / (2 * numbers)))), torch.bfloat16


class _Buffers:
    """Whether this process keeps the memory of one step for the next: a setting of the C library, and so of all."""

    kept = False


def _set(settings: Mapping[int, int]) -> bool:
    """Settings of glibc's mallopt; whether they were taken."""
    mallopt = _glibc("mallopt")
    if mallopt is None:
        return False
    return min(int(mallopt(ctypes.c_int(key), ctypes.c_int(value))) for key, value in settings.items()) == 1


def _glibc(name: str) -> Callable[..., int] | None:
    """A function of the GNU C library by name; None where another is in use."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return function


def _free() -> float:
    return float(psutil.virtual_memory().available)
