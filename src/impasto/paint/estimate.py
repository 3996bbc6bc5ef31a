"""What a scene will take: bytes at the peak, the way of walking the network that fits, and seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from impasto.errors import MemoryShortError
from impasto.layers import BLOCKS, scale_of
from impasto.network.convolutions import deepest_block
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.tiles import WHOLE, Plan
from impasto.paint import objective
from impasto.paint.memory import BASE, GIB, ROOMY, history
from impasto.paint.scene import Scene
from impasto.paint.targets import Targets
from impasto.pictures.resize import fit, resize

__all__ = ["Need", "choose", "largest", "need", "planned", "plans", "seconds"]

PICTURES = 9  # float32 pictures that the optimiser holds beside its history
SCRATCH = 1.25  # what convolutions lay out anew, and what the allocator leaves between blocks
WIDE = (256, 128, 64)  # rows of strips; up to 20 % slower than a picture in one piece
CELL = 4  # rows: a strip holds whole cells of a grid that losses look at
NARROW = (32, 16, 8)  # slower still, as strips overlap
DEEP, NONE = frozenset({3, 4, 5}), frozenset[int]()
PACE = 256  # px: a picture as large as this, and a quarter as long as the whole, foretells the pace
PACE_STEPS = 3  # evaluations of it, of which the quickest counts


@dataclass(frozen=True)
class Need:
    """Bytes at the peak of one level, and the way of walking they are for."""

    plan: Plan
    bytes: float


def plans(scene: Scene, encoder: Encoder, limit: float) -> list[Need]:
    """How each level is walked within `limit` bytes.

    Raises MemoryShortError, saying what would fit, for a size that cannot.
    """
    looks = objective.looks(scene.recipe)
    needs = [choose(encoder, size, looks, limit=limit, rows=scene.recipe.tile) for size in scene.sizes]
    most = needs[-1].bytes
    if most <= limit:
        return needs
    fits = largest(encoder, scene.size, looks, limit)
    remedy = f"--size {fits} fits" if fits else "no size fits"
    height, width = scene.size
    raise MemoryShortError(
        f"{width}×{height} pixels need about {most / GIB:.1f} GiB of memory,"
        f" {limit / GIB:.1f} GiB may be used; {remedy}"
    )


def planned(scene: Scene, encoder: Encoder, ways: Sequence[Plan], limit: float) -> list[Need]:
    """What levels need that are walked in given ways; raises MemoryShortError where that is above `limit` bytes."""
    looks = objective.looks(scene.recipe)
    needs = [Need(plan, need(encoder, size, looks, plan)) for size, plan in zip(scene.sizes, ways, strict=True)]
    most = max(need.bytes for need in needs)
    if most > limit:
        raise MemoryShortError(
            f"going on needs about {most / GIB:.1f} GiB of memory, as the run did before,"
            f" {limit / GIB:.1f} GiB may be used; free some first"
        )
    return needs


def seconds(scene: Scene, needs: list[Need], encoder: Callable[[int], Encoder], targets: Targets) -> float:
    """How long painting will take, by the pace of a few evaluations of a small version of the picture.

    `encoder`: one for each number of pixels of border.
    """
    longer, border = max(scene.size), scene.recipe.border
    size = fit(scene.size, min(max(PACE, longer // 4), longer))
    plan = needs[-1].plan
    plan = replace(plan, rows=min(plan.rows, size[0] // (2 * CELL) * CELL))
    pace = objective.at(scene, size, encoder(border), targets, plan)
    start = resize(scene.start, size).to(pace.encoder.device)
    taken = []
    for _ in range(PACE_STEPS):
        begun = time.perf_counter()
        pace(start)  # its value is read from the device
        taken.append(time.perf_counter() - begun)
    looking = (1 + len(scene.styles)) / 2  # of each level: two pictures looked at cost one evaluation
    work = [
        _bordered(own, scene.border(level)) * (count + looking * len(scene.rounds(level)))
        for level, (own, count) in enumerate(zip(scene.sizes, scene.evaluations, strict=True))
    ]
    return min(taken) / _bordered(size, border) * sum(work)


def need(encoder: Encoder, size: tuple[int, int], looks: Collection[Look], plan: Plan) -> float:
    """Estimated peak of bytes, process included, of one evaluation of a picture of `size` (height, width).

    Whole maps are kept: those of the content and the styles as targets, those of the result with their gradients.
    """
    item, (height, width) = encoder.dtype.itemsize, size
    tall, wide = height + 2 * encoder.border, width + 2 * encoder.border
    depth = deepest_block(look.layer for look in looks)
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
    targets = 0.0
    for look in looks:
        if look.kind == "map":
            # That of the result with its gradient, and in float32 the target, the difference and what leads back to it.
            each = 2 * item + 4 * 4 if look.whose == "result" else item
            targets += encoder.width(look.layer) * tall * wide / max(look.step, scale_of(look.layer)) ** 2 * each
        elif look.kind == "rows" and look.step:  # their targets
            targets += encoder.width(look.layer) * tall * wide / max(look.step, scale_of(look.layer)) ** 2 * 4
    moves, precision = history(height, width)
    pictures = 3 * height * width * (4 * PICTURES + 2 * moves * precision.itemsize)
    return float(BASE + encoder.bytes + pictures + targets + SCRATCH * (inputs + kept + strip))


def choose(encoder: Encoder, size: tuple[int, int], looks: Collection[Look], *, limit: float, rows: int = 0) -> Need:
    """The fastest way of walking that stays within `limit` bytes, or the smallest there is; `rows` fixes the strips.

    Wide strips whose buffers can be kept from step to step are faster than larger buffers that are given back.
    """
    if rows:
        rows = -(-rows // CELL) * CELL
        plans = [Plan(rows, DEEP), Plan(rows, NONE)]
    else:
        plans = [WHOLE, *(Plan(n, DEEP) for n in WIDE), *(Plan(n, NONE) for n in WIDE + NARROW)]
    needs = [Need(plan, need(encoder, size, looks, plan)) for plan in plans]
    roomy = [one for one in needs if ROOMY * one.bytes <= limit and one.plan.rows not in NARROW]
    fitting = [one for one in needs if one.bytes <= limit]
    return next(iter(roomy + fitting), min(needs, key=lambda one: one.bytes))


def largest(encoder: Encoder, shape: tuple[int, int], looks: Collection[Look], limit: float) -> int:
    """The longer side, in steps of 64 px, of the largest picture of this shape within `limit` bytes; 0 if none is."""
    longest, fits = max(shape), 0
    for longer in range(64, longest, 64):
        height, width = (max(1, round(side * longer / longest)) for side in shape)
        if choose(encoder, (height, width), looks, limit=limit).bytes > limit:
            break
        fits = longer
    return fits


def _bordered(size: tuple[int, int], border: int) -> int:
    """Pixels of a picture with its border."""
    return (size[0] + 2 * border) * (size[1] + 2 * border)
