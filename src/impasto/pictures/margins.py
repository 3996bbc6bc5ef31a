"""The plain margin that scans and reproductions of paintings often carry; left on, the style paints it as a frame."""

from __future__ import annotations

from torch import Tensor

__all__ = ["cut", "margins", "trim"]

DEEPEST = 0.05  # share of a side that a margin may take; more is part of the painting
PLAIN = 0.06  # spread along a line of the margin, its standard deviation on 0…1
APART = 0.08  # least difference in mean colour between a margin and the painting behind it


def margins(rgb: Tensor) -> tuple[int, int, int, int]:
    """Lines of plain margin at the top, bottom, left and right of a picture, 3×H×W, 0…1; 0 where there is none.

    A margin's lines are plain, and of another colour than the painting behind them; the line after the last plain one
    is counted with them, since resampling has mixed it.
    """
    rows, columns = rgb, rgb.transpose(1, 2)
    return _depth(rows), _depth(rows.flip(1)), _depth(columns), _depth(columns.flip(1))


def trim(rgb: Tensor) -> Tensor:
    """The picture without its margins, 3×H'×W'."""
    return cut(rgb, margins(rgb))


def cut(picture: Tensor, lines: tuple[int, int, int, int]) -> Tensor:
    """A picture C×H×W without so many lines at the top, bottom, left and right."""
    top, bottom, left, right = lines
    return picture[:, top : picture.shape[1] - bottom, left : picture.shape[2] - right]


def _depth(picture: Tensor) -> int:
    """Lines of margin along the first side."""
    deepest = int(picture.shape[1] * DEEPEST)
    inside = picture[:, deepest : 2 * deepest]
    if not deepest:
        return 0
    lines = picture[:, :deepest]
    plain = lines.std(dim=2, correction=0).amax(dim=0) < PLAIN
    apart = (lines.mean(dim=2) - inside.mean(dim=(1, 2))[:, None]).abs().amax(dim=0) > APART
    margin = (plain & apart).tolist()
    depth = margin.index(False) if False in margin else 0  # plain all the way: a sky, not a margin
    return min(depth + 1, deepest) if depth else 0
