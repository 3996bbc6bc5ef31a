"""What a loss is made of: the looks it wants, what was seen for it, and the terms it becomes.

A loss has two phases. `wants(recipe)` lists what it has to see, of the result, of the content and of every style
picture. The network looks once for all losses; then `build(seen)` makes terms of what was seen. A term holds its
targets and gives one scalar, and `tiles` can take each kind apart without changing its value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from impasto.network.looks import Look
from impasto.network.regions import ALL, Regions
from impasto.recipe import Recipe

__all__ = [
    "Family",
    "LookTerm",
    "PixelTerm",
    "RowsTerm",
    "Seen",
    "Term",
    "View",
    "at_least",
    "counted",
    "energy",
    "total",
    "wide",
]


@dataclass(frozen=True)
class View:
    """A painting, or a copy of it, as it is looked for places: pixels 3×H×W, what was seen, what of it counts."""

    pixels: Tensor
    seen: dict[Look, Tensor]
    regions: Regions = ALL


@dataclass(frozen=True)
class Seen:
    """What the terms of one level are built from.

    `pixels` and `paintings`: the content and the style pictures, RGB 0…1, 3×H×W, at the level's size. `content`, for
    each style picture `styles`, and `mix`, the picture that is matched: what was seen of it, by look. `blend`: w_i of
    eq. 6. `area`: pixels of the full size over pixels of this level. `regions`: those of the result, of which `region`
    is that of each style; `style_regions`: what counts of each style; `copies` of each, where places are looked for as
    well. `visible`: how far each pixel of the content counts, as region 0. `apart`: whether each layer is matched for
    itself.
    """

    recipe: Recipe
    pixels: Tensor
    paintings: tuple[Tensor, ...]
    content: Mapping[Look, Tensor]
    styles: tuple[dict[Look, Tensor], ...]
    mix: dict[Look, Tensor]  # a loss that alone has asked for a map may take it out, as it may from `styles`
    blend: tuple[float, ...]
    area: float
    regions: Regions = ALL
    region: tuple[int, ...] = ()
    style_regions: tuple[Regions, ...] = ()
    copies: tuple[tuple[View, ...], ...] = ()
    visible: Regions = ALL
    apart: bool = False

    def pixel_weights(self) -> Tensor | None:
        """How far each pixel of the content counts, 1×H×W, as `pixels`; None: all alike."""
        mask = self.visible.masks.get(0)
        return None if mask is None else mask.to(self.pixels)

    def views(self) -> list[list[View]]:
        """Of each style itself and its copies."""
        copies = self.copies or ((),) * len(self.styles)
        own = zip(self.paintings, self.styles, self.style_regions, strict=True)
        return [[View(*one), *several] for one, several in zip(own, copies, strict=True)]

    def shares(self, layer: str) -> list[tuple[int, int, float]]:
        """What is compared at a layer: a region, a style by its number, and how much that counts.

        Σ_r (M_r/M) of the regions' styles, or w_i where all share one region; left out is what is nearly empty there.
        M are the visible positions, which a content term compares as well.
        """
        found = []
        visible = self.visible.share(layer, 0)
        for number, (region, own) in enumerate(zip(self.region, self.style_regions, strict=True)):
            share = self.regions.share(layer, region) * (1.0 if region else self.blend[number])
            if share and visible and own.share(layer, 0):
                found.append((region, number, share / visible))
        return found


@dataclass(frozen=True)
class PixelTerm:
    """A summand of eq. 5, `weight` · `value(pixels)`; pixels are RGB 0…1, 3×H×W."""

    name: str
    weight: float
    value: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class RowsTerm:
    """A summand of eq. 5 that is a sum over positions: `value(look, F, rows)` is the part of these rows of a map."""

    name: str
    weight: float
    looks: tuple[Look, ...]
    value: Callable[[Look, Tensor, slice], Tensor]


@dataclass(frozen=True)
class LookTerm:
    """A summand of eq. 5, `weight` · `value(seen)`: of moments or whole maps of the result, by look.

    A term may follow the picture: after every `every` evaluations `renew(seen)` makes its targets anew from what is
    seen of the picture then, and the optimiser starts from there. 0: the targets stand.
    """

    name: str
    weight: float
    looks: tuple[Look, ...]
    value: Callable[[Mapping[Look, Tensor]], Tensor]
    every: int = 0
    renew: Callable[[Mapping[Look, Tensor]], None] = lambda _: None


Term = PixelTerm | RowsTerm | LookTerm


class Family(Protocol):
    """A module of `losses`: one kind of loss."""

    def wants(self, recipe: Recipe) -> Iterable[Look]:
        """What has to be seen; nothing where the recipe gives it no weight."""

    def build(self, seen: Seen) -> Sequence[Term]:
        """The terms that the recipe asks for."""


def total(values: Iterable[Tensor]) -> Tensor:
    """The sum of scalars."""
    return torch.stack(list(values)).sum()


def wide(F: Tensor) -> Tensor:
    """In at least float32, as every loss is."""
    return F.to(torch.promote_types(F.dtype, torch.float32))


def energy(P: Tensor, weights: Tensor | None = None) -> float:
    """Σ m P² of a map N×h×w, m its positions' weights h×w; without any Σ P², and no copy in float32."""
    dtype = torch.promote_types(P.dtype, torch.float32)
    if weights is not None:
        return (P.to(dtype).square().sum(0) * weights).sum().item()
    return float(torch.linalg.vector_norm(P, dtype=dtype).item() ** 2)


def counted(P: Tensor, weights: Tensor | None = None) -> float:
    """How many values of a map N×h×w count: N Σ m, at least 1; without weights all of them."""
    return float(P.numel()) if weights is None else max(1.0, len(P) * weights.sum().item())


def at_least(norm: float, reference: Tensor) -> float:
    """A norm to divide by, never 0: a picture of one colour can silence a thin network's layer."""
    return max(norm, 1e-6 * reference.numel())
