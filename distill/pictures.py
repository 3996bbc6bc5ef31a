"""Training pictures: folders read once, a fixed part held out, random crops from the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

__all__ = ["Crops", "listed", "read", "split"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def listed(folder: Path) -> list[Path]:
    """The pictures of a folder, by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def split(paths: Iterable[Path], held_out: int, left_out: Collection[str] = ()) -> tuple[list[Path], list[Path]]:
    """Training and held-out pictures.

    Held out are those whose file name without its ending is in `left_out`, and beside them the `held_out` ones whose
    names hash lowest, so that the choice needs no list.
    """
    ranked = sorted(paths, key=lambda path: hashlib.sha256(path.name.encode()).digest())
    named = [path for path in ranked if path.stem in left_out]
    others = [path for path in ranked if path.stem not in left_out]
    return sorted(others[held_out:]), sorted(others[:held_out] + named)


def read(path: Path, longest: int | None = None) -> Tensor:
    """A picture as uint8 3×H×W, no side longer than `longest`."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    if longest is not None and max(picture.size) > longest:
        factor = longest / max(picture.size)
        size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()


class Crops:
    """Random square crops 0…1 of pictures held in memory, half of them mirrored."""

    def __init__(self, pictures: list[Tensor], side: int, generator: torch.Generator) -> None:
        usable = [picture for picture in pictures if min(picture.shape[-2:]) >= side]
        if not usable:
            raise ValueError(f"no picture has both sides of at least {side} pixels; give larger pictures")
        self.pictures, self.side, self.generator = usable, side, generator

    def _below(self, limit: int) -> int:
        return int(torch.randint(limit, (1,), generator=self.generator))

    def draw(self, count: int) -> Tensor:
        """`count` crops, count×3×side×side."""
        crops = []
        for _ in range(count):
            picture = self.pictures[self._below(len(self.pictures))]
            top = self._below(picture.shape[-2] - self.side + 1)
            left = self._below(picture.shape[-1] - self.side + 1)
            crop = picture[:, top : top + self.side, left : left + self.side]
            crops.append(crop.flip(-1) if self._below(2) else crop)
        return torch.stack(crops).float() / 255
