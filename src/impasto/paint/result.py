"""What a run gives: its progress, step by step, and the finished picture with all that made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import Tensor

from impasto.pictures.encode import encode, to_array, write
from impasto.pictures.exif import About
from impasto.pictures.metadata import made
from impasto.recipe import Recipe

if TYPE_CHECKING:
    from impasto.paint.transfer import Transfer

__all__ = ["Progress", "Result"]


@dataclass(frozen=True)
class Result:
    """A finished picture and what made it.

    `image`: float32 RGB 0…1, 3×H×W. `alpha`: the content's, 1×H×W, or None. `losses`: the terms of eq. 5 by name,
    unweighted, and their weighted `total`. `seconds`: from the first step. `inputs`: names and SHA-256 of the pictures.
    `about`: what the photo says of itself.
    """

    image: Tensor
    alpha: Tensor | None
    losses: Mapping[str, float]
    recipe: Recipe
    seconds: float
    inputs: Mapping[str, Any]
    notices: tuple[str, ...]
    about: About = field(default_factory=About, repr=False)

    def metadata(self) -> dict[str, Any]:
        """What a saved PNG or TIFF holds: recipe, versions, inputs, losses; no times, so that runs can be compared."""
        return made(self.recipe, self.inputs, self.losses)

    def encode(self, suffix: str = ".png", *, keep_exif: bool = False) -> bytes:
        """The picture, its alpha and its recipe as the bytes of a PNG, JPEG, WebP or TIFF file; raises OutputError.

        `keep_exif` as in `save`.
        """
        about = self.about if keep_exif else self.about.bare
        return encode(self.image, self.alpha, f"picture{suffix}", metadata=self.metadata(), about=about)

    def save(
        self, path: str | PathLike[str], *, overwrite: bool = False, suffix: str = "", keep_exif: bool = False
    ) -> Path:
        """Write the picture, its alpha and its recipe as PNG, JPEG, WebP or TIFF by suffix; raises OutputError.

        `suffix`, as in `".png"`, is for a path that has none. The photo's resolution in DPI is handed on; its date,
        camera, author and copyright with `keep_exif`.
        """
        about = self.about if keep_exif else self.about.bare
        return write(
            path,
            self.image,
            self.alpha,
            metadata=self.metadata(),
            overwrite=overwrite,
            suffix=suffix,
            about=about,
        )

    def to_pil(self) -> Image.Image:
        """The picture as a Pillow image of 8 bits, RGB or RGBA."""
        return Image.fromarray(to_array(self.image, self.alpha))


@dataclass(frozen=True)
class Progress:
    """One evaluation of the gradient, done.

    `level` of `levels` and `step` of `steps` count from 1; `size` is (height, width) of the level. `loss` is eq. 5 at
    this step, `losses` its terms by name, unweighted. `fraction` 0…1 of the whole work is done; `seconds` have passed
    since the start and about `remaining` are left.
    """

    level: int
    levels: int
    size: tuple[int, int]
    step: int
    steps: int
    loss: float
    losses: Mapping[str, float]
    fraction: float
    seconds: float
    transfer: Transfer

    @property
    def remaining(self) -> float:
        """Seconds left, by the pace so far."""
        return self.seconds * (1 - self.fraction) / self.fraction

    def image(self) -> Tensor:
        """The best picture so far, finished: float32 RGB 0…1 at the level's size, 3×H×W."""
        return self.transfer.picture()
