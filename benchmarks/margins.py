"""How often a painting's plain margin is missed, and how often a picture is cut that has none.

    python benchmarks/margins.py FOLDER

Every picture of FOLDER, at most 512 pixels, is looked at as it is: what is cut off is printed, to be judged by eye.
Then each, without what was cut off, is given margins of every kind and depth; one is missed where a side keeps more
than 2 pixels, or half a per cent, of it, and too much is cut where a side loses more than 3 pixels, or one per cent, of
the painting. Last, subjects on a plain ground are made of it, which have no margin: a bust on white and on black,
an oval on white, a skyline under a plain sky and under stars; and as many grids of bars and plain fields are drawn.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import common
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import ImageReadError
from impasto.pictures import margins
from impasto.pictures.read import read
from impasto.pictures.resize import fit, resize

LONGER = 512
DEPTHS = (0.02, 0.05, 0.1, 0.2, 0.3)
UNEQUAL = (1.0, 0.5, 0.25, 0.75)  # of the depth, at the four sides
ALL, LYING, STANDING = (1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 1.0)

Lines = tuple[int, int, int, int]
Finish = Callable[[Tensor, np.random.Generator], Tensor]


def plain(picture: Tensor, random: np.random.Generator) -> Tensor:
    """As it is."""
    del random
    return picture


def scanned(picture: Tensor, random: np.random.Generator) -> Tensor:
    """With a scanner's noise."""
    return (picture + torch.from_numpy(random.normal(0, 0.02, picture.shape)).float()).clamp(0, 1)


def compressed(picture: Tensor, random: np.random.Generator) -> Tensor:
    """After JPEG at quality 75 with halved colours."""
    del random
    return read(_jpeg(picture)).rgb


def resampled(picture: Tensor, random: np.random.Generator) -> Tensor:
    """Enlarged and made small again by odd ratios, so that the end of the margin is mixed and overshoots."""
    del random
    size = (picture.shape[1], picture.shape[2])
    return resize(resize(picture, fit(size, round(1.37 * max(size)))), size)


KINDS: dict[str, tuple[tuple[float, float, float], tuple[float, ...], Finish]] = {
    "white": ((1.0, 1.0, 1.0), ALL, plain),
    "black": ((0.0, 0.0, 0.0), ALL, plain),
    "grey": ((0.5, 0.5, 0.5), ALL, plain),
    "paper, scanned": ((0.93, 0.9, 0.83), ALL, scanned),
    "black, scanned": ((0.06, 0.06, 0.07), ALL, scanned),
    "white, JPEG": ((1.0, 1.0, 1.0), ALL, compressed),
    "black, JPEG": ((0.0, 0.0, 0.0), ALL, compressed),
    "white, resampled": ((1.0, 1.0, 1.0), ALL, resampled),
    "letterbox": ((0.0, 0.0, 0.0), LYING, compressed),
    "pillarbox": ((0.0, 0.0, 0.0), STANDING, compressed),
    "unequal sides": ((1.0, 1.0, 1.0), UNEQUAL, compressed),
}


def framed(picture: Tensor, kind: str, depth: float, random: np.random.Generator) -> tuple[Tensor, Lines]:
    """A picture in a margin that takes `depth` of each side, at most, and the lines of it."""
    colour, sides, finish = KINDS[kind]
    height, width = picture.shape[1:]
    tall, wide = height / (1 - depth * (sides[0] + sides[1])), width / (1 - depth * (sides[2] + sides[3]))
    lines = tuple(round(depth * s * full) for s, full in zip(sides, (tall, tall, wide, wide), strict=True))
    top, bottom, left, right = lines
    whole = torch.tensor(colour)[:, None, None].repeat(1, height + top + bottom, width + left + right)
    whole[:, top : top + height, left : left + width] = picture
    return finish(whole, random), (top, bottom, left, right)


def bust(picture: Tensor, ground: float) -> Tensor:
    """Head and shoulders cut out of a picture, on a plain ground that they touch below."""
    height, width = picture.shape[1:]
    y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(-1, 1, width)[None]
    head = ((y - 0.35) / 0.22).square() + (x / 0.35).square() < 1
    shoulders = ((y - 1.05) / 0.5).square() + (x / 0.8).square() < 1
    return torch.where(head | shoulders, picture, torch.tensor(ground))


def oval(picture: Tensor) -> Tensor:
    """A round piece of a picture, on white that it does not touch the edges of."""
    y, x = (torch.linspace(-1.15, 1.15, side) for side in picture.shape[1:])
    return torch.where(y[:, None].square() + x[None].square() < 1, picture, torch.tensor(1.0))


def skyline(picture: Tensor, random: np.random.Generator, *, stars: bool) -> Tensor:
    """A picture with a plain sky down to its middle, which ends at roofs or hills; at night with stars."""
    height, width = picture.shape[1:]
    steps = np.repeat(random.uniform(0.35, 0.6, 12), -(-width // 12))[:width]
    hills = 0.5 + 0.08 * np.sin(np.linspace(0, random.uniform(3, 9), width))
    line = torch.from_numpy(steps if stars else hills) * height
    sky = torch.arange(height)[:, None] < line[None]
    colour = torch.tensor((0.03, 0.04, 0.12) if stars else (0.6, 0.75, 0.9))[:, None, None]
    found = torch.where(sky, colour, picture)
    if stars:
        for down, across in zip(random.integers(0, height // 3, 40), random.integers(0, width, 40), strict=True):
            found[:, down, across] = 0.9
    return found


def grid(random: np.random.Generator) -> Tensor:
    """Black bars and plain fields, white and in colours, as Mondrian has them."""
    height, width = 400, 400 + int(random.integers(0, 200))
    found = torch.full((3, height, width), 0.94)
    downs, acrosses = (np.sort(random.integers(20, side - 20, 3)) for side in (height, width))
    fields = [(0.8, 0.1, 0.1), (0.1, 0.2, 0.6), (0.95, 0.85, 0.1)]
    for colour, row, column in zip(fields, random.permutation(4), random.permutation(4), strict=False):
        edges = [0, *downs, height], [0, *acrosses, width]
        part = tuple(slice(int(edge[n]), int(edge[n + 1])) for edge, n in zip(edges, (row, column), strict=True))
        found[:, part[0], part[1]] = torch.tensor(colour)[:, None, None]
    for at in downs:
        found[:, at - 5 : at + 5] = 0.05
    for at in acrosses:
        found[:, :, at - 5 : at + 5] = 0.05
    return found


def without(picture: Tensor, random: np.random.Generator) -> Iterator[tuple[str, Tensor]]:
    """Pictures without a margin, by kind."""
    yield "bust on white", read(_jpeg(bust(picture, 1.0))).rgb
    yield "bust on black", read(_jpeg(bust(picture, 0.0))).rgb
    yield "oval on white", read(_jpeg(oval(picture))).rgb
    yield "skyline", read(_jpeg(skyline(picture, random, stars=False))).rgb
    yield "stars", read(_jpeg(skyline(picture, random, stars=True))).rgb
    yield "grid", read(_jpeg(grid(random))).rgb


def errors(found: Lines, lines: Lines, size: tuple[int, int]) -> tuple[bool, float]:
    """Whether some of a margin was missed, and the share of a side that the painting lost, 0 if hardly any."""
    sides = (size[0], size[0], size[1], size[1])
    pairs = list(zip(found, lines, sides, strict=True))
    missed = any(have < want - max(2, 0.005 * side) for have, want, side in pairs)
    return missed, max((have - want) / side if have > want + max(3, 0.01 * side) else 0.0 for have, want, side in pairs)


def _jpeg(picture: Tensor) -> Image.Image:
    """A picture after JPEG at quality 75."""
    stream = io.BytesIO()
    samples = (picture * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(samples).save(stream, "JPEG", quality=75)
    return Image.open(stream)


def main() -> None:
    """Look at a folder and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="take every so many pictures")
    parser.add_argument("--only-as-they-are", action="store_true", help="make no margins")
    options = parser.parse_args()
    counts: dict[str, list[tuple[bool, float]]] = {}

    def count(kind: str, missed: bool, lost: float) -> None:
        counts.setdefault(kind, []).append((missed, lost))

    for number, path in enumerate(sorted(options.folder.iterdir())[:: options.every]):
        try:
            whole = read(path).rgb
        except ImageReadError as error:
            print(error)
            continue
        size = (whole.shape[1], whole.shape[2])
        whole = resize(whole, fit(size, min(max(size), LONGER)))
        own = margins.margins(whole)
        count("as they are", *errors(own, (0, 0, 0, 0), (whole.shape[1], whole.shape[2])))
        if any(own):
            print(f"{path.name}: {margins.worded(own, (whole.shape[1], whole.shape[2]))}")
        if options.only_as_they_are:
            continue
        picture, random = margins.cut(whole, own), np.random.default_rng(number)
        for kind in KINDS:
            for depth in DEPTHS:
                made, lines = framed(picture, kind, depth, random)
                count(kind, *errors(margins.margins(made), lines, (made.shape[1], made.shape[2])))
        for kind, made in without(picture, random):
            count(kind, *errors(margins.margins(made), (0, 0, 0, 0), (made.shape[1], made.shape[2])))
    rows = [
        {
            "pictures": kind,
            "number": len(found),
            "missed": sum(missed for missed, _ in found),
            "wrongly cut": sum(lost > 0 for _, lost in found),
            "at most, % of a side": f"{100 * max(lost for _, lost in found):.1f}",
        }
        for kind, found in counts.items()
    ]
    print("\n" + common.table(rows))


if __name__ == "__main__":
    main()
