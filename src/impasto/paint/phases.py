"""Bytes that are held at the peak of each phase of a level: looking at its targets, matching, a step, a picture saved.

Every formula says what is alive at once, in numbers of each pixel or position; the process as it stands before a level,
with its pictures and the network, comes on top of them (`estimate`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from impasto.layers import BLOCKS, resolve, scale_of
from impasto.losses import matching, neighbours, patches
from impasto.network.convolutions import deepest_block
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.tiles import Plan
from impasto.paint import objective
from impasto.paint.memory import history
from impasto.paint.targets import looking
from impasto.recipe import Recipe

__all__ = ["Level", "backward", "forward", "maps", "peaks"]

Size = tuple[int, int]

FLOAT, PLACE = 4, 8  # bytes of a float32 and of the place of a maximum
PICTURE = 3 * FLOAT  # bytes of a pixel
OPTIMISER = 9  # pictures that it holds beside its history: points, gradients, directions
PREPARED = 3  # float pictures at once while the network's input is made, border and all
GROWING = 4  # pictures at once while a painting's grain is measured
SAVED = 3.5  # pictures at once while one is finished and encoded
DOUBLES = 9  # numbers of float64 a pixel that a palette is compared in
MATRICES = {"gram": 10 * FLOAT, "moments": 12 * PLACE}  # bytes of an entry of a layer's matrices, targets and gradients
GRADIENTS = 3  # maps of the widest layer of a block on the way back: of two layers, and between their two halves
FORWARD, STRIPS = 2.0, 3.5  # the same on the way there, and where strips are joined (measured)
ROWS = 5  # numbers in float32 of each of the rows of a map that a loss looks at


@dataclass(frozen=True)
class Level:
    """A level to be painted: its `size`, how it is walked, and the sizes that paintings and their copies have there.

    `moves`: that L-BFGS remembers by its end, 0 for Adam; `apart`: whether layers are also matched for themselves.
    `made`: how many pixels of the paintings are made for it, being of another size than those that are there.
    """

    size: Size
    plan: Plan
    paintings: tuple[Size, ...]
    copies: tuple[Size, ...] = ()
    moves: int = 0
    apart: bool = False
    made: int = 0


def peaks(encoder: Encoder, recipe: Recipe, level: Level) -> tuple[float, float, float]:
    """Bytes at the peak of beginning a level, matching blocks anew and painting, beside what is there before it."""
    ways = [objective.looks(recipe)] + ([objective.looks(recipe, apart=True)] if level.apart else [])
    found = [_peaks(encoder, recipe, level, looks) for looks in ways]
    begin, match, paint = zip(*found, strict=True)
    return max(begin), max(match), max(paint)


def _peaks(encoder: Encoder, recipe: Recipe, level: Level, looks: Collection[Look]) -> tuple[float, float, float]:
    pixels, several = _area(level.size), (*level.paintings, *level.copies)
    begin = 4 * PICTURE * pixels  # where it starts, the best one, the content and what is matched, at this size
    painted = PICTURE * (level.made + sum(map(_area, level.copies)))
    of = {whose: [look for look in looks if look.whose == whose] for whose in ("content", "mix", "style", "result")}
    matched = [look for look in of["style"] if look.kind == "map"]
    held = 0.0  # of the targets looked at so far
    looked = 0.0
    for size, wanted, plan in [
        (level.size, of["mix"], level.plan),
        (level.size, of["content"], level.plan),
        *((one, of["style"], looking(level.plan, level.size, one)) for one in level.paintings),
        *((one, matched, looking(level.plan, level.size, one)) for one in level.copies),
    ]:
        if wanted:
            looked = max(looked, held + forward(encoder, size, wanted, plan))
            held += maps(encoder, size, wanted)
    targets = begin + painted + max(looked, _made(encoder, recipe, level, of, held))
    largest = max(map(_area, several), default=0)
    growing = begin + painted + GROWING * PICTURE * largest + _kept(encoder, recipe, level, of)
    numbers = 3 * pixels
    state = numbers * FLOAT * OPTIMISER
    if level.moves:
        state += 2 * level.moves * numbers * history(*level.size)[1].itemsize
    there_and_back, between = backward(encoder, level.size, of["result"], level.plan)
    step = state + _kept(encoder, recipe, level, of) + _pixels(recipe, pixels) + there_and_back
    renewed = state + _kept(encoder, recipe, level, of) + between + _renewed(encoder, recipe, level)
    saved = state - 2 * numbers * FLOAT + _kept(encoder, recipe, level, of) + SAVED * PICTURE * pixels
    return max(targets, growing), renewed, max(step, saved)


def forward(encoder: Encoder, size: Size, looks: Collection[Look], plan: Plan) -> float:
    """Bytes at the peak of one look at a picture, its maps included."""
    item = encoder.dtype.itemsize
    tall, wide = _bordered(encoder, size)
    wanted = {look.layer for look in looks}
    depth, most = deepest_block(wanted), float(PREPARED * PICTURE * tall * wide + 3 * item * tall * wide)
    moments = {look.layer for look in looks if look.kind in ("gram", "moments")}
    for block in range(1, depth + 1):
        rows, high, across = _rows(block, tall, wide, plan)
        channels = encoder.channels(block)
        mine = [name for name in wanted if name[4] == str(block)]
        taps = sum(encoder.width(name) for name in mine)
        widest = max(channels.widest, channels.start)
        busy = (taps + (FORWARD if rows >= high else STRIPS) * widest) * rows * across
        if any(name in moments for name in mine):  # a copy of the window, position by position
            busy += max(encoder.width(name) for name in mine if name in moments) * min(rows, high) * across
        most = max(most, item * (busy + (channels.start + (widest if block < depth else 0) / 4) * high * across))
    return most + maps(encoder, size, looks)


def backward(encoder: Encoder, size: Size, looks: Collection[Look], plan: Plan) -> tuple[float, float]:
    """Bytes at the peak of one evaluation, there and back, and those held between; beside targets and pictures."""
    item = encoder.dtype.itemsize
    tall, wide = _bordered(encoder, size)
    wanted = {look.layer for look in looks}
    depth = deepest_block(wanted)
    most, kept = 0.0, 0.0
    for block in range(1, depth + 1):
        rows, high, across = _rows(block, tall, wide, plan)
        channels = encoder.channels(block)
        widest = max(channels.widest, channels.start)
        places = widest * across / 4 * (PLACE if block < depth else 0)  # of the maxima, a row
        made = (channels.made + sum(encoder.width(name) for name in wanted if name.startswith(f"conv{block}"))) * item
        kept += channels.start * high * across * item
        busy: float = GRADIENTS * widest * rows * across * item
        if block in plan.kept:
            kept += made * (high if rows >= high else high + 2 * BLOCKS[block] * high / plan.rows) * across
            kept += places * high
        else:
            busy += made * rows * across + places * rows
        compared = [
            encoder.width(look.layer) / look.side**2
            for look in looks
            if look.kind == "rows" and look.layer[4] == str(block)
        ]
        busy += ROWS * FLOAT * max(compared, default=0) * min(rows, high) * across
        gradient = 0 if rows >= high else channels.start * high * across * item
        after = widest * high * across / 4 * item if block < depth else 0
        most = max(most, kept + busy + gradient + after)
    shown = sum(_cells(encoder, size, look) * (2 * item + 4 * FLOAT) for look in looks if look.kind == "map")
    pictures = 2 * 3 * item * tall * wide
    return max(most, PREPARED * PICTURE * tall * wide) + pictures + shown, kept + pictures + shown


def maps(encoder: Encoder, size: Size, looks: Collection[Look]) -> float:
    """Bytes of the maps and second moments that looks at a picture leave."""
    item = encoder.dtype.itemsize
    whole = sum(_cells(encoder, size, look) * item for look in looks if look.kind == "map")
    return whole + sum(_square(encoder, look.layer) * FLOAT for look in looks if look.kind in ("gram", "moments"))


def _made(encoder: Encoder, recipe: Recipe, level: Level, of: dict[str, list[Look]], held: float) -> float:
    """Bytes at the peak of making targets of what has been seen, which is `held` until then."""
    losses = recipe.style_losses()
    kept = _kept(encoder, recipe, level, of)
    most = held + kept - maps(encoder, level.size, of["content"])
    if losses.get("neighbours"):
        widths = [encoder.width(name) for name in resolve(recipe.match_layer)]
        step = min(look.step for look in of["mix"])
        places = [min(_places(size, step), neighbours.CANDIDATES) for size in level.paintings]
        ours = min(_places(level.size, step), neighbours.ROWS)
        apart = step == neighbours.FINE
        deep = max(widths) if apart else sum(widths)
        block = min(matching.BLOCK, ours * max(places))
        largest = FLOAT * max(_cells(encoder, level.size, look) for look in of["mix"])  # of the targets
        match = FLOAT * (deep * (sum(places) + max(places) + 2 * ours) + 2 * block)
        # Layer by layer, a target takes the place of the maps that it was made from.
        most = max(held + largest + match, kept + largest) if apart else most + max(match, largest)
    if recipe.palette_weight:
        most = max(most, held + DOUBLES * PLACE * max(map(_area, level.paintings)))
    return most


def _kept(encoder: Encoder, recipe: Recipe, level: Level, of: dict[str, list[Look]]) -> float:
    """Bytes of the targets that a level holds while it is painted."""
    found = maps(encoder, level.size, of["content"])
    found += sum(
        _cells(encoder, level.size, look) * FLOAT for look in of["result"] if look.kind == "rows" and look.step
    )
    losses = recipe.style_losses()
    if losses.get("patches"):
        for name in resolve(recipe.patch_layer):
            for size in (*level.paintings, *level.copies):
                found += encoder.width(name) * _windows(size, name) * FLOAT
    squares = sum(_square(encoder, name) for name in resolve(recipe.style_layer))
    return found + squares * sum(count for name, count in MATRICES.items() if losses.get(name))


def _renewed(encoder: Encoder, recipe: Recipe, level: Level) -> float:
    """Bytes at the peak of matching blocks anew while the picture is painted: the network's way there is kept."""
    if not recipe.style_losses().get("patches"):
        return 0.0
    most = 0.0
    for name in resolve(recipe.patch_layer):
        here = _positions(level.size, name)
        there = [_windows(size, name) for size in (*level.paintings, *level.copies)]
        products = 2 * FLOAT * min(patches.PRODUCTS, here * max(there))
        columns = FLOAT * encoder.width(name) * (sum(there) + 3 * here)
        most = max(most, products, columns)
    return most


def _pixels(recipe: Recipe, pixels: int) -> float:
    """Bytes of the terms on pixels and their gradients."""
    palette = DOUBLES * PLACE * pixels if recipe.palette_weight else 0
    others = (recipe.tv_weight > 0) + len(recipe.laplacians())
    return float(palette + 4 * PICTURE * pixels * others)


def _square(encoder: Encoder, name: str) -> int:
    """Entries of a layer's second moments: of a thin one those of the layer that it stands for."""
    return len(encoder.metrics[name]) ** 2 if name in encoder.metrics else encoder.width(name) ** 2


def _windows(size: Size, name: str) -> int:
    """Positions of a layer's map, or those of the windows of it that are looked through."""
    return min(_positions(size, name), int(patches.CANDIDATES * (1 + 2 / patches.WINDOW) ** 2))


def _positions(size: Size, name: str) -> int:
    return max(1, size[0] // scale_of(name)) * max(1, size[1] // scale_of(name))


def _cells(encoder: Encoder, size: Size, look: Look) -> float:
    """Numbers of a whole map."""
    return encoder.width(look.layer) * _area(size) / max(look.step, scale_of(look.layer)) ** 2


def _places(size: Size, step: int) -> int:
    return -(-size[0] // step) * -(-size[1] // step)


def _rows(block: int, tall: int, wide: int, plan: Plan) -> tuple[int, int, int]:
    """Rows of a strip with those that it overlaps by, and height and width of the maps of a block."""
    high, across = tall >> (block - 1), wide >> (block - 1)
    rows = high if not plan.rows else min(high, plan.rows + 2 * BLOCKS[block])
    return rows, high, across


def _bordered(encoder: Encoder, size: Size) -> Size:
    return size[0] + 2 * encoder.border, size[1] + 2 * encoder.border


def _area(size: Sequence[int]) -> int:
    return size[0] * size[1]
