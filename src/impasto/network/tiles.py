"""The network walked block by block and strip by strip: exact features and gradients in bounded memory.

VGG-19 shrinks its maps between blocks. Between two poolings only the block's input has to be known as a whole; the wide
maps inside a block are made for a strip of rows at a time, with as many rows more at either side as the block has
convolutions, so that every row of the strip itself is what it would be in one piece. A Gram matrix is a sum over
positions, so it adds up over strips; and the gradient of any loss of Gram matrices G is (∂L/∂G + ∂L/∂Gᵀ) F, position by
position. Cells of a grid lie whole in one strip or another. Nothing is approximated.

The way forward may keep what it computed or forget it; what was forgotten is computed again on the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from impasto.layers import BLOCKS
from impasto.network.block import Pass
from impasto.network.convolutions import deepest_block
from impasto.network.encoder import Encoder
from impasto.network.looks import Look, cells, cells_back
from impasto.network.products import add_product, second_moments
from impasto.network.regions import ALL, Regions

__all__ = ["WHOLE", "Plan", "Walk", "observe"]


@dataclass(frozen=True)
class Plan:
    """How to walk: `rows` of a strip in each block's own rows (a multiple of 4; 0: all at once); the blocks kept."""

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

    def of_weights(self, weights: Tensor | None) -> Tensor | None:
        """The part, r×w, of the weights of a layer's positions."""
        return None if weights is None else weights[self.rows]

    def cells(self, look: Look) -> slice:
        """Rows of the cells of a look: a strip ends between two of them, or where the window ends."""
        return slice(self.rows.start // look.side, -(-self.rows.stop // look.side))


Visit = Callable[[Look, Tensor, slice], None]
RowGradient = Callable[[Look, Tensor, slice], Tensor]


class Walk:
    """One way through the network and back, for a picture prepared by the encoder: what `looks` ask for.

    `regions`: the parts of the picture that second moments are taken over.
    """

    def __init__(
        self, encoder: Encoder, picture: Tensor, looks: Iterable[Look], plan: Plan = WHOLE, regions: Regions = ALL
    ) -> None:
        self.encoder, self.picture, self.plan, self.regions = encoder, picture, plan, regions
        self.looks: dict[str, list[Look]] = {}
        # Moments first: on the way back their product writes where the others add.
        for look in sorted(dict.fromkeys(looks), key=lambda look: look.kind in ("rows", "map")):
            self.looks.setdefault(look.layer, []).append(look)
        self.wanted = encoder.check(self.looks, picture)
        self.depth = deepest_block(self.wanted)
        self._inputs: dict[int, Tensor] = {}
        self._made: dict[int, list[tuple[_Strip, Pass | None]]] = {}

    @torch.no_grad()
    def forward(self, prepared: Tensor, visit: Visit, grad: bool) -> dict[Look, Tensor]:
        """What is seen, by look; `visit` sees each look of kind `rows`, rows at a time.

        `prepared`: what `Encoder.prepare` gives, without its gradient. `grad`: whether `backward` will follow. Moments
        are means over positions, in at least float32; maps, N×h×w, are in the encoder's precision.
        """
        regions = self.regions
        sums: dict[Look, Tensor] = {}
        parts: dict[Look, list[Tensor]] = {}
        self._inputs = {1: prepared}
        for block in range(1, self.depth + 1):
            keep = grad and block in self.plan.kept
            end: Tensor | None = None
            self._made[block] = []
            for strip in self._strips(block):
                made = self._make(block, strip, keep)
                self._made[block].append((strip, made if keep else None))
                for name, tap in made.taps.items():
                    own = self._window(name, strip)
                    if own is None:
                        continue
                    F = own.of(tap)
                    for look in self.looks[name]:
                        if look.kind == "rows":
                            visit(look, cells(F, look.side), own.cells(look))
                        elif look.kind == "map":
                            parts.setdefault(look, []).append(cells(F, look.side) if look.side > 1 else F.clone())
                        else:
                            weights = own.of_weights(regions.at(name, look.region))
                            S = second_moments(F, weights, mean=look.kind == "moments")
                            sums[look] = sums[look] + S if look in sums else S
                if made.end is not None:
                    end = self._joined(block, strip, end, made.end)
            if end is not None:
                self._inputs[block + 1] = end
            if not grad:
                del self._inputs[block]
        whole = {}
        for look in list(parts):  # one after the other, so that parts and wholes are not there twice
            several = parts.pop(look)
            whole[look] = torch.cat(several, 1) if len(several) > 1 else several[0]
        return {**whole, **{look: self._mean(look, total) for look, total in sums.items()}}

    @torch.no_grad()
    def backward(self, gradients: Mapping[Look, Tensor], row_gradient: RowGradient) -> Tensor:
        """Gradient with respect to the prepared picture, after `forward` with `grad`.

        `gradients`: of the loss with respect to what each look has seen. `row_gradient(look, F, rows)`: with respect
        to these rows of a map.
        """
        after: Tensor | None = None
        change = {look: self._change(look, g) for look, g in gradients.items() if look.kind in ("gram", "moments")}
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
                    for look in self.looks[name]:
                        if look in change:
                            add_product(mine, F, own.of_weights(self.regions.at(name, look.region)), change[look])
                        else:
                            rows = own.cells(look)
                            if look.kind == "rows":
                                part = row_gradient(look, cells(F, look.side), rows)
                            else:
                                part = gradients[look][:, rows]
                            mine += cells_back(part, F.shape, look.side).to(F.dtype)

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

    def _joined(self, block: int, strip: _Strip, whole: Tensor | None, part: Tensor) -> Tensor:
        """What the next block takes, with the part of a strip in its place; one of all rows stays as it is."""
        height = self._inputs[block].shape[2]
        if strip.first == 0 and strip.last == height:
            return part
        if whole is None:
            whole = part.new_empty(1, part.shape[1], height // 2, part.shape[3])
            whole = whole.to(memory_format=torch.channels_last)
        whole[:, :, strip.first // 2 : strip.first // 2 + part.shape[2]] = part
        return whole

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

    def _mean(self, look: Look, total: Tensor) -> Tensor:
        """Second moments over their number of positions, as the network would give them that a thin layer stands for.

        With the map Q of such a layer: Q S Qᵀ, where the mean is carried along by one more row and column of Q.
        """
        mean = total / self._count(look)
        Q = self._metric(look)
        return mean if Q is None else Q @ mean @ Q.T

    def _change(self, look: Look, gradient: Tensor) -> Tensor:
        """∂L/∂S + ∂L/∂Sᵀ, S the sum over positions, in the encoder's precision."""
        Q = self._metric(look)
        own = gradient if Q is None else Q.T @ gradient @ Q
        return ((own + own.T) / self._count(look)).to(self.encoder.dtype)

    def _metric(self, look: Look) -> Tensor | None:
        Q = self.encoder.metrics.get(look.layer)
        if Q is None or look.kind != "moments":
            return Q
        wide = torch.nn.functional.pad(Q, (0, 1, 0, 1))
        wide[-1, -1] = 1
        return wide

    def _count(self, look: Look) -> float:
        """Positions of a layer's map, M; of a region the sum of its weights, M_r."""
        weights = self.regions.at(look.layer, look.region)
        if weights is not None:
            return max(weights.sum().item(), 1e-6)
        rows, columns = self.encoder.window(look.layer, self.picture)
        return float((rows.stop - rows.start) * (columns.stop - columns.start))


def observe(
    encoder: Encoder, picture: Tensor, looks: Collection[Look], plan: Plan = WHOLE, regions: Regions = ALL
) -> dict[Look, Tensor]:
    """What `looks` see of a picture 3×H×W, RGB 0…1, and of its regions; none of them of kind `rows`."""
    if not looks:
        return {}
    with torch.no_grad():
        return Walk(encoder, picture, looks, plan, regions).forward(
            encoder.prepare(picture.to(encoder.device)), lambda *_: None, grad=False
        )
