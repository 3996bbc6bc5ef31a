"""Sizes from coarse to fine. Integers only."""

from __future__ import annotations

__all__ = ["COARSEST", "evaluations", "parts", "sizes"]

COARSEST = 96  # px: below this longer side the network's deepest style layer sees six positions and paints mud


def sizes(height: int, width: int, levels: int = 0, coarsest: int = COARSEST) -> list[tuple[int, int]]:
    """Height and width of each level, coarse to fine, halving; the last is the full size.

    `levels` 0 halves while the longer side is at least `coarsest` px. No side falls below 1 px, no size stands twice.

    >>> sizes(384, 512)
    [(96, 128), (192, 256), (384, 512)]
    >>> sizes(384, 512, levels=1)
    [(384, 512)]
    """
    if not levels:
        levels = 1
        while max(height, width) >= coarsest * 2**levels:
            levels += 1
    halved = [(max(1, _half(height, k)), max(1, _half(width, k))) for k in reversed(range(levels))]
    return list(dict.fromkeys(halved))


def evaluations(schedule: tuple[int, ...], levels: int) -> list[int]:
    """Gradient evaluations of each level, coarse to fine: the schedule's numbers in turn, its last one repeated.

    >>> evaluations((80, 60, 40), 4)
    [80, 60, 40, 40]
    >>> evaluations((80, 60, 40), 1)
    [80]
    """
    return [schedule[min(k, len(schedule) - 1)] for k in range(levels)]


def parts(count: int, most: int) -> list[int]:
    """A number as a sum of nearly equal ones, as few as possible, none above `most`.

    >>> parts(30, 15), parts(16, 15), parts(0, 15)
    ([15, 15], [8, 8], [])
    """
    several = -(-count // most)
    return [count // several + (number < count % several) for number in range(several)]


def _half(side: int, times: int) -> int:
    """Side / 2^times, rounded half up."""
    scale = 1 << times
    return (side + scale // 2) // scale
