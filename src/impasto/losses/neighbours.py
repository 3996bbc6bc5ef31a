"""What the paintings hold, place by place: nearest-neighbour features (Kolkin et al. 2022, arXiv:2203.13215).

Each place of the picture, a cell of STEP×STEP pixels, is matched once a level with the place of a painting that is most
like it, under the cosine of hypercolumns: several layers, each over its number of channels, one above the other. What
the layers see at that place of the painting is then the target. The distance is the squared one, relative to the
targets' own squares: unlike the cosine it sees contrast, and it falls apart into a sum over layers and positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from impasto.layers import resolve, scale_of
from impasto.losses.matching import assign, divide, nearest, thinned
from impasto.losses.terms import RowsTerm, Seen, Term, View, at_least, wide
from impasto.network.looks import Look, cells
from impasto.network.regions import Regions
from impasto.recipe import Recipe

__all__ = ["build", "wants"]

STEP = 4  # px: side of a place
CANDIDATES = 16_384  # places of each painting that are looked through
ROWS = 2**15  # places that are matched at a time

Seeing = Mapping[Look, Tensor]


def wants(recipe: Recipe) -> list[Look]:
    """The layers on a grid of places: of the picture to match, of every painting, and of the result."""
    if not recipe.style_losses().get("neighbours"):
        return []
    layers = resolve(recipe.match_layer)
    maps = [Look(name, "map", whose, step=STEP) for whose in ("mix", "style") for name in layers]
    return [*maps, *(Look(name, "rows", step=STEP) for name in layers)]


def build(seen: Seen) -> list[Term]:
    """One term over all layers."""
    recipe = seen.recipe
    strength = recipe.style_losses().get("neighbours", 0.0)
    if not strength:
        return []
    weights = resolve(recipe.match_layer)
    size = _size(seen.pixels)
    ours = {name: seen.mix[Look(name, "map", "mix", step=STEP)] for name in weights}
    theirs = [_candidates(views, weights, recipe.seed) for views in seen.views()]
    parts = _parts(seen, size) if seen.regions else None
    shares = seen.blend if parts is None else parts
    targets = {}
    for group in [[name] for name in weights] if seen.apart else [list(weights)]:
        own = {name: ours[name] for name in group}
        several = [{name: columns[name] for name in group} for columns in theirs]
        taken = _match(own, [torch.cat(list(columns.values())) for columns in several], size, shares, weights)
        for name, F in own.items():
            columns = torch.cat([one[name] for one in several], 1)
            targets[name] = _own(columns[:, taken], size, F, _side(name))
    if parts is not None:  # where no painting counts, the picture stays what it was matched as
        cover = parts.sum(0, keepdim=True)
        for name, T in targets.items():
            T.copy_(torch.lerp(wide(ours[name]), T, _own(cover, size, ours[name], _side(name))))
    # Each layer over its number of channels, and as often as one of its positions covers places.
    share = {name: w * _side(name) ** 2 / len(targets[name]) ** 2 for name, w in weights.items()}
    energy = sum(share[name] * T.square().sum().item() for name, T in targets.items())
    least = sum(share[name] * at_least(0.0, T) for name, T in targets.items())
    scale = 1 / max(energy, least) if recipe.units == "relative" else seen.area

    def value(look: Look, F: Tensor, rows: slice) -> Tensor:
        distance = (wide(F) - targets[look.layer][:, rows]).square().sum()
        return share[look.layer] * scale * distance

    looks = tuple(Look(name, "rows", step=STEP) for name in weights)
    return [RowsTerm("neighbours", recipe.style_weight * strength, looks, value)]


def _candidates(views: Sequence[View], weights: Mapping[str, float], seed: int) -> dict[str, Tensor]:
    """Places of a painting and its copies that may be taken, at most CANDIDATES: by layer what it sees there, N×Q."""
    sizes = [_size(view.pixels) for view in views]
    counted = [_counted(view.regions, size) for view, size in zip(views, sizes, strict=True)]
    chosen = torch.zeros(sum(map(len, counted)), dtype=torch.bool)
    chosen[thinned(len(chosen), CANDIDATES, seed)] = True
    found: dict[str, list[Tensor]] = {name: [] for name in weights}
    for view, size, places, mine in zip(
        views, sizes, counted, torch.split(chosen, [len(c) for c in counted]), strict=True
    ):
        for name in weights:
            F = view.seen[Look(name, "map", "style", step=STEP)]
            found[name].append(_columns({name: F}, size)[:, places.to(F.device)[mine.to(F.device)]])
    return {name: torch.cat(parts, 1) for name, parts in found.items()}


def _match(
    ours: Mapping[str, Tensor],
    theirs: Sequence[Tensor],
    size: tuple[int, int],
    blend: Sequence[float] | Tensor,
    weights: Mapping[str, float],
) -> Tensor:
    """For each place, row by row, which column of all paintings' candidates, one beside the other, it takes.

    `blend`: the share of each painting in all places, or its part of each place, K×P.
    """
    channels = [len(F) for F in ours.values()]
    scale = torch.cat([torch.full((n, 1), weights[name] ** 0.5 / n) for name, n in zip(ours, channels, strict=True)])
    scale = scale.to(theirs[0].device)
    cover = blend.sum(0) if isinstance(blend, Tensor) else torch.ones(size[0] * size[1], device=scale.device)
    places = [(rows, slice(rows.start * size[1], rows.stop * size[1])) for rows in _strips(size)]
    total = sum(_columns(ours, size, rows) @ cover[own, None].to(theirs[0]) for rows, own in places)
    mean = total / cover.sum().clamp_min(1e-6)
    offset, indices, cosines = 0, [], []
    for candidates in theirs:
        columns = scale * (candidates - candidates.mean(1, keepdim=True))
        found = [nearest(scale * (_columns(ours, size, rows) - mean), columns, centered=False) for rows, _ in places]
        indices.append(torch.cat([index for index, _ in found]) + offset)
        cosines.append(torch.cat([cosine for _, cosine in found]))
        offset += candidates.shape[1]
    if len(theirs) == 1:
        return indices[0]
    similarity = torch.stack(cosines)
    whose = divide(similarity, blend) if isinstance(blend, Tensor) else assign(similarity, blend)
    return torch.stack(indices).gather(0, whose[None])[0]


def _size(pixels: Tensor) -> tuple[int, int]:
    """Places of a picture, down and across; what is left at the far edges is a place as well."""
    return -(-pixels.shape[1] // STEP), -(-pixels.shape[2] // STEP)


def _counted(regions: Regions, size: tuple[int, int]) -> Tensor:
    """The places of a painting that count, by number."""
    if not regions:
        return torch.arange(size[0] * size[1])
    counted = cells(regions.masks[0], STEP).flatten()
    return torch.nonzero(counted >= counted.max() / 2).flatten()


def _parts(seen: Seen, size: tuple[int, int]) -> Tensor:
    """The part of each painting in every place, K×P."""
    own = {region: cells(mask, STEP).flatten() for region, mask in seen.regions.masks.items()}
    return torch.stack([own[r] * (1.0 if r else b) for r, b in zip(seen.region, seen.blend, strict=True)])


def _strips(size: tuple[int, int]) -> list[slice]:
    """Rows of places, a bearable number at a time."""
    height = max(1, ROWS // size[1])
    return [slice(first, min(first + height, size[0])) for first in range(0, size[0], height)]


def _side(name: str) -> int:
    """Places along one position of a layer."""
    return max(1, scale_of(name) // STEP)


def _columns(maps: Mapping[str, Tensor], size: tuple[int, int], rows: slice | None = None) -> Tensor:
    """Hypercolumns of these rows of places, D×P; a position that covers several places is in each of them."""
    rows = rows or slice(0, size[0])
    parts = []
    for name, F in maps.items():
        down = torch.arange(rows.start, rows.stop, device=F.device) // _side(name)
        across = torch.arange(size[1], device=F.device) // _side(name)
        part = F[:, down.clamp_max(F.shape[1] - 1)][:, :, across.clamp_max(F.shape[2] - 1)]
        parts.append(wide(part).flatten(1))
    return torch.cat(parts)


def _own(columns: Tensor, size: tuple[int, int], F: Tensor, side: int) -> Tensor:
    """What places ask of a layer, N×P, as a map like F, N×h×w: the mean where a position covers several places."""
    down, across = (
        torch.arange(count * side, device=F.device).clamp_max(places - 1)
        for count, places in zip(F.shape[1:], size, strict=True)
    )
    return cells(columns.view(-1, *size)[:, down][:, :, across], side)
