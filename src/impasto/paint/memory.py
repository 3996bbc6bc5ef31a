"""How much memory there is, how much of it L-BFGS may remember, and keeping what a step has used for the next."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Callable

import psutil
import torch

from impasto.paint import groups

__all__ = ["BASE", "GIB", "ROOMY", "available", "give_back", "history", "keep_buffers", "resident"]

GIB = 2**30
BASE = 0.45 * GIB  # Python, torch and the libraries
SHARE = 0.7  # of the free memory that is taken without being asked
HISTORY_BYTES = 0.6 * GIB
MOVES = 20
ROOMY = 1.2  # times the estimate that must be allowed before buffers are kept, as they leave gaps
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # of glibc's mallopt


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


def give_back() -> None:
    """Let the system have what this process keeps of what it has let go, as between one level and the next."""
    trim = _glibc("malloc_trim")
    if trim is not None:
        trim(ctypes.c_size_t(0))


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
