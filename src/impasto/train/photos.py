"""Photos to learn on: those of a folder, or what is at hand, cut, mirrored and with other light."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from impasto.pictures.read import Source, read
from impasto.pictures.resize import fit, resize

__all__ = ["Crops", "carried", "opened"]

CARRIED = (  # photos that scikit-image brings along
    *("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png"),
    *("hubble_deep_field.jpg", "grass.png", "gravel.png", "brick.png", "camera.png"),
)
SHORTER = 320  # px that a photo is kept at


def carried() -> list[Tensor]:
    """The photos that scikit-image carries, uint8 3×H×W."""
    found = []
    for name in CARRIED:
        with resources.as_file(resources.files("skimage") / "data" / name) as path:
            if path.is_file():
                found.append(opened(path))
    return found


def opened(source: Source) -> Tensor:
    """A photo as uint8 3×H×W, its shorter side at most SHORTER pixels."""
    picture = read(source, "photo")
    longer = round(max(picture.size) * min(1.0, SHORTER / min(picture.size)))
    return (resize(picture.rgb, fit(picture.size, max(1, longer))) * 255).round().to(torch.uint8)


class Crops:
    """Square crops of photos, from nearly all of one to a detail, half of them mirrored, some in other light."""

    def __init__(self, photos: Sequence[Tensor], side: int, generator: torch.Generator) -> None:
        self.photos, self.side, self.generator = photos, side, generator

    def draw(self, count: int) -> Tensor:
        """Crops count×3×side×side, RGB 0…1."""
        return torch.stack([self._one() for _ in range(count)])

    def _uniform(self) -> float:
        return float(torch.rand((), generator=self.generator))

    def _one(self) -> Tensor:
        photo = self.photos[int(torch.randint(len(self.photos), (), generator=self.generator))]
        short = min(photo.shape[1:])
        cut = max(1, round(short * (0.6 + 0.4 * self._uniform())))
        top, left = (int(self._uniform() * (length - cut + 1)) for length in photo.shape[1:])
        crop = photo[None, :, top : top + cut, left : left + cut].float() / 255
        crop = interpolate(crop, size=(self.side, self.side), mode="bilinear", antialias=True, align_corners=False)[0]
        if self._uniform() < 0.5:
            crop = crop.flip(-1)
        if self._uniform() < 0.5:
            tint = 1 + 0.2 * (torch.rand(3, 1, 1, generator=self.generator) - 0.5)
            crop = crop ** (0.7 + 0.6 * self._uniform()) * tint
        return crop.clamp(0, 1)
