"""What the content and style pictures look like to a network, computed once for all transfers that share them."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping

import torch
from torch import Tensor

from impasto.encoder import Encoder
from impasto.tiles import Plan, observe
from impasto.weights import Weights, load

__all__ = ["Targets"]

LIMIT = 2**29  # bytes kept


class Targets:
    """Networks, feature maps and Gram matrices already computed; up to `limit` bytes, the least used dropped first.

    One object may serve many transfers, one after the other: a picture seen again at the same size by the same network
    costs nothing for the layers already known. It changes no number.
    """

    def __init__(self, limit: float = LIMIT) -> None:
        self.limit = limit
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._networks: dict[str, Weights] = {}

    def weights(self, net: str) -> Weights:
        """`weights.load`, once for each network."""
        if net not in self._networks:
            self._networks[net] = load(net)
        return self._networks[net]

    def maps(self, encoder: Encoder, picture: Tensor, layers: Iterable[str], plan: Plan) -> Mapping[str, Tensor]:
        """Feature maps N×h×w by layer of a picture 3×H×W, RGB 0…1."""
        return self._look("maps", encoder, picture, tuple(layers), plan)

    def grams(self, encoder: Encoder, picture: Tensor, layers: Iterable[str], plan: Plan) -> Mapping[str, Tensor]:
        """Gram matrices N×N by layer, each over its number of positions, of a picture 3×H×W, RGB 0…1."""
        return self._look("grams", encoder, picture, tuple(layers), plan)

    def _look(
        self, kind: str, encoder: Encoder, picture: Tensor, layers: tuple[str, ...], plan: Plan
    ) -> Mapping[str, Tensor]:
        seen = (kind, encoder.identity, _digest(picture))
        missing = [name for name in layers if (*seen, name) not in self._kept]
        found: Mapping[str, Tensor] = {}
        if missing:
            maps, grams = (missing, []) if kind == "maps" else ([], missing)
            found = observe(encoder, picture.to(encoder.device), maps, grams, plan)[kind == "grams"]
        answer = {name: found[name] if name in found else self._kept[*seen, name] for name in layers}
        for name, value in answer.items():
            self._kept[*seen, name] = value
            self._kept.move_to_end((*seen, name))
        while self._kept and sum(value.nbytes for value in self._kept.values()) > self.limit:
            self._kept.popitem(last=False)
        return answer


def _digest(picture: Tensor) -> str:
    """What tells one picture from another."""
    values = picture.detach().to("cpu", torch.float32).contiguous()
    return hashlib.sha256(values.numpy().tobytes()).hexdigest() + str(tuple(values.shape))
