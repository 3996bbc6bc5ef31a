"""What the stages learn from: the training pictures of both folders, on-policy pictures, cached features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from student import Student
from torch import Tensor
from vgg import CONVOLUTIONS, Teacher, centre

from pictures import Crops, read

__all__ = ["Cache", "Material", "cached"]

PHOTO_SIDES, ART_SIDES = (512, 320), (512, 288)  # longer sides at which every picture is seen: levels are small


@dataclass
class Material:
    """Training pictures (uint8 3×H×W): photographs, paintings, and what the student's own transfers gave."""

    photos: list[Tensor]
    art: list[Tensor]
    own: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, photos: list[Path], art: list[Path]) -> Material:
        """Files of photographs and of paintings, each picture in two sizes."""
        groups = (photos, PHOTO_SIDES), (art, ART_SIDES)
        return cls(*([read(path, side) for path in paths for side in sides] for paths, sides in groups))

    def batches(self, shares: tuple[int, int, int], side: int, generator: torch.Generator) -> Iterator[Tensor]:
        """Endless batches 0…1 of so many crops of photographs, of paintings and of own transfers."""
        groups = [
            (Crops(group, side, generator), count) for group, count in zip(self._groups(), shares, strict=True) if count
        ]
        while True:
            yield torch.cat([crops.draw(count) for crops, count in groups])

    def _groups(self) -> tuple[list[Tensor], ...]:
        return self.photos, self.art, self.own


@dataclass(frozen=True)
class Cache:
    """What enters a layer in the student, and the teacher's convolution outputs from there on, picture by picture."""

    entering: Tensor
    targets: dict[str, Tensor]

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """A batch of random pictures, channels last."""
        index = torch.randint(len(self.entering), (count,), generator=generator)

        def taken(maps: Tensor) -> Tensor:
            return maps[index].contiguous(memory_format=torch.channels_last)

        return taken(self.entering), {name: taken(maps) for name, maps in self.targets.items()}


@torch.no_grad()
def cached(student: Student, teacher: Teacher, first: str, last: str, batches: Iterator[Tensor]) -> Cache:
    """The cache of the layers `first` … `last` for all pictures of the batches (0…1)."""
    names = CONVOLUTIONS[CONVOLUTIONS.index(first) : CONVOLUTIONS.index(last) + 1]
    before = CONVOLUTIONS[CONVOLUTIONS.index(first) - 1]
    entering: list[Tensor] = []
    targets: dict[str, list[Tensor]] = {name: [] for name in names}
    frozen = student.frozen()
    for batch in batches:
        x = centre(batch)
        entering.append(frozen.entering(first, frozen.features(x, before)))
        found = teacher.features(x, last)
        for name in names:
            targets[name].append(found[name])
    return Cache(torch.cat(entering), {name: torch.cat(maps) for name, maps in targets.items()})
