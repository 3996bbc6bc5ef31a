"""The plain margin that scans and reproductions of paintings often carry; left on, the style paints it as a frame.

A margin has one colour, and ends at once along its whole side: that tells it from a sky, and from the plain ground of
a portrait, which the figure enters bit by bit. White, black and paper are the same here, with a scanner's noise and
what JPEG leaves at its end.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

__all__ = ["cut", "margins", "trim", "worded"]

Lines = tuple[int, int, int, int]  # at the top, bottom, left and right
SIDES = ("top", "bottom", "left", "right")
ACROSS = ((2, 3), (2, 3), (0, 1), (0, 1))  # the sides that meet each

MOST = 0.45  # share of a side that a margin may take; more is part of the painting
ALONE = 0.06  # the same where no other side has a margin of this colour: a sky with a straight horizon is deeper
STRIP = 128  # lines that are looked at at a time
ROUNDS = 3  # margins inside one another
PIECES = 48  # that a line is averaged in, which takes noise out of it
LEAST_PIECE, FEWEST = 4, 4  # px; pieces of a line that can be called plain
CLEAN, NOISY = 0.02, 0.06  # distance of a piece from the margin's colour that is still the margin, by its noise
DUST = 0.03  # share of a line that may be something else
END = (3, 16, 0.02)  # lines, from, to and as a share of the side, in which a margin must end
BLURRED = 3  # lines that the end of a margin may be blurred over
BEHIND = 0.06  # share of the side behind the end that must be something else as well
STRICT = (0.7, 0.5)  # shares of a line that must change at the end of a margin, and of what is behind it
LOOSE = (0.3, 0.3)  # the same for a side between two that have such a margin of its colour
ALIKE = 0.08  # distance of two margins' colours that makes them one
VARIED = 0.03  # spread of what is left below which it is no painting in a margin


@dataclass(frozen=True)
class _Edge:
    """One side: lines that are plain, their colour, and the distance from it that is another colour."""

    plain: int
    colour: Tensor
    apart: float


def margins(rgb: Tensor) -> Lines:
    """Lines of plain margin at the top, bottom, left and right of a picture, 3×H×W, 0…1; 0 where there is none.

    The line after the last plain one is counted with them, since resampling has mixed it.
    """
    whole, found = (rgb.shape[1], rgb.shape[2]), (0, 0, 0, 0)
    for _ in range(ROUNDS):
        inside = cut(rgb, found)
        more = _outermost(inside)
        both: Lines = tuple(a + b for a, b in zip(found, more, strict=True))  # type: ignore[assignment]
        if not any(more) or any(
            lines > MOST * side for lines, side in zip(both, (whole[0],) * 2 + (whole[1],) * 2, strict=True)
        ):
            break
        found = both
    return found


def trim(rgb: Tensor) -> Tensor:
    """The picture without its margins, 3×H'×W'."""
    return cut(rgb, margins(rgb))


def cut(picture: Tensor, lines: Lines) -> Tensor:
    """A picture C×H×W without so many lines at the top, bottom, left and right."""
    top, bottom, left, right = lines
    return picture[:, top : picture.shape[1] - bottom, left : picture.shape[2] - right]


def worded(lines: Lines, size: tuple[int, int]) -> str:
    """Margins of a picture of `size` (height, width) as people say it.

    >>> worded((8, 0, 3, 0), (100, 200))
    'top 8 %, left 1.5 %'
    """
    shares = [100 * n / side for n, side in zip(lines, (size[0], size[0], size[1], size[1]), strict=True)]
    return ", ".join(f"{name} {share:.2g} %" for name, share in zip(SIDES, shares, strict=True) if share)


def _outermost(rgb: Tensor) -> Lines:
    """The margins next to the edge."""
    views = [_View(rgb, side) for side in range(4)]
    edges = [_edge(view) for view in views]
    depths = [edge.plain for edge in edges]
    while any(depths):
        found = [_depth(views[side], side, edges, depths, STRICT) for side in range(4)]
        for side, (before, after) in enumerate(ACROSS):
            if (
                depths[side]
                and not found[side]
                and all(found[n] and _alike(edges[n], edges[side]) for n in (before, after))
            ):
                found[side] = _depth(views[side], side, edges, depths, LOOSE)
        if [depth > 0 for depth in found] == [depth > 0 for depth in depths]:
            depths = found
            break
        depths = [depth if now else 0 for depth, now in zip(depths, found, strict=True)]
    for side, depth in enumerate(depths):
        alone = not any(depths[n] and _alike(edges[n], edges[side]) for n in range(4) if n != side)
        if depth and alone and depth > ALONE * views[side].shape[1]:
            depths[side] = 0
    lines: Lines = (depths[0], depths[1], depths[2], depths[3])
    inside = cut(rgb, lines)
    return lines if any(lines) and inside.std(dim=(1, 2), correction=0).max() > VARIED else (0, 0, 0, 0)


class _View:
    """A picture, 3×H×W, seen with one of its sides at the top; turned a few lines at a time, never as a whole."""

    def __init__(self, rgb: Tensor, side: int) -> None:
        self.rgb, self.flipped = rgb.transpose(1, 2) if side > 1 else rgb, side % 2 == 1
        self.shape = self.rgb.shape

    def lines(self, first: int, end: int) -> Tensor:
        """Lines from the top, 3×n×W."""
        end = min(end, self.shape[1])
        if not self.flipped:
            return self.rgb[:, first:end]
        return self.rgb[:, self.shape[1] - end : self.shape[1] - first].flip(1)

    def pieces(self, end: int) -> Tensor:
        """`_pieces` of the lines before `end`."""
        return torch.cat([_pieces(self.lines(first, min(first + STRIP, end))) for first in range(0, end, STRIP)], 1)


def _edge(view: _View) -> _Edge:
    """What is plain at the top of a view, 3×H×W."""
    most = int(view.shape[1] * MOST) if view.shape[2] >= FEWEST * LEAST_PIECE else 0
    lines = view.pieces(min(most + 1, view.shape[1]))
    first = lines[:, :1]
    colour = first.flatten(1).median(dim=1).values[:, None, None]
    noise = first.std(dim=(1, 2), correction=0).max().item()
    near = min(max(CLEAN, 5 * noise), NOISY)
    away = ((lines - colour).abs().amax(0) > near).float().mean(1) > DUST
    away = torch.cat([away[:-1] & away[1:], away[-1:]])  # one line alone is noise, or a hair
    plain = (~away).tolist()
    return _Edge(plain.index(False) if False in plain else 0, colour, 1.5 * near + CLEAN)  # plain all the way: none


def _depth(view: _View, side: int, edges: list[_Edge], depths: list[int], shares: tuple[float, float]) -> int:
    """Lines of margin at the top of a view, 3×H×W; 0 where it does not end as a margin does.

    `depths`: those of all sides as they are thought to be, which say what of a line is inside. `shares` of a line
    that must change at the end, and of what is behind it.
    """
    step, rest = shares
    if not depths[side]:
        return 0
    edge, height = edges[side], view.shape[1]
    before, after = ACROSS[side]
    least, most, share = END
    window = max(least, min(most, height // 12), round(share * height))
    behind = max(least + BLURRED, round(BEHIND * height))
    inside = view.lines(edge.plain, edge.plain + window + behind)[..., depths[before] : view.shape[2] - depths[after]]
    away = (_pieces(inside) - edge.colour).abs().amax(0)
    other = (away > edge.apart).float().mean(1)
    reached = other[:window].max().item()
    if reached < step:
        return 0
    end = int(torch.nonzero(other[:window] >= 0.9 * reached)[0])
    if other[end : end + behind].mean() < rest:
        return 0
    # Where the end is blurred, lines are mixed of margin and painting: plain still, and not like what is behind them.
    mixed = inside[:, end : end + BLURRED]
    away = (mixed.mean(2) - inside[:, end + BLURRED :].mean((1, 2))[:, None]).abs().amax(0)
    still = ((mixed.std(2, correction=0).amax(0) < NOISY) & (away > ALIKE)).tolist()
    return edge.plain + end + (still.index(False) if False in still else 0) + 1


def _pieces(lines: Tensor) -> Tensor:
    """Lines 3×h×w in a few pieces each, their means: 3×h×n."""
    count = max(1, min(PIECES, lines.shape[2] // LEAST_PIECE))
    return adaptive_avg_pool2d(lines[None], (lines.shape[1], count))[0]


def _alike(one: _Edge, other: _Edge) -> bool:
    return bool((one.colour - other.colour).abs().max() < ALIKE)
