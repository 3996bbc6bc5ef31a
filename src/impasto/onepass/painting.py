"""One pass: the photo's deepest maps, the paintings' statistics at every level, a picture (docs/instant.md).

Statistics are of the whole picture, or of a region of it. Maps that fit are kept from one level to the next; of larger
pictures they are made a strip of rows at a time, and once more where they are needed again. The picture is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from impasto.layers import scale_of
from impasto.losses.gaussians import exact, gaussian
from impasto.network.encoder import Encoder, reflected
from impasto.network.looks import Look
from impasto.network.products import second_moments
from impasto.network.regions import ALL, Regions
from impasto.network.tiles import Plan
from impasto.onepass import transforms
from impasto.onepass.decoder import LEVELS, Decoder

__all__ = ["GRID", "Way", "padded", "paint"]

GRID = 8  # px: side of a position of the deepest maps, of which a picture holds whole ones
NOISE = 0.05  # standard deviation on the photo: in a flat sky, strokes have nothing else to begin from
EVERYWHERE = -1  # the region that is the whole picture, whatever the others are
STRIP = 128  # rows of the picture that are made at a time

Gaussian = tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class Way:
    """How a picture is painted in one pass.

    `moments`: of each painting by level mean and covariance; `maps`: of each painting relu4_1, where it is swapped.
    `blend`: a share of each painting. `region`: that of each painting in `regions`, and 0 where it is everywhere.
    `painted`: K×H×W, the share of each painting at every pixel, where they are told apart. `free`: 1×H×W, how far each
    pixel may change. `strength`: 0 leaves the photo's own maps, 1 those with the painting's statistics.
    """

    transform: str
    moments: Sequence[Mapping[str, Gaussian]]
    maps: Sequence[tuple[Tensor, Tensor | None]] = ()
    blend: Sequence[float] = (1.0,)
    region: Sequence[int] = (0,)
    regions: Regions = ALL
    painted: Tensor | None = None
    free: Tensor | None = None
    strength: float = 1.0
    seed: int = 0

    @property
    def mixed(self) -> bool:
        """Whether the photo's own statistics have a share anywhere."""
        return self.strength < 1 or self.free is not None or self.painted is not None


Look4 = Callable[[Encoder, Tensor, Sequence[Look], Plan, Regions], Mapping[Look, Tensor]]


def paint(
    encoder: Encoder, decoder: Decoder, photo: Tensor, way: Way, *, look: Look4, plan: Plan, held: float
) -> Tensor:
    """The picture 3×H×W, RGB 0…1, of a photo 3×H×W whose sides are multiples of GRID.

    `look` sees what is asked of the photo, walking the network as `plan` says. `held`: bytes of maps that may be kept.
    """
    generator = torch.Generator().manual_seed(way.seed)
    noise = NOISE * way.strength * torch.randn(photo.shape, generator=generator)
    deepest = Look(LEVELS[0], "map", "content")
    own = [Look(level, "moments", "content") for level in LEVELS[1:]] if way.mixed else []
    seen = look(encoder, photo + noise, [deepest, *own], plan, ALL)
    statistics = {one.layer: gaussian(exact(seen[one])) for one in own}
    with torch.no_grad():
        return _Pass(decoder, seen[deepest], statistics, way, held).picture()


class _Pass:
    """The levels, each from the one before, as strips of rows."""

    def __init__(self, decoder: Decoder, deepest: Tensor, own: Mapping[str, Gaussian], way: Way, held: float) -> None:
        self.decoder, self.way, self.held, self.own = decoder, way, held, own
        self.shape = {level: _times(deepest.shape[1:], 1 << n) for n, level in enumerate(LEVELS)}
        self.kept: dict[str, Tensor] = {}
        self.affine: dict[str, list[transforms.Affine]] = {}
        self.back: dict[str, transforms.Affine] = {}  # to the photo's own statistics
        self._begin(deepest.float())

    def picture(self) -> Tensor:
        for level in LEVELS[1:]:
            self._level(level)
        height, width = self.shape[LEVELS[-1]]
        out = torch.empty(3, height, width)
        for first, last in _strips(height, STRIP):
            top, bottom = max(0, first - 1), min(height, last + 1)
            maps = self._rows(LEVELS[-1], top, bottom)
            out[:, first:last] = self.decoder.rgb(maps[None], first == 0, last == height)[0].float().cpu()
        return out.clamp_(0, 1)

    def _begin(self, maps: Tensor) -> None:
        level, way = LEVELS[0], self.way
        if way.transform != "swap":
            self.affine[level] = self._affine(level, [self._moments(level, [maps])[r] for r in way.region])
            self.kept[level] = self._changed(level, maps, 0)
            return
        # As like the painting as its mean and deviation make it, so that what is compared is the structure.
        near = self._affine(level, [self._moments(level, [maps])[r] for r in way.region], "adain")
        swapped = [
            transforms.swap(transforms.apply(maps, one), painting, counted)
            for one, (painting, counted) in zip(near, way.maps, strict=True)
        ]
        self.kept[level] = self._mixed(level, maps, 0, swapped)

    def _level(self, level: str) -> None:
        """Find what brings a level to the paintings' statistics, and keep its maps where they fit."""
        height, width = self.shape[level]
        size = self.decoder.width(level) * height * width * 4
        keep = size <= self.held
        made: list[Tensor] = []
        rows = STRIP // scale_of(level)

        def strips() -> Iterator[Tensor]:
            for first, last in _strips(height, rows):
                maps = self._raw(level, first, last)
                if keep:
                    made.append(maps)
                yield maps

        moments = self._moments(level, strips())
        self.affine[level] = self._affine(level, [moments[r] for r in self.way.region])
        if level in self.own:
            self.back[level] = transforms.adain(*moments[EVERYWHERE], *self.own[level])
        if keep:
            self.held -= size
            whole = torch.cat(made, 1)
            made.clear()
            self.kept[level] = self._changed(level, whole, 0)

    def _rows(self, level: str, first: int, last: int) -> Tensor:
        """Rows of a level with the paintings' statistics."""
        if level in self.kept:
            return self.kept[level][:, first:last]
        return self._changed(level, self._raw(level, first, last), first)

    def _raw(self, level: str, first: int, last: int) -> Tensor:
        """Rows of a level as the decoder gives them, N×(last − first)×w, float32."""
        before = LEVELS[LEVELS.index(level) - 1]
        height = self.shape[before][0]
        top, bottom = max(0, first // 2 - 1), min(height, -(-last // 2) + 1)
        at_top, at_bottom = top == 0, bottom == height
        maps = self.decoder.step(level, self._rows(before, top, bottom)[None], at_top, at_bottom)[0].float()
        start = 2 * top + (0 if at_top else 1)
        return maps[:, first - start : last - start]

    def _moments(self, level: str, strips: Sequence[Tensor] | Iterator[Tensor]) -> dict[int, Gaussian]:
        """Mean and covariance of a level by region."""
        wanted = list(dict.fromkeys([*self.way.region, *[EVERYWHERE] * bool(self.own)]))
        sums: dict[int, Tensor] = {}
        counts = dict.fromkeys(wanted, 0.0)
        row = 0
        for maps in strips:
            for region in wanted:
                weights = self.way.regions.at(level, region)
                own = None if weights is None else weights[row : row + maps.shape[1]].to(maps)
                S = exact(second_moments(maps, own, mean=True))
                sums[region] = sums[region] + S if region in sums else S
                counts[region] += maps[0].numel() if own is None else own.sum().item()
            row += maps.shape[1]
        return {region: gaussian(S / max(counts[region], 1e-6)) for region, S in sums.items()}

    def _affine(self, level: str, ours: Sequence[Gaussian], transform: str = "") -> list[transforms.Affine]:
        """What brings the maps of a level to each painting's statistics."""
        deepest = level == LEVELS[0]  # below, the decoder was fitted to adain
        kind = transforms.transport if deepest and (transform or self.way.transform) == "whiten" else transforms.adain
        return [kind(*own, *painting[level]) for own, painting in zip(ours, self.way.moments, strict=True)]

    def _changed(self, level: str, maps: Tensor, row: int) -> Tensor:
        return self._mixed(level, maps, row, (transforms.apply(maps, one) for one in self.affine[level]))

    def _mixed(self, level: str, maps: Tensor, row: int, several: Sequence[Tensor] | Iterator[Tensor]) -> Tensor:
        """The maps of several paintings mixed by their shares, from `row` on, and with the photo's own."""
        way = self.way
        out = torch.zeros_like(maps)
        left: Tensor | float = 1.0
        rows = slice(row, row + maps.shape[1])
        for number, changed in enumerate(several):
            share: Tensor | float = way.blend[number]
            if way.painted is not None:
                share = self._shares.at(level, number)[rows].to(maps)  # type: ignore[index]
            elif way.strength == 1 and way.free is None and len(way.blend) == 1:
                return changed
            share = share * way.strength
            if way.free is not None:
                share = share * self._free.at(level, 0)[rows].to(maps)  # type: ignore[index]
            out += share * changed
            left = left - share
        return out + left * (transforms.apply(maps, self.back[level]) if level in self.back else maps)

    @cached_property
    def _shares(self) -> Regions:
        assert self.way.painted is not None
        return Regions({n: one[None] for n, one in enumerate(self.way.painted)})

    @cached_property
    def _free(self) -> Regions:
        assert self.way.free is not None
        return Regions({0: self.way.free})


def padded(picture: Tensor) -> Tensor:
    """A picture C×H×W continued by reflection at its right and lower edge to whole positions of the deepest maps."""
    height, width = picture.shape[-2:]
    rows = reflected(height, GRID, picture.device)[GRID : GRID + -(-height // GRID) * GRID]
    columns = reflected(width, GRID, picture.device)[GRID : GRID + -(-width // GRID) * GRID]
    return picture.index_select(-2, rows).index_select(-1, columns)


def _strips(height: int, rows: int) -> Iterator[tuple[int, int]]:
    for first in range(0, height, rows):
        yield first, min(first + rows, height)


def _times(shape: Sequence[int], factor: int) -> tuple[int, int]:
    return shape[0] * factor, shape[1] * factor
