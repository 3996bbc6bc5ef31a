"""What the paintings hold, block by block: a layer as a Markov random field (Li and Wand 2016, arXiv:1601.04589).

Each block of 3×3 positions of the result's maps is matched with the block of a painting that is most like it, and is to
become it. The match is made anew every so many evaluations; in between the targets stand. Blocks overlap: up to nine of
them cover a position, and what these ask of it together is, up to a constant, their mean. So the loss between two
matches is one pass over the map.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, unfold

from impasto.layers import resolve
from impasto.losses.gaussians import exact
from impasto.losses.matching import assign, divide, nearest, thinned
from impasto.losses.terms import LookTerm, Seen, Term, at_least, total, wide
from impasto.network.looks import Look
from impasto.recipe import Recipe

__all__ = ["build", "patch_loss", "wants"]

SIDE = 3  # positions: of a block
OFFSETS = [(down, across) for down in range(SIDE) for across in range(SIDE)]
CANDIDATES = 16_384  # blocks of each painting that are looked through
WINDOW = 16  # blocks: side of the pieces that are looked through of a painting which has more
PRODUCTS = 2**24  # of two positions, held at a time
TINY = 1e-12


def patch_loss(F: Tensor, A: Tensor) -> Tensor:
    """E_mrf = Σ_i |Ψ_i(F) − Ψ_NN(i)(A)|²; Ψ are the 3×3 blocks of F, N×H×W, and of A, N×H'×W', NN(i) the most similar.

    Similar by the cosine of two blocks; the match counts as fixed in the gradient. 0 where a side is under 3. Holds all
    blocks at once, which is for small maps. Source: Li and Wand 2016 (arXiv:1601.04589), eqs 2 and 3.

    >>> patch_loss(torch.ones(1, 3, 4), torch.full((1, 3, 3), 3.0)).item()
    72.0
    """
    if min(*F.shape[1:], *A.shape[1:]) < SIDE:
        return 0 * wide(F).sum()
    ours, theirs = (unfold(wide(maps)[None], SIDE)[0] for maps in (F, A))
    return (ours - theirs[:, nearest(ours.detach(), theirs, centered=False)[0]]).square().sum()


def wants(recipe: Recipe) -> list[Look]:
    """Whole maps of every painting and of the result."""
    if not recipe.style_losses().get("patches"):
        return []
    return [Look(name, "map", whose) for whose in ("style", "result") for name in resolve(recipe.patch_layer)]


def build(seen: Seen) -> list[Term]:
    """One term over all layers, whose targets follow the picture."""
    recipe = seen.recipe
    strength = recipe.style_losses().get("patches", 0.0)
    if not strength:
        return []
    weights = resolve(recipe.patch_layer)
    looks = {name: Look(name, "map") for name in weights}
    paintings = {
        name: [
            [Blocks(v.seen[Look(name, "map", "style")], recipe.seed, v.regions.at(name, 0)) for v in views]
            for views in seen.views()
        ]
        for name in weights
    }
    parts = {name: _parts(seen, name) for name in weights}
    visible = {name: _visible(seen, name) for name in weights}
    targets: dict[str, Target] = {}
    # The pictures and maps of `seen` are not held on to.
    blend, area, relative = seen.blend, seen.area, recipe.units == "relative"

    def renew(F: Mapping[Look, Tensor]) -> None:
        for name, look in looks.items():
            targets[name] = Target(wide(F[look]), paintings[name], blend, parts[name], visible[name])

    def value(F: Mapping[Look, Tensor]) -> Tensor:
        parts = []
        for name, look in looks.items():
            target = targets[name]
            scale = 1 / target.norm if relative else area
            parts.append(weights[name] * scale * target.distance(wide(F[look])))
        return total(parts)

    own = tuple(looks.values())
    return [LookTerm("patches", recipe.style_weight * strength, own, value, every=recipe.match_every, renew=renew)]


class Blocks:
    """The blocks of a painting's map that are looked through: those of K windows of it, N×K×a×b.

    `lengths`: |Ψ_j|, K×(a−2)×(b−2); empty for a map too small for a block.
    """

    def __init__(self, A: Tensor, seed: int = 0, weights: Tensor | None = None) -> None:
        """All blocks of A, N×h×w, or those of some windows, by chance, where there are too many.

        `weights`, h×w: what counts of it; a block is looked through where at least half as much counts as anywhere.
        """
        exact = torch.promote_types(A.dtype, torch.float32)
        counted = A.new_ones(1, *A.shape[1:], dtype=exact) if weights is None else weights[None].to(A.device, exact)
        down, across = (side - SIDE + 1 for side in A.shape[1:])
        if min(down, across) > 0 and down * across > CANDIDATES:
            tall, broad = min(WINDOW, down), min(WINDOW, across)
            corners = [(y, x) for y in range(0, down - tall + 1, tall) for x in range(0, across - broad + 1, broad)]
            kept = thinned(len(corners), max(1, CANDIDATES // (tall * broad)), seed).tolist()
            A, counted = (
                torch.stack(
                    [F[:, y:, x:][:, : tall + SIDE - 1, : broad + SIDE - 1] for y, x in (corners[k] for k in kept)], 1
                )
                for F in (A, counted)
            )
            self.windows, counted = wide(A), counted[0]
        else:
            self.windows = wide(A)[:, None]
        self.lengths = _lengths(self.windows)
        self.counted = avg_pool2d(counted, SIDE, 1) if self.lengths.numel() else self.lengths
        if self.lengths.numel():
            self.counted = self.counted >= self.counted.max() / 2

    def nearest(self, F: Tensor) -> tuple[Tensor, Tensor]:
        """For each block of F, N×h×w, row by row, the most similar one: its number in `lengths`, and the cosine.

        The product of two blocks is a sum of nine products of positions, each of which serves nine pairs of blocks. The
        whole matrix of similarities is never held.
        """
        inverse = self.counted / self.lengths.clamp_min(TINY)
        # Few windows at a time, so that many rows go together: of these two are worked twice.
        several = max(1, PRODUCTS // (F.shape[2] * (WINDOW + SIDE - 1) * self.windows[0, 0].numel()))
        groups = list(zip(torch.split(self.windows, several, 1), torch.split(inverse, several), strict=True))
        rows = max(1, PRODUCTS // (F.shape[2] * groups[0][0][0].numel()) - SIDE + 1)
        space = F.new_empty(2, min(rows + SIDE - 1, F.shape[1]) * F.shape[2] * groups[0][0][0].numel())
        found = []
        for first in range(0, F.shape[1] - SIDE + 1, rows):
            part = F[:, first : first + rows + SIDE - 1]
            best = [_most_similar(part, *group, space) for group in groups]
            value, group = torch.stack([value for value, _ in best]).max(0)
            index = torch.stack([index for _, index in best]).gather(0, group[None])[0]
            found.append((value, index + group * groups[0][1].numel()))
        cosines = torch.cat([value for value, _ in found]) / _lengths(F).clamp_min(TINY)
        return torch.cat([index for _, index in found]).flatten(), cosines.flatten()

    def begins(self, numbers: Tensor) -> Tensor:
        """The positions where blocks of these numbers begin, all windows' positions counted through."""
        positions = torch.arange(self.windows[0].numel(), device=numbers.device).view(self.windows.shape[1:])
        return positions[:, : 1 - SIDE, : 1 - SIDE].flatten()[numbers]


class Target:
    """What matched blocks ask of F, N×h×w: Σ_i |Ψ_i(F) − Ψ_NN(i)|² = Σ_p n_p |F_p − T_p|² + spread.

    n_p is the number of blocks that cover a position, T_p the mean of what they have there. `norm`: the sum that F = 0
    would have, if the blocks were taken from all over the paintings alike; it does not depend on the match.
    """

    def __init__(
        self,
        F: Tensor,
        paintings: Sequence[Sequence[Blocks]],
        shares: Sequence[float],
        parts: Tensor | None = None,
        visible: float | None = None,
    ) -> None:
        """Match; of the blocks of F, painting i, as one of its copies, serves about its share.

        `parts`, K×(h−2)×(w−2): in place of the shares, what each painting has of every block. `visible`: how many of
        the blocks count, by default all.
        """
        self.mean, self.count = torch.zeros_like(F), torch.zeros_like(F[0])
        self.spread, self.norm = 0.0, max(TINY, at_least(0.0, F))
        copies = [[blocks for blocks in several if blocks.lengths.numel()] for several in paintings]
        able = [number for number, several in enumerate(copies) if several and shares[number]]
        size = (F.shape[1] - SIDE + 1, F.shape[2] - SIDE + 1)
        if not able or min(size) < 1:
            return
        own = [shares[number] / sum(shares[n] for n in able) for number in able]
        found = [[blocks.nearest(F) for blocks in copies[number]] for number in able]
        best = [torch.stack([cosines for _, cosines in several]).max(0) for several in found]
        cosines = torch.stack([one.values for one in best])
        cover = torch.ones_like(F[0, : size[0], : size[1]])
        if parts is None:
            whose = assign(cosines, own)
        else:
            cover = parts[able].sum(0).to(F)
            whose = divide(cosines, parts[able].flatten(1))
        columns = torch.cat([blocks.windows.flatten(1) for number in able for blocks in copies[number]], 1)
        first, stride, squares = torch.zeros_like(whose), torch.zeros_like(whose), torch.zeros_like(cosines[0])
        offset = 0
        for number, several in enumerate(found):
            for copy, (index, _) in enumerate(several):
                blocks, mine = copies[able[number]][copy], (whose == number) & (best[number].indices == copy)
                taken = index[mine]
                first[mine] = blocks.begins(taken) + offset
                stride[mine] = blocks.windows.shape[3]
                squares[mine] = blocks.lengths.flatten()[taken].square()
                offset += blocks.windows[0].numel()
        for down, across in OFFSETS:
            place = (slice(down, down + size[0]), slice(across, across + size[1]))
            self.mean[:, *place] += cover * columns[:, first + down * stride + across].view(-1, *size)
            self.count[place] += cover
        self.mean /= self.count.clamp_min(TINY)
        held = exact(self.mean.square().sum(0)) * exact(self.count)
        self.spread = max(0.0, ((exact(squares) * exact(cover).flatten()).sum() - held.sum()).item())
        energy = sum(w * copies[n][0].lengths.square().mean().item() for w, n in zip(own, able, strict=True))
        self.norm = max(self.norm, (whose.numel() if visible is None else visible) * energy)

    def distance(self, F: Tensor) -> Tensor:
        """The sum over all blocks of F, as it stands."""
        return (self.count * (F - self.mean).square()).sum() + self.spread


def _most_similar(F: Tensor, windows: Tensor, inverse: Tensor, space: Tensor) -> tuple[Tensor, Tensor]:
    """For each block of F, N×h×w, the largest ⟨Ψ_i, Ψ_j⟩ · `inverse`_j of the windows' blocks, and its number.

    `space`, 2×n: where n products and their sums are put, so that no gaps are left between buffers of many sizes.
    """
    h, w, several, a, b = *F.shape[1:], *windows.shape[1:]
    ours, theirs = F.flatten(1).T, windows.flatten(1)
    products = torch.mm(ours, theirs, out=_part(space[0], len(ours), theirs.shape[1])).view(h, w, several, a, b)
    column = _part(space[1], h - 2, w, several, a - 2, b)
    torch.add(products[:-2, :, :, :-2], products[1:-1, :, :, 1:-1], out=column)
    column += products[2:, :, :, 2:]
    block = _part(space[0], h - 2, w - 2, several, a - 2, b - 2)  # the products have been used
    torch.add(column[:, :-2, ..., :-2], column[:, 1:-1, ..., 1:-1], out=block)
    block += column[:, 2:, ..., 2:]
    value, index = block.mul_(inverse).flatten(2).max(2)
    return value, index


def _part(space: Tensor, *shape: int) -> Tensor:
    """The beginning of a buffer in a shape."""
    return space[: math.prod(shape)].view(shape)


def _parts(seen: Seen, name: str) -> Tensor | None:
    """What each painting has of every block of a layer, K×(h−2)×(w−2); None where all of them count everywhere."""
    if not seen.regions:
        return None
    parts = []
    for region, share in zip(seen.region, seen.blend, strict=True):
        weights = seen.regions.at(name, region)
        if weights is None or min(weights.shape) < SIDE:
            return None
        parts.append(avg_pool2d(weights[None], SIDE, 1)[0] * (1.0 if region else share))
    return torch.stack(parts)


def _visible(seen: Seen, name: str) -> float | None:
    """How many blocks of a layer count, by how far each is visible; None where all are."""
    weights = seen.visible.at(name, 0)
    return None if weights is None or min(weights.shape) < SIDE else avg_pool2d(weights[None], SIDE, 1).sum().item()


def _lengths(maps: Tensor) -> Tensor:
    """|Ψ| of the blocks of maps, N×…×h×w, as …×(h−2)×(w−2)."""
    squares = maps.square().sum(0)
    size = [max(0, side - SIDE + 1) for side in squares.shape[-2:]]
    parts = (squares[..., down : down + size[0], across : across + size[1]] for down, across in OFFSETS)
    return torch.stack(list(parts)).sum(0).sqrt()
