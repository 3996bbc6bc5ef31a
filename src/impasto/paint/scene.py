"""A scene: the pictures of a transfer, prepared once for its recipe, whatever is then done with them.

Everything that paints or only thinks of painting begins here: sizes of the levels, colours made ready, where to start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.layers import scale_of
from impasto.network.regions import ALL, Regions
from impasto.paint import idle, levels, masking
from impasto.paint.masking import Masks
from impasto.pictures import color, detail, margins
from impasto.pictures.copies import copies
from impasto.pictures.masks import average
from impasto.pictures.read import Picture, Source, read
from impasto.pictures.resize import fit, resize
from impasto.recipe import INITS, Recipe

__all__ = ["Scene", "prepare"]

FIRST = 64  # px: longer side of the first level where places are matched
BLUR = 8  # times smaller is the photo, and enlarged again, that a strength of 1 starts from
DEEPEST = scale_of("relu5_1")  # px: a side below this has no position left in block 5 without a border


@dataclass(frozen=True, eq=False)
class Scene:
    """Pictures ready for a recipe, on the CPU.

    `original`: the content, RGB 0…1, 3×H×W, at full size; `alpha`: its alpha, 1×H×W, or None. `content` and `styles`:
    what the transfer works on, of one channel where it works on luminance. `start`: where it begins, as `content`.
    `masks`: where they count. `blend`: a share of each style, with a sum of 1. `inputs`: names and SHA-256 by role.
    `notices`: for the user.
    """

    recipe: Recipe
    original: Tensor
    alpha: Tensor | None
    content: Tensor
    styles: tuple[Tensor, ...]
    start: Tensor
    masks: Masks
    blend: tuple[float, ...]
    inputs: Mapping[str, Any]
    notices: tuple[str, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the result."""
        return self.original.shape[1], self.original.shape[2]

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each level, coarse to fine."""
        return self._sizes(self.recipe.levels)

    @property
    def painted(self) -> bool:
        """Whether it begins, at full size alone, with a picture of its own: as after all the coarser levels."""
        return self.recipe.init not in INITS and len(self.sizes) == 1

    @property
    def matched(self) -> bool:
        """Whether places are matched with places of a painting, which begins smaller and adds nothing of its own."""
        return bool(self.recipe.style_losses().get("neighbours"))

    @cached_property
    def evaluations(self) -> list[int]:
        """Gradient evaluations of each level."""
        return levels.evaluations(self.recipe.iterations, len(self.sizes))

    def rounds(self, level: int) -> list[tuple[int, bool]]:
        """Evaluations of a level, counted from 0, from one match to the next, and whether each layer is matched apart.

        One round where nothing is matched.
        """
        count, most = self.evaluations[level], self.recipe.match_every
        if not self.matched:
            return [(count, False)]
        apart = min(self.recipe.polish, count // 2) if level == len(self.sizes) - 1 else 0
        together = levels.parts(count - apart, most)
        return [*((part, False) for part in together), *((part, True) for part in levels.parts(apart, most))]

    def paintings(self, size: tuple[int, int]) -> list[Tensor]:
        """The styles as they are at a size of the picture."""
        return [resize(style, own) for style, own in zip(self.styles, self._painting_sizes(size), strict=True)]

    def copies(self, size: tuple[int, int]) -> list[list[tuple[Tensor, Regions]]]:
        """Of each style the copies in which places are looked for as well, and what counts of them."""
        losses = self.recipe.style_losses()
        kinds = self.recipe.match_copies if losses.get("neighbours") or losses.get("patches") else ()
        if not kinds:
            return []
        found = []
        for painting, own in zip(self.paintings(size), self.style_regions(size), strict=True):
            pictures = copies(painting, kinds)
            masks = copies(own.masks[0], kinds) if own else [None] * len(pictures)
            counted = [ALL if mask is None else Regions({0: mask}) for mask in masks]
            found.append(list(zip(pictures, counted, strict=True)))
        return found

    def style_regions(self, size: tuple[int, int]) -> list[Regions]:
        """What counts of each style at a size of the picture."""
        return [self.masks.of_style(n, own) for n, own in enumerate(self._painting_sizes(size))]

    def border(self, level: int) -> int:
        """Pixels of border that the network sees around a level, counted from 0.

        The last of several works on the bare picture, as the equations do; the others, where the picture is made, see
        it continued by a border (docs/how-it-works.md); and so does a picture too thin for the deepest block.
        """
        size, last = self.sizes[level], level == len(self.sizes) - 1
        made = level > 0 or (self.painted and len(self._sizes(0)) > 1)  # by coarser levels, of this run or another
        thin = min(min(one) for one in (size, *self._painting_sizes(size))) < DEEPEST
        return 0 if last and made and not thin else self.recipe.border

    def finer(self, best: Tensor, level: int) -> Tensor:
        """Where a level begins: at the best picture of the one before, or at the start."""
        size = self.sizes[level]
        if not level or self.matched:
            return detail.resample(best, size)
        paintings = list(zip(self.paintings(size), self.blend, strict=True))
        return detail.finer(best, size, resize(self.start, size), paintings, self.recipe.seed)

    def mix(self, best: Tensor | None, size: tuple[int, int], *, alone: bool = False) -> Tensor:
        """What is matched at a size: the content mixed with the best picture so far, None at the first level.

        The picture carries the finest detail of the content, which it has not painted yet (arXiv:2203.13215, 3.4);
        `alone` it is matched as it is.
        """
        if alone and best is not None:
            return best.cpu()
        content = resize(self.content, size)
        if best is None:
            return content
        carried = detail.carrying(best.to(content), content)
        return torch.lerp(content.expand_as(carried), carried, self.recipe.match_mix)

    def _sizes(self, count: int) -> list[tuple[int, int]]:
        return levels.sizes(*self.size, count, FIRST if self.matched else levels.COARSEST)

    def _painting_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        own = [(style.shape[1], style.shape[2]) for style in self.styles]
        return [fit(one, max(1, round(max(one) * max(size) / max(self.size)))) for one in own]

    def finished(self, picture: Tensor) -> Tensor:
        """A picture of any size, as the transfer works on it, with its colours restored: RGB 0…1, 3×H×W."""
        original = resize(self.original, (picture.shape[1], picture.shape[2]))
        return color.restore(self.recipe.color, picture, original)


def prepare(
    content: Source, styles: Source | Sequence[Source], recipe: Recipe, files: Mapping[str, Source] | None = None
) -> Scene:
    """Read the pictures and make them ready; `files` are those that the recipe names, where they are not paths.

    Raises ImageReadError for a picture that cannot be read, OptionError for a recipe that does not fit the pictures.
    """

    def named(name: str, role: str) -> Picture:
        return read((files or {}).get(name, name), role)

    several: Sequence[Any] = styles if isinstance(styles, list | tuple) else [styles]
    if not several:
        raise OptionError("styles: at least one style picture is needed")
    blend = shares(recipe, len(several))
    source = read(content, "content")
    style_pictures = [read(style, "style") for style in several]
    trimmed = [margins.margins(style.rgb) if recipe.style_trim else (0, 0, 0, 0) for style in style_pictures]
    paintings = [margins.cut(style.rgb, lines) for style, lines in zip(style_pictures, trimmed, strict=True)]
    size = fit(source.size, recipe.size)
    original = resize(source.rgb, size)
    longest = max(1, round(max(size) * recipe.style_scale))
    scaled = [resize(p, fit((p.shape[1], p.shape[2]), longest)) for p in paintings]
    alpha = None if source.alpha is None else resize(source.alpha, size)
    ways = [partial(_cut, lines, (p.shape[1], p.shape[2])) for lines, p in zip(trimmed, scaled, strict=True)]
    masks = masking.prepare(recipe, size, blend, alpha, list(zip(style_pictures, ways, strict=True)), read=named)
    base, ready = color.prepare(recipe.color, original, scaled)
    pictures = {"content": [source], "styles": style_pictures}
    if recipe.init not in INITS:
        pictures["init"] = [named(recipe.init, "init")]
        begin = resize(pictures["init"][0].rgb, size)
    else:
        begin = _start(recipe, base, scaled[0])
    if base.shape[0] == 1 and begin.shape[0] == 3:
        begin = color.luminance(begin)
    notices = [notice for given in pictures.values() for picture in given for notice in picture.notices]
    notices += [*masks.notices, *idle.notices(recipe)]
    notices += [
        f"style {picture.name}: a plain margin at its edge is cut off (style_trim)"
        for picture, lines in zip(style_pictures, trimmed, strict=True)
        if any(lines)
    ]
    return Scene(
        recipe=recipe,
        original=original,
        alpha=alpha,
        content=base,
        styles=tuple(ready),
        start=begin,
        masks=masks,
        blend=blend,
        inputs={
            role: [{"name": p.name, "sha256": p.sha256} for p in given]
            for role, given in {**pictures, **masks.inputs}.items()
        },
        notices=tuple(notices),
    )


def _cut(lines: tuple[int, int, int, int], size: tuple[int, int], mask: Tensor) -> Tensor:
    """A mask as large as a painting was, cut and scaled as the painting itself."""
    return average(margins.cut(mask, lines), size)


def shares(recipe: Recipe, count: int) -> tuple[float, ...]:
    """The share w_i of each of `count` styles; raises OptionError where the recipe blends another number of them."""
    if recipe.blend and len(recipe.blend) != count:
        raise OptionError(f"blend: {len(recipe.blend)} weights for {count} style pictures; give one each")
    blend = recipe.blend or (1.0,) * count
    return tuple(weight / sum(blend) for weight in blend)


def _start(recipe: Recipe, content: Tensor, style: Tensor) -> Tensor:
    """Where to begin, for a recipe that names no picture."""
    size = (content.shape[1], content.shape[2])
    if recipe.init == "content":
        if not recipe.style_losses().get("neighbours"):
            return content
        small = resize(content, (max(1, size[0] // BLUR), max(1, size[1] // BLUR)))
        return torch.lerp(content, detail.resample(small, size), recipe.strength)
    if recipe.init == "style":
        return _cover(style, size)
    return torch.rand(3, *size, generator=torch.Generator().manual_seed(recipe.seed), dtype=torch.float32)


def _cover(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture scaled to fill `size` (height, width) in its own shape, the middle cut out."""
    height, width = size
    scale = max(height / picture.shape[1], width / picture.shape[2])
    tall, wide = max(height, round(picture.shape[1] * scale)), max(width, round(picture.shape[2] * scale))
    top, left = (tall - height) // 2, (wide - width) // 2
    return resize(picture, (tall, wide))[:, top : top + height, left : left + width]
