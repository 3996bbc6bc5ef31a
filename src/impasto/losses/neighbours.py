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
from impasto.losses.matching import assign, directions, divide, most_similar, thinned
from impasto.losses.terms import RowsTerm, Seen, Term, View, at_least, wide
from impasto.network.looks import Look, cells
from impasto.network.regions import Regions
from impasto.recipe import Recipe

__all__ = ["build", "wants", "wants_apart"]

STEP = 4  # px: side of a place
FINE = 2  # px: the same where each layer is matched for itself, or a position of the layer where that is larger
CANDIDATES = 16_384  # places of each painting that are looked through
ROWS = 2**13  # places that are matched at a time
CHANNELS = 32  # of a layer whose targets are made at a time

Seeing = Mapping[Look, Tensor]


def wants(recipe: Recipe) -> list[Look]:
    """The layers on a grid of places: of the picture to match, of every painting, and of the result."""
    if not recipe.style_losses().get("neighbours"):
        return []
    return _looks(recipe, STEP)


def wants_apart(recipe: Recipe) -> list[Look]:
    """The same where each layer is matched for itself, on a finer grid."""
    return _looks(recipe, FINE) if recipe.style_losses().get("neighbours") else []


def _looks(recipe: Recipe, step: int) -> list[Look]:
    layers = resolve(recipe.match_layer)
    maps = [Look(name, "map", whose, step=step) for whose in ("mix", "style") for name in layers]
    return [*maps, *(Look(name, "rows", step=step) for name in layers)]


def build(seen: Seen) -> list[Term]:
    """One term over all layers."""
    recipe = seen.recipe
    strength = recipe.style_losses().get("neighbours", 0.0)
    if not strength:
        return []
    weights, step = resolve(recipe.match_layer), FINE if seen.apart else STEP
    looked = {name: Look(name, "map", "mix", step=step) for name in weights}
    if seen.apart:  # one after the other, and what has been seen of it is let go
        targets = {
            name: _targets(seen, {name: w}, {name: seen.mix.pop(looked[name])}, max(FINE, scale_of(name)))[name]
            for name, w in weights.items()
        }
    else:
        targets = _targets(seen, weights, {name: seen.mix[look] for name, look in looked.items()}, STEP)
    # Each layer over its number of channels, and as often as one of its positions covers places.
    area = {name: (max(step, scale_of(name)) / STEP) ** 2 for name in weights}
    share = {name: w * area[name] / len(targets[name]) ** 2 for name, w in weights.items()}
    visible = {name: _visible(seen, name, step) for name in weights}
    energy = sum(share[name] * T.square().mul_(visible[name]).sum().item() for name, T in targets.items())
    least = sum(share[name] * at_least(0.0, T) for name, T in targets.items())
    scale = 1 / max(energy, least) if recipe.units == "relative" else seen.area

    def value(look: Look, F: Tensor, rows: slice) -> Tensor:
        distance = (wide(F) - targets[look.layer][:, rows]).square()
        m = visible[look.layer]
        counted = distance if isinstance(m, float) else distance * m[rows]
        return share[look.layer] * scale * counted.sum()

    looks = tuple(Look(name, "rows", step=step) for name in weights)
    return [RowsTerm("neighbours", recipe.style_weight * strength, looks, value)]


def _visible(seen: Seen, name: str, step: int) -> Tensor | float:
    """How far each place of a layer's map counts, h×w; 1 where all of them do."""
    weights = seen.visible.at(name, 0)
    return 1.0 if weights is None else cells(weights[None], Look(name, "rows", step=step).side)[0]


def _targets(seen: Seen, weights: Mapping[str, float], maps: Mapping[str, Tensor], step: int) -> dict[str, Tensor]:
    """What these layers, seen together, are to become, each like its map; in places of `step` pixels."""
    ours = {name: maps[name] for name in weights}
    size = _size(seen.pixels, step)
    theirs = [_candidates(views, weights, step, seen) for views in seen.views()]
    parts = _parts(seen, step) if seen.regions else None
    taken = _match(ours, theirs, size, step, weights, blend=seen.blend if parts is None else parts)
    found = {}
    for name, F in ours.items():
        columns = torch.cat([one.pop(name) for one in theirs], 1)
        found[name] = T = _own(columns, taken, size, F, _side(name, step))
        if parts is not None:  # where no painting counts, the picture stays what it was matched as
            everywhere = torch.arange(size[0] * size[1], device=taken.device)
            cover = _own(parts.sum(0, keepdim=True), everywhere, size, F, _side(name, step))
            T.copy_(torch.lerp(wide(F), T, cover))
    return found


def _candidates(views: Sequence[View], weights: Mapping[str, float], step: int, seen: Seen) -> dict[str, Tensor]:
    """Places of a painting and its copies that may be taken, at most CANDIDATES: by layer what it sees there, N×Q."""
    sizes = [_size(view.pixels, step) for view in views]
    counted = [_counted(view.regions, size, step) for view, size in zip(views, sizes, strict=True)]
    chosen = torch.zeros(sum(map(len, counted)), dtype=torch.bool)
    chosen[thinned(len(chosen), CANDIDATES, seen.recipe.seed)] = True
    found: dict[str, list[Tensor]] = {name: [] for name in weights}
    for view, size, places, mine in zip(
        views, sizes, counted, torch.split(chosen, [len(c) for c in counted]), strict=True
    ):
        for name in weights:
            look = Look(name, "map", "style", step=FINE if seen.apart else STEP)
            F = view.seen.pop(look) if seen.apart else view.seen[look]
            found[name].append(_at(F, places[mine].to(F.device), size, _side(name, step)))
    return {name: torch.cat(parts, 1) for name, parts in found.items()}


def _match(
    ours: Mapping[str, Tensor],
    theirs: Sequence[Mapping[str, Tensor]],
    size: tuple[int, int],
    step: int,
    weights: Mapping[str, float],
    *,
    blend: Sequence[float] | Tensor,
) -> Tensor:
    """For each place, row by row, which column of all paintings' candidates, one beside the other, it takes.

    `blend`: the share of each painting in all places, or its part of each place, K×P.
    """
    channels = [len(F) for F in ours.values()]
    scale = torch.cat([torch.full((n, 1), weights[name] ** 0.5 / n) for name, n in zip(ours, channels, strict=True)])
    first = next(iter(theirs[0].values()))
    scale = scale.to(first.device)
    cover = blend.sum(0) if isinstance(blend, Tensor) else torch.ones(size[0] * size[1], device=scale.device)
    places = [(rows, slice(rows.start * size[1], rows.stop * size[1])) for rows in _strips(size)]
    total = sum(_columns(ours, size, step, rows) @ cover[own, None].to(first) for rows, own in places)
    mean = total / cover.sum().clamp_min(1e-6)
    offset, indices, cosines = 0, [], []
    for candidates in theirs:
        columns = torch.cat(list(candidates.values()))
        columns = directions(columns.sub_(columns.mean(1, keepdim=True)).mul_(scale))
        found = [
            most_similar(directions(_columns(ours, size, step, rows).sub_(mean).mul_(scale)), columns)
            for rows, _ in places
        ]
        indices.append(torch.cat([index for index, _ in found]) + offset)
        cosines.append(torch.cat([cosine for _, cosine in found]))
        offset += columns.shape[1]
    if len(theirs) == 1:
        return indices[0]
    similarity = torch.stack(cosines)
    whose = divide(similarity, blend) if isinstance(blend, Tensor) else assign(similarity, blend)
    return torch.stack(indices).gather(0, whose[None])[0]


def _size(pixels: Tensor, step: int) -> tuple[int, int]:
    """Places of a picture, down and across; what is left at the far edges is a place as well."""
    return -(-pixels.shape[1] // step), -(-pixels.shape[2] // step)


def _counted(regions: Regions, size: tuple[int, int], step: int) -> Tensor:
    """The places of a painting that count, by number."""
    if not regions:
        return torch.arange(size[0] * size[1])
    counted = cells(regions.masks[0], step).flatten()
    return torch.nonzero(counted >= counted.max() / 2).flatten()


def _parts(seen: Seen, step: int) -> Tensor:
    """The part of each painting in every place, K×P."""
    own = {region: cells(mask, step).flatten() for region, mask in seen.regions.masks.items()}
    return torch.stack([own[r] * (1.0 if r else b) for r, b in zip(seen.region, seen.blend, strict=True)])


def _strips(size: tuple[int, int]) -> list[slice]:
    """Rows of places, a bearable number at a time."""
    height = max(1, ROWS // size[1])
    return [slice(first, min(first + height, size[0])) for first in range(0, size[0], height)]


def _side(name: str, step: int) -> int:
    """Places along one position of a layer."""
    return max(1, scale_of(name) // step)


def _columns(maps: Mapping[str, Tensor], size: tuple[int, int], step: int, rows: slice | None = None) -> Tensor:
    """Hypercolumns of these rows of places, D×P; a position that covers several places is in each of them."""
    rows = rows or slice(0, size[0])
    parts = []
    for name, F in maps.items():
        down = torch.arange(rows.start, rows.stop, device=F.device) // _side(name, step)
        across = torch.arange(size[1], device=F.device) // _side(name, step)
        part = F[:, down.clamp_max(F.shape[1] - 1)][:, :, across.clamp_max(F.shape[2] - 1)]
        parts.append(wide(part).flatten(1))
    return torch.cat(parts)


def _at(F: Tensor, places: Tensor, size: tuple[int, int], side: int) -> Tensor:
    """What a layer sees at these places, by number: N×P."""
    down = (places // size[1] // side).clamp_max(F.shape[1] - 1)
    across = (places % size[1] // side).clamp_max(F.shape[2] - 1)
    return wide(F[:, down, across])


def _own(columns: Tensor, taken: Tensor, size: tuple[int, int], F: Tensor, side: int) -> Tensor:
    """What places ask of a layer, columns N×Q of which each has `taken` one, as a map like F, N×h×w.

    The mean where a position covers several places.
    """
    down, across = (
        torch.arange(count * side, device=F.device).clamp_max(places - 1)
        for count, places in zip(F.shape[1:], size, strict=True)
    )
    places = taken.view(size)[down][:, across]
    found = columns.new_empty(len(columns), *F.shape[1:])
    for own, part in zip(torch.split(found, CHANNELS), torch.split(columns, CHANNELS), strict=True):
        own.copy_(cells(part[:, places], side))
    return found
