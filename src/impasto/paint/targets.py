"""What the content and style pictures look like to a network, computed once for all transfers that share them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence

from torch import Tensor

from impasto.files import Blob
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.regions import ALL, Regions, digest
from impasto.network.tiles import Plan, observe
from impasto.network.weights.loading import Weights, load

__all__ = ["Targets", "looking"]

LIMIT = 2**29  # bytes kept
LARGER, LARGE = 1.25, 2**18  # times the picture's pixels, and pixels, from which a painting is looked at in strips
ROWS = 64


def looking(plan: Plan, picture: tuple[int, int], painting: tuple[int, int]) -> Plan:
    """How to look at a painting whose targets are for a picture that is walked by a plan; sizes are (height, width).

    A painting much larger than the picture would set the peak of memory. Sizes alone decide: results repeat.

    >>> looking(Plan(), (1024, 1024), (1024, 1024)).rows, looking(Plan(), (1024, 1024), (2048, 2048)).rows
    (0, 64)
    """
    pixels = painting[0] * painting[1]
    if pixels <= max(LARGE, LARGER * picture[0] * picture[1]):
        return plan
    return Plan(min(plan.rows or ROWS, ROWS), plan.kept)


class Targets:
    """Networks, feature maps and Gram matrices already computed; up to `limit` bytes, the least used dropped first.

    One object may serve many transfers, one after the other: a picture seen again at the same size by the same network
    costs nothing for the layers already known. It changes no number. `limit` 0 keeps the networks only.
    """

    def __init__(self, limit: float = LIMIT) -> None:
        self.limit = limit
        self._kept: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._networks: dict[str, Weights] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._networks.clear()

    def weights(self, net: str | Blob) -> Weights:
        """`weights.load`, once for each network."""
        key = net if isinstance(net, str) else net.sha256 + net.name
        if key not in self._networks:
            self._networks[key] = load(net)
        return self._networks[key]

    def look(
        self, encoder: Encoder, picture: Tensor, looks: Sequence[Look], plan: Plan, regions: Regions = ALL
    ) -> Mapping[Look, Tensor]:
        """What `looks` see of a picture 3×H×W, RGB 0…1, and of its regions."""
        if not self.limit:
            return observe(encoder, picture, looks, plan, regions)
        seen = (encoder.identity, digest(picture), regions.identity)
        missing = [look for look in looks if (*seen, look) not in self._kept]
        found = observe(encoder, picture, missing, plan, regions) if missing else {}
        answer = {look: found[look] if look in found else self._kept[*seen, look] for look in looks}
        for look, value in answer.items():
            self._kept[*seen, look] = value
            self._kept.move_to_end((*seen, look))
        while self._kept and sum(value.nbytes for value in self._kept.values()) > self.limit:
            self._kept.popitem(last=False)
        return answer
