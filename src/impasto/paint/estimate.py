"""What a scene will take: bytes at the peak, the way of walking the network that fits, and seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from impasto.errors import MemoryShortError
from impasto.network.encoder import Encoder
from impasto.network.tiles import WHOLE, Plan
from impasto.paint import memory, objective, phases
from impasto.paint.memory import GIB
from impasto.paint.scene import Scene
from impasto.paint.targets import Targets
from impasto.pictures.copies import sizes_of
from impasto.pictures.resize import fit, resize
from impasto.recipe import Recipe

__all__ = ["Load", "Need", "choose", "largest", "planned", "plans", "seconds"]

GAPS = 1.1  # what the allocator leaves between blocks
GAPS_KEPT, GAPS_MATCHED = 1.35, 1.2  # the same where buffers are kept: while it is painted, and blocks are matched anew
SURE = 1.05  # times the estimate that must be allowed
WIDE = (256, 128, 64)  # rows of strips; up to 20 % slower than a picture in one piece
CELL = 4  # rows: a strip holds whole cells of a grid that losses look at
NARROW = (32, 16, 8)  # slower still, as strips overlap
DEEP, NONE = frozenset({3, 4, 5}), frozenset[int]()
PACE = 256  # px: a picture as large as this, and a quarter as long as the whole, foretells the pace
PACE_STEPS = 3  # evaluations of it, of which the quickest counts


@dataclass(frozen=True)
class Need:
    """Bytes at the peak of one level, and the way of walking they are for; `kept`: where buffers are kept."""

    plan: Plan
    bytes: float
    kept: float


@dataclass(frozen=True)
class Load:
    """What a scene asks for: `sizes` of its levels with their evaluations, `counts`, and the `paintings` at full size.

    `base`: bytes of the process before it paints, with its pictures and what the network's first use adds; `pictures`:
    those of the pictures.
    """

    encoder: Encoder
    recipe: Recipe
    base: float
    sizes: tuple[tuple[int, int], ...]
    counts: tuple[int, ...]
    paintings: tuple[tuple[int, int], ...]
    pictures: float = 0.0

    @classmethod
    def of(cls, scene: Scene, encoder: Encoder, remembered: float = 0.0) -> Load:
        """That of a scene whose pictures, and whose network, are in memory already.

        `remembered`: bytes of what has been seen that other transfers may use again, at most (`Targets.limit`).
        """
        own = tuple((style.shape[1], style.shape[2]) for style in scene.styles)
        base = memory.working(encoder.device) + encoder.bytes
        here = encoder.device.type == "cpu"
        load = cls(
            encoder, scene.recipe, base, tuple(scene.sizes), tuple(scene.evaluations), own, scene.bytes if here else 0.0
        )
        looks = objective.looks(scene.recipe)
        seen = [
            phases.maps(encoder, one, [look for look in looks if look.whose == whose])
            for size in load.sizes
            for whose, pictures in (("content", [size]), ("mix", [size]), ("style", load.paintings_at(size)))
            for one in pictures
        ]
        return replace(load, base=base + min(remembered, sum(seen)))

    def paintings_at(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Sizes of the paintings at a size of the picture."""
        scale = max(size) / max(self.sizes[-1])
        return [fit(one, max(1, round(max(one) * scale))) for one in self.paintings]

    def need(self, level: int, plan: Plan) -> Need:
        """That of a level, counted from 0, that is walked by a plan."""
        size, full, recipe = self.sizes[level], self.sizes[-1], self.recipe
        paintings = tuple(self.paintings_at(size))
        losses = recipe.style_losses()
        kinds = recipe.match_copies if losses.get("neighbours") or losses.get("patches") else ()
        painted = phases.Level(
            size,
            plan,
            paintings,
            copies=tuple(other for one in paintings for other in sizes_of(one, kinds)),
            made=sum(a * b for (a, b), own in zip(paintings, self.paintings, strict=True) if (a, b) != own),
            moves=0 if recipe.optimizer == "adam" else min(memory.history(*size)[0], self.counts[level] - 1),
            apart=bool(losses.get("neighbours") and recipe.polish) and size == full,
        )
        begin, match, paint = phases.peaks(self.encoder, recipe, painted)
        kept = max(GAPS * begin, GAPS_MATCHED * match, GAPS_KEPT * paint)
        return Need(plan, self.base + GAPS * max(begin, match, paint), self.base + kept)

    def at(self, longer: int) -> Load:
        """The same with a result of another longer side."""
        scale = longer / max(self.sizes[-1])
        sizes, paintings = (tuple(_scaled(one, scale) for one in several) for several in (self.sizes, self.paintings))
        pictures = self.pictures * scale**2
        return replace(
            self, base=self.base - self.pictures + pictures, sizes=sizes, paintings=paintings, pictures=pictures
        )


def plans(load: Load, limit: float) -> list[Need]:
    """How each level is walked within `limit` bytes.

    Raises MemoryShortError, saying what would fit, for a size that cannot.
    """
    needs = [choose(load, level, limit=limit, rows=load.recipe.tile) for level in range(len(load.sizes))]
    most = SURE * max(need.bytes for need in needs)
    if most <= limit:
        return needs
    fits = largest(load, limit)
    remedy = f"--size {fits} fits" if fits else "no size fits"
    height, width = load.sizes[-1]
    raise MemoryShortError(
        f"{width}×{height} pixels need about {most / GIB:.2g} GiB of memory,"
        f" {limit / GIB:.2g} GiB may be used; {remedy}"
    )


def planned(load: Load, ways: Sequence[Plan], limit: float) -> list[Need]:
    """What levels need that are walked in given ways; raises MemoryShortError where that is above `limit` bytes."""
    needs = [load.need(level, plan) for level, plan in enumerate(ways)]
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


def choose(load: Load, level: int, *, limit: float, rows: int = 0) -> Need:
    """The fastest way of walking a level within `limit` bytes, or the smallest there is; `rows` fixes the strips.

    Wide strips whose buffers can be kept from step to step are faster than larger buffers that are given back.
    """
    if rows:
        rows = -(-rows // CELL) * CELL
        plans = [Plan(rows, DEEP), Plan(rows, NONE)]
    else:
        plans = [WHOLE, *(Plan(n, DEEP) for n in WIDE), *(Plan(n, NONE) for n in WIDE + NARROW)]
    needs = [load.need(level, plan) for plan in plans]
    roomy = [one for one in needs if SURE * one.kept <= limit and one.plan.rows not in NARROW]
    fitting = [one for one in needs if SURE * one.bytes <= limit]
    return next(iter(roomy + fitting), min(needs, key=lambda one: one.bytes))


def largest(load: Load, limit: float) -> int:
    """The longer side, in steps of 64 px, of the largest picture of this shape within `limit` bytes; 0 if none is."""
    last, fits = len(load.sizes) - 1, 0
    for longer in range(64, max(load.sizes[-1]), 64):
        if SURE * choose(load.at(longer), last, limit=limit).bytes > limit:
            break
        fits = longer
    return fits


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _bordered(size: tuple[int, int], border: int) -> int:
    """Pixels of a picture with its border."""
    return (size[0] + 2 * border) * (size[1] + 2 * border)
