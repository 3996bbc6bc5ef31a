"""One block of the network there and back, its gradient by hand.

A convolution's gradient with respect to its input is a convolution again, with the kernel turned round. Autograd would
make a new buffer for every gradient and one more where a map is used twice; here each is made once and changed in
place. Where nothing looks at a block's last maps, the ReLU comes after the pooling: the same, a quarter of the work.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from impasto.network.backward import relu_back
from impasto.network.convolutions import Convolutions

__all__ = ["Pass", "relu_of"]

Add = Callable[[str, Tensor, Tensor], None]


def relu_of(name: str) -> str:
    """The layer behind a convolution.

    >>> relu_of("conv4_2")
    'relu4_2'
    """
    return name.replace("conv", "relu")


class Pass:
    """The maps of the layers of `wanted` in one block, of the block's input 1×N×h×w, and the way back.

    `taps`: these maps, 1×N×h×w, by layer. `end`: what the next block takes, made of the rows `pooled` of the block's
    last maps; None where `pooled` is None. `keep`: whether `backward` will follow; autograd can follow in its place.
    """

    def __init__(
        self, net: Convolutions, number: int, start: Tensor, wanted: frozenset[str], *, pooled: slice | None, keep: bool
    ) -> None:
        self.net, self.pooled = net, pooled
        self.taps: dict[str, Tensor] = {}
        self.end: Tensor | None = None
        names = net.layers(number, wanted)
        last = relu_of(names[-1])
        self._late = pooled is not None and last not in wanted and net.pooling == "max"
        self._shape = start.shape
        self._made: list[tuple[str, Tensor]] = []
        maps = start
        for name in names:
            maps = net.convolve(name, maps)
            if name in wanted:
                self.taps[name] = maps
            if not (self._late and relu_of(name) == last):
                maps = torch.relu(maps) if name in wanted else torch.relu_(maps)
            if relu_of(name) in wanted:
                self.taps[relu_of(name)] = maps
            if keep:
                self._made.append((name, maps))
        if pooled is not None:
            self.end, self._places = net.pool(maps[:, :, pooled], keep)
            if self._late:
                torch.relu_(self.end)

    @torch.no_grad()
    def backward(self, after: Tensor | None, add: Add) -> Tensor:
        """Gradient with respect to the block's input.

        `after`: gradient with respect to `end`. `add(layer, map, gradient)` adds to the gradient with respect to a
        tapped map, in place, what else looks at it. Can be called once: the maps are let go on the way.
        """
        gradient: Tensor | None = None
        if after is not None and self.end is not None and self.pooled is not None and self.end.shape[2]:
            gradient = self._through_pooling(after)
        while self._made:
            name, maps = self._made.pop()
            gradient = self._with(relu_of(name), gradient, add)
            if gradient is not None and not self._late:
                gradient = relu_back(gradient, maps)
            self._late = False  # only the last layer's ReLU can come after the pooling
            gradient = self._with(name, gradient, add)
            if gradient is not None:
                gradient = self.net.convolve_back(name, gradient)
        if gradient is None:
            return torch.zeros(self._shape, dtype=self.net.dtype, device=self.net.device)
        return gradient

    def _through_pooling(self, after: Tensor) -> Tensor:
        """Gradient with respect to the block's last maps, zero in the rows that are not pooled."""
        assert self.end is not None
        assert self.pooled is not None
        maps = self._made[-1][1]
        if self._late:
            after = relu_back(after.clone(), self.end)
        gradient = self.net.pool_back(after, maps[:, :, self.pooled], self._places)
        if gradient.shape == maps.shape:
            return gradient
        whole = torch.zeros_like(maps)
        whole[:, :, self.pooled] = gradient
        return whole

    def _with(self, layer: str, gradient: Tensor | None, add: Add) -> Tensor | None:
        tap = self.taps.pop(layer, None)
        if tap is not None:
            gradient = torch.zeros_like(tap) if gradient is None else gradient
            add(layer, tap, gradient)
        return gradient
