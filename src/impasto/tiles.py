"""The network walked block by block and strip by strip: exact features and gradients in bounded memory.

VGG-19 shrinks its maps between blocks. Between two poolings only the block's input has to be known as a whole; the wide
maps inside a block are made for a strip of rows at a time, with as many rows more at either side as the block has
convolutions, so that every row of the strip itself is what it would be in one piece. A Gram matrix is a sum over
positions, so it adds up over strips; and the gradient of any loss of Gram matrices G is (∂L/∂G + ∂L/∂Gᵀ) F, position by
position. Nothing is approximated.

The way forward may keep what it computed or forget it; what was forgotten is computed again on the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.block import Pass
from impasto.encoder import Encoder, deepest_block
from impasto.layers import BLOCKS

__all__ = ["WHOLE", "Plan", "Walk", "observe"]


@dataclass(frozen=True)
class Plan:
    """How to walk: `rows` of a strip in each block's own rows (even; 0: all at once), and the blocks kept in memory."""

    rows: int = 0
    kept: frozenset[int] = frozenset(BLOCKS)


WHOLE = Plan()


@dataclass(frozen=True)
class _Strip:
    """Rows `first` to `last` of a block's input, and `top` to `bottom` with the neighbours that they depend on."""

    first: int
    last: int
    top: int
    bottom: int


@dataclass(frozen=True)
class _Window:
    """A strip's own part of a layer's window: `inside` and `columns` of the strip's map, `rows` of the window."""

    inside: slice
    columns: slice
    rows: slice

    def of(self, maps: Tensor) -> Tensor:
        """The part, N×r×w, of a map 1×N×h×w."""
        return maps[0, :, self.inside, self.columns]


MapLoss = Callable[[str, Tensor, slice], Tensor]


@dataclass
class Walk:
    """One way through the network and back, for a picture prepared by the encoder.

    `maps`: layers that are compared position by position; `grams`: layers whose Gram matrices are compared.
    """

    encoder: Encoder
    picture: Tensor
    maps: frozenset[str]
    grams: frozenset[str]
    plan: Plan = WHOLE
    _inputs: dict[int, Tensor] = field(default_factory=dict)
    _made: dict[int, list[tuple[_Strip, Pass | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.wanted = self.encoder.check(self.maps | self.grams, self.picture)
        self.depth = deepest_block(self.wanted)

    def forward(self, prepared: Tensor, visit: Callable[[str, Tensor, slice], None], grad: bool) -> dict[str, Tensor]:
        """Mean Gram matrices N×N by layer, in at least float32; `visit` sees each layer of `maps`, rows at a time.

        `prepared`: what `Encoder.prepare` gives, without its gradient. `grad`: whether `backward` will follow.
        """
        sums: dict[str, Tensor] = {}
        self._inputs = {1: prepared}
        for block in range(1, self.depth + 1):
            keep = grad and block in self.plan.kept
            ends = []
            self._made[block] = []
            for strip in self._strips(block):
                made = self._make(block, strip, keep)
                self._made[block].append((strip, made if keep else None))
                for name, tap in made.taps.items():
                    own = self._window(name, strip)
                    if own is None:
                        continue
                    F = own.of(tap)
                    if name in self.maps:
                        visit(name, F, own.rows)
                    if name in self.grams:
                        matrix = _positions(F)
                        G = matrix.T @ matrix
                        G = G.to(torch.promote_types(G.dtype, torch.float32))
                        sums[name] = sums[name] + G if name in sums else G
                if made.end is not None:
                    ends.append(made.end)
            if block < self.depth:
                self._inputs[block + 1] = torch.cat(ends, 2) if len(ends) > 1 else ends[0]
            if not grad:
                del self._inputs[block]
        return {name: self._through_metric(name, G / self._count(name)) for name, G in sums.items()}

    def backward(self, gram_gradients: Mapping[str, Tensor], map_gradient: MapLoss) -> Tensor:
        """Gradient by the prepared picture, after `forward` with `grad`.

        `gram_gradients`: of the loss by each mean Gram matrix. `map_gradient(layer, F, rows)`: by these rows.
        """
        after: Tensor | None = None
        change = {}
        for name, g in gram_gradients.items():
            Q = self.encoder.metrics.get(name)
            own = g if Q is None else Q.T @ g @ Q
            change[name] = ((own + own.T) / self._count(name)).to(self.encoder.dtype)
        for block in range(self.depth, 0, -1):
            strips = self._made.pop(block)
            before: Tensor | None = None
            while strips:
                strip, made = strips.pop()
                made = made or self._make(block, strip, True)

                def add(name: str, maps: Tensor, gradient: Tensor, strip: _Strip = strip) -> None:
                    own = self._window(name, strip)
                    if own is None:
                        return
                    F, mine = own.of(maps), own.of(gradient)
                    if name in self.grams:
                        _add_product(mine, F, change[name])
                    if name in self.maps:
                        mine += map_gradient(name, F, own.rows)

                part = None
                if made.end is not None and after is not None:
                    part = after[:, :, strip.first // 2 : strip.first // 2 + made.end.shape[2]]
                gradient = made.backward(part, add)
                if strip.first == 0 and strip.last == self._inputs[block].shape[2]:
                    before = gradient
                else:
                    before = torch.zeros_like(self._inputs[block]) if before is None else before
                    before[:, :, strip.top : strip.bottom] += gradient
            del self._inputs[block]
            after = before
        assert after is not None
        return after

    def _make(self, block: int, strip: _Strip, keep: bool) -> Pass:
        start = self._inputs[block][:, :, strip.top : strip.bottom]
        pooled = slice(strip.first - strip.top, strip.last - strip.top) if block < self.depth else None
        return Pass(self.encoder, block, start, self.wanted, pooled=pooled, keep=keep)

    def _window(self, name: str, strip: _Strip) -> _Window | None:
        """Where the strip's own part of a layer's window lies in the strip's map; None where it has no part in it."""
        rows, columns = self.encoder.window(name, self.picture)
        first, end = max(strip.first, rows.start), min(strip.last, rows.stop)
        if first >= end:
            return None
        return _Window(slice(first - strip.top, end - strip.top), columns, slice(first - rows.start, end - rows.start))

    def _strips(self, block: int) -> Iterator[_Strip]:
        height = self._inputs[block].shape[2]
        rows, reach = self.plan.rows, BLOCKS[block]
        if not rows or height <= rows:
            yield _Strip(0, height, 0, height)
            return
        for first in range(0, height, rows):
            last = min(first + rows, height)
            if height - last == 1:  # a last row alone cannot be pooled; it goes with the rows before it
                last = height
            yield _Strip(first, last, max(0, first - reach), min(height, last + reach))
            if last == height:
                return

    def _through_metric(self, name: str, G: Tensor) -> Tensor:
        """A Gram matrix as the network would give it that a thin layer stands for: Q G Qᵀ."""
        Q = self.encoder.metrics.get(name)
        return G if Q is None else Q @ G @ Q.T

    def _count(self, name: str) -> int:
        """Positions of a layer's map, M."""
        rows, columns = self.encoder.window(name, self.picture)
        return int((rows.stop - rows.start) * (columns.stop - columns.start))


def observe(
    encoder: Encoder, picture: Tensor, maps: Iterable[str], grams: Iterable[str], plan: Plan = WHOLE
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Whole maps N×h×w and mean Gram matrices N×N, by layer, of a picture 3×H×W, RGB 0…1."""
    walk = Walk(encoder, picture, frozenset(maps), frozenset(grams), plan)
    found: dict[str, list[Tensor]] = {}
    with torch.no_grad():
        prepared = encoder.prepare(picture)
        means = walk.forward(prepared, lambda name, F, rows: found.setdefault(name, []).append(F.clone()), grad=False)
    return {name: torch.cat(parts, 1) if len(parts) > 1 else parts[0] for name, parts in found.items()}, means


def _positions(F: Tensor) -> Tensor:
    """Maps N×h×w as M×N, without a copy where they lie in memory position by position."""
    return F.permute(1, 2, 0).reshape(-1, F.shape[0])


def _add_product(gradient: Tensor, F: Tensor, change: Tensor) -> None:
    """Add (∂L/∂G + ∂L/∂Gᵀ) F to the gradient N×h×w by F, in place; `change` is that sum, N×N."""
    matrix = gradient.permute(1, 2, 0)
    if matrix.is_contiguous():
        matrix.view(-1, F.shape[0]).addmm_(_positions(F), change)
    else:
        gradient += (_positions(F) @ change).view(matrix.shape).permute(2, 0, 1)
