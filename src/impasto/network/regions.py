"""Parts of a picture that count apart, as the layers of the network see them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from impasto.layers import scale_of

__all__ = ["ALL", "LEAST", "Regions", "digest"]

LEAST = 16  # positions of a layer that a region must have there to count


class Regions:
    """Weights m of a picture's pixels by region, 1×H×W, 0…1; a region that has none is the whole picture."""

    def __init__(self, masks: Mapping[int, Tensor] | None = None) -> None:
        self.masks = dict(masks or {})
        self._seen: dict[tuple[int, int], Tensor] = {}

    def __bool__(self) -> bool:
        return bool(self.masks)

    @property
    def identity(self) -> tuple[tuple[int, str], ...]:
        """Equal for regions that are the same."""
        return tuple((region, digest(mask)) for region, mask in self.masks.items())

    def to(self, device: torch.device) -> Regions:
        """The same on a device."""
        return Regions({region: mask.to(device) for region, mask in self.masks.items()}) if self.masks else self

    def at(self, layer: str, region: int) -> Tensor | None:
        """Weights h×w of a layer's positions, means over the pixels of each; None for the whole picture."""
        if region not in self.masks:
            return None
        scale = scale_of(layer)
        if (scale, region) not in self._seen:
            mask = self.masks[region]
            self._seen[scale, region] = avg_pool2d(mask, tuple(min(scale, side) for side in mask.shape[1:]), scale)[0]
        return self._seen[scale, region]

    def share(self, layer: str, region: int) -> float:
        """M_r/M, the share of a layer's positions that a region has; 0 where these are too few to say anything."""
        weights = self.at(layer, region)
        if weights is None:
            return 1.0
        return 0.0 if (own := weights.sum().item()) < LEAST else own / weights.numel()


ALL = Regions()


def digest(picture: Tensor) -> str:
    """What tells one picture C×H×W from another."""
    values = picture.detach().cpu().float().contiguous()
    return hashlib.sha256(values.numpy().data).hexdigest() + str(tuple(values.shape))
