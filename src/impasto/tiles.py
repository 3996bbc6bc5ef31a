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
class _Tap:
    """A layer's map 1×N×h×w in one strip, neighbours included.

    `inside`: rows and columns of the map that are the strip's own part of the window. `rows`: their place in it.
    """

    whole: Tensor
    inside: tuple[slice, slice]
    rows: slice

    def part(self) -> Tensor:
        """The strip's own part of the window, N×r×w, without its gradient."""
        return self.whole.detach()[0, :, self.inside[0], self.inside[1]]

    def spread(self, gradient: Tensor) -> Tensor:
        """The gradient by `whole` of a loss whose gradient by `part` is given."""
        if gradient.shape == self.whole.shape[1:]:
            return gradient[None]
        spread = torch.zeros_like(self.whole)
        spread[0, :, self.inside[0], self.inside[1]] = gradient
        return spread


@dataclass(frozen=True)
class _Made:
    """What a strip gave: its input, its part of each tapped layer, and its pooled end."""

    start: Tensor
    taps: dict[str, _Tap]
    end: Tensor | None


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
    _made: dict[int, list[tuple[_Strip, _Made | None]]] = field(default_factory=dict)

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
                    if name in self.maps:
                        visit(name, tap.part(), tap.rows)
                    if name in self.grams:
                        matrix = _positions(tap.part())
                        G = matrix.T @ matrix
                        G = G.to(torch.promote_types(G.dtype, torch.float32))
                        sums[name] = sums[name] + G if name in sums else G
                if made.end is not None:
                    ends.append(made.end.detach())
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
                outputs, gradients = [], []
                for name, tap in made.taps.items():
                    F = tap.part()
                    if name in self.grams:
                        outputs.append(tap.whole)
                        gradients.append(tap.spread(_maps(_positions(F) @ change[name], F)))
                    if name in self.maps:
                        outputs.append(tap.whole)
                        gradients.append(tap.spread(map_gradient(name, F, tap.rows)))
                if made.end is not None and after is not None and made.end.shape[2]:
                    outputs.append(made.end)
                    gradients.append(after[:, :, strip.first // 2 : strip.first // 2 + made.end.shape[2]])
                if outputs:
                    (gradient,) = torch.autograd.grad(outputs, made.start, gradients)
                else:
                    gradient = torch.zeros_like(made.start)
                if strip.first == 0 and strip.last == self._inputs[block].shape[2]:
                    before = gradient
                else:
                    before = torch.zeros_like(self._inputs[block]) if before is None else before
                    before[:, :, strip.top : strip.bottom] += gradient
            del self._inputs[block]
            after = before
        assert after is not None
        return after

    def _make(self, block: int, strip: _Strip, grad: bool) -> _Made:
        start = self._inputs[block][:, :, strip.top : strip.bottom].detach()
        with torch.set_grad_enabled(grad):
            if grad:
                start.requires_grad_()
            taps, last = self.encoder.block(block, start, self.wanted)
            cut = {}
            for name, tap in taps.items():
                rows, columns = self.encoder.window(name, self.picture)
                first, end = max(strip.first, rows.start), min(strip.last, rows.stop)
                if first < end:
                    inside = (slice(first - strip.top, end - strip.top), columns)
                    cut[name] = _Tap(tap, inside, slice(first - rows.start, end - rows.start))
            pooled = None
            if block < self.depth:
                pooled = self.encoder.pool(last[:, :, strip.first - strip.top : strip.last - strip.top])
        return _Made(start, cut, pooled)

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


def _maps(matrix: Tensor, like: Tensor) -> Tensor:
    """M×N back as maps N×h×w."""
    return matrix.view(like.shape[1], like.shape[2], -1).permute(2, 0, 1)
