"""Photo and paintings made ready: without their margins and hidden lines, scaled, and what there is to say of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from impasto.errors import OptionError
from impasto.pictures import margins, visible
from impasto.pictures.masks import average
from impasto.pictures.read import Picture
from impasto.pictures.resize import fit
from impasto.recipe import Recipe

__all__ = ["Painting", "photo", "prepare"]

SMALL = 2.0  # times that a picture may be enlarged before it is worth a word


@dataclass(frozen=True, eq=False)
class Painting:
    """The `pixels` of a painting, 3×H×W, cut and scaled; `cut` does the same with a mask of it.

    `size` and `alpha`, 1×H×W: as it was read; `name`: of its file.
    """

    name: str
    size: tuple[int, int]
    alpha: Tensor | None
    pixels: Tensor
    cut: Callable[[Tensor], Tensor] = field(repr=False)
    notices: tuple[str, ...]
    enlarged: bool = False


def photo(picture: Picture, size: tuple[int, int]) -> tuple[Tensor, Tensor | None, list[str]]:
    """The content at a size: RGB 3×H×W, its alpha, and notices."""
    rgb = picture.rgb if picture.alpha is None else visible.filled(picture.rgb, picture.alpha)
    notices = _small(f"content {picture.name}", picture.size, size)
    if picture.alpha is None and any(lines := margins.margins(rgb)):
        notices.append(
            f"content {picture.name}: plain bars at its edge ({margins.worded(lines, picture.size)}) are painted as a"
            " part of the photo; crop them off first if they are none"
        )
    return *visible.resized(rgb, picture.alpha, size), notices


def prepare(recipe: Recipe, count: int, size: tuple[int, int], read: Callable[[int, float], Picture]) -> list[Painting]:
    """The paintings for a picture of `size` (height, width), one read after the other.

    `read`: by number, no smaller than so many pixels of its longer side, 0 for all there are.

    Lines in which nothing is visible are no part of a painting; plain margins are cut off where the recipe says so.
    Raises OptionError for another number of scales than there are paintings.
    """
    scales = recipe.style_scale
    if len(scales) not in (1, count):
        raise OptionError(
            f"style_scale: {len(scales)} numbers for {count} style pictures; give one for all, or one each"
        )
    scales = scales * count if len(scales) == 1 else scales
    found = []
    for number, scale in enumerate(scales):
        longer = max(size) * scale
        picture = read(number, longer)
        one = _painting(recipe, picture, longer)
        if one.enlarged and picture.whole:  # most of it is cut off: it was needed as a whole
            picture = read(number, 0)
            one = _painting(recipe, picture, longer)
        found.append(one)
    return found


def _painting(recipe: Recipe, picture: Picture, longer: float) -> Painting:
    rgb, alpha, notices = picture.rgb, picture.alpha, []
    clear = (0, 0, 0, 0)
    if alpha is not None:
        rgb, clear = visible.filled(rgb, alpha), visible.hidden(alpha)
        rgb, alpha = margins.cut(rgb, clear), margins.cut(alpha, clear)
    plain = (0, 0, 0, 0)
    if recipe.style_trim and (alpha is None or bool((alpha > 0).all())):
        plain = margins.margins(rgb)
    if any(plain):
        notices.append(
            f"style {picture.name}: a plain margin is cut off ({margins.worded(plain, (rgb.shape[1], rgb.shape[2]))});"
            " --no-style-trim keeps it"
        )
        rgb, alpha = margins.cut(rgb, plain), None if alpha is None else margins.cut(alpha, plain)
    own = (rgb.shape[1], rgb.shape[2])
    size = fit(own, max(1, round(longer)))
    notices += _small(f"style {picture.name}", own, size)

    def cut(mask: Tensor) -> Tensor:
        return average(margins.cut(margins.cut(mask, clear), plain), size)

    pixels = visible.resized(rgb, alpha, size)[0]
    return Painting(picture.name, picture.size, picture.alpha, pixels, cut, tuple(notices), max(own) < max(size))


def _small(what: str, own: tuple[int, int], size: tuple[int, int]) -> list[str]:
    """A notice for a picture that is far enlarged."""
    if max(size) <= SMALL * max(own):
        return []
    return [
        f"{what}: is small, {own[1]}×{own[0]} pixels, and is enlarged to {size[1]}×{size[0]}; strokes and details"
        " will be soft, a larger picture or a smaller --size is sharper"
    ]
