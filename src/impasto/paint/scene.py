"""A scene: the pictures of a transfer, prepared once for its recipe, whatever is then done with them.

Everything that paints or only thinks of painting begins here: sizes of the levels, colours made ready, where to start.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.layers import scale_of
from impasto.network.regions import ALL, Regions
from impasto.options import INITS, check_word
from impasto.paint import idle, levels, masking, memory, paintings, starts
from impasto.paint.masking import Masks
from impasto.pictures import color, detail, exif, sources
from impasto.pictures.copies import copies
from impasto.pictures.exif import About
from impasto.pictures.read import Picture, Source, read
from impasto.pictures.reduced import Wanted
from impasto.pictures.resize import fit, resize
from impasto.recipe import Recipe

__all__ = ["Scene", "prepare"]

FIRST = 64  # px: longer side of the first level where places are matched
DEEPEST = scale_of("relu5_1")  # px: a side below this has no position left in block 5 without a border


@dataclass(frozen=True, eq=False)
class Scene:
    """Pictures ready for a recipe, on the CPU.

    `original`: the content, RGB 0…1, 3×H×W, at full size; `alpha`: its alpha, 1×H×W, or None. `content` and `styles`:
    what the transfer works on, of one channel where it works on luminance. `start`: where it begins, as `content`.
    `masks`: where they count. `blend`: a share of each style, with a sum of 1. `inputs`: names and SHA-256 by role.
    `notices`: for the user. `even`: whether the content has one colour. `about`: what the photo says of itself. `read`:
    bytes of the process, about, at the peak of reading the pictures.
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
    even: bool = False
    about: About = field(default_factory=About, repr=False)
    read: float = 0.0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the result."""
        return self.original.shape[1], self.original.shape[2]

    @property
    def bytes(self) -> float:
        """Of its pictures."""
        several = [self.original, self.content, self.start, *self.styles]
        return float(sum({one.data_ptr(): one.nbytes for one in several}.values()))

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of each level, coarse to fine."""
        return _sizes(self.recipe, self.size, self.recipe.levels)

    @property
    def painted(self) -> bool:
        """Whether it begins, at full size alone, with a picture of its own: as after all the coarser levels."""
        return self.recipe.init not in INITS and len(self.sizes) == 1

    @property
    def compared(self) -> Recipe:
        """The recipe of what is compared.

        Of a content of one colour, the network sees next to nothing: relative to that, any stroke would be infinitely
        far from it, and the content term would leave mud. It is left out.
        """
        recipe = self.recipe
        painted = recipe.style_weight and any(recipe.style_losses().values())
        return recipe.replace(content_weight=0) if self.even and painted and recipe.units == "relative" else recipe

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
        several = len(_sizes(self.recipe, self.size, 0)) > 1
        made = level > 0 or (self.painted and several)  # by coarser levels, of this run or another
        thin = min(min(one) for one in (size, *self._painting_sizes(size))) < DEEPEST
        return 0 if last and made and not thin else self.recipe.border

    def finer(self, best: Tensor, level: int) -> Tensor:
        """Where a level begins: at the best picture of the one before, or at the start."""
        size = self.sizes[level]
        if not level or self.matched:
            return detail.resample(best, size)
        counted = [own.masks.get(0) for own in self.style_regions(size)]
        several = list(zip(self.paintings(size), self.blend, counted, strict=True))
        return detail.finer(best, size, resize(self.start, size), several, self.recipe.seed)

    def mix(self, best: Tensor | None, size: tuple[int, int], *, alone: bool = False) -> Tensor:
        """What is matched at a size: the content mixed with the best picture so far, None at the first level.

        The picture carries the finest detail of the content, which it has not painted yet (arXiv:2203.13215, 3.4);
        `alone` it is matched as it is.
        """
        if alone and best is not None:
            return best.cpu()
        content = resize(self.start if self.even else self.content, size)
        if best is None:
            return content
        carried = detail.carrying(best.to(content), content)
        return torch.lerp(content.expand_as(carried), carried, self.recipe.match_mix)

    def _painting_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        own = [(style.shape[1], style.shape[2]) for style in self.styles]
        return [fit(one, max(1, round(max(one) * max(size) / max(self.size)))) for one in own]

    def alpha_at(self, size: tuple[int, int]) -> Tensor | None:
        """The content's alpha at a size of the picture."""
        return None if self.alpha is None else resize(self.alpha, size)

    def finished(self, picture: Tensor) -> Tensor:
        """A picture of any size, as the transfer works on it, with its colours restored: RGB 0…1, 3×H×W."""
        original = resize(self.original, (picture.shape[1], picture.shape[2]))
        return color.restore(self.recipe.color, picture, original)


def prepare(
    content: Source,
    styles: Source | Sequence[Source],
    recipe: Recipe,
    files: Mapping[str, Source] | None = None,
    limit: float = math.inf,
) -> Scene:
    """Read the pictures and make them ready; `files` are those that the recipe names, where they are not paths.

    Each is let go as soon as it has the size that it is needed in. `limit`: bytes that the process may use in all.
    Raises ImageReadError for a picture that cannot be read, OptionError for a recipe that does not fit the pictures,
    MemoryShortError for one too large to be read.
    """
    inputs: dict[str, list[dict[str, str]]] = {}
    read_notices: list[str] = []
    peaks: list[float] = []

    def given(source: Source, role: str, longer: float, among: str = "") -> Picture:
        before = memory.resident()
        wanted = Wanted(longer, limit - before)
        picture = read(source, role, wanted)
        peaks.append(before + wanted.needed)
        if among:
            inputs.setdefault(among, []).append({"name": picture.name, "sha256": picture.sha256})
            read_notices.extend(picture.notices)
        return picture

    def named(name: str, role: str, among: str = "") -> Picture:
        if name not in (files or {}):
            check_word(name, role)
        return given((files or {}).get(name, name), role, max(size), among)

    several: list[Any] = list(styles) if isinstance(styles, list | tuple) else [styles]
    several = [one if isinstance(one, str) else sources.blob(one, "style") or one for one in several]  # read once
    if not several:
        raise OptionError("styles: at least one style picture is needed")
    blend = shares(recipe, len(several))
    content = sources.blob(content, "content") or content
    about = exif.about(content, "content")  # before a Pillow image is loaded, and its file perhaps closed
    source = given(content, "content", recipe.size, "content")
    if about.damaged and not any("EXIF" in notice for notice in source.notices):
        read_notices.append(f"content {source.name}: its EXIF block is damaged; what can be read of it is used")
    size = fit(source.full_size, recipe.size)
    original, alpha, notices = paintings.photo(source, size)
    del source, content

    def style(number: int, longer: float) -> Picture:
        again = len(inputs.get("styles", ())) > number
        return given(several[number], "style", longer, "" if again else "styles")

    ready = paintings.prepare(recipe, len(several), size, style)
    masks = masking.prepare(recipe, size, blend, alpha, ready, read=named)
    counts = [masks.counts(number, size) for number in range(len(ready))]
    base, painted = color.prepare(recipe.color, original, [one.pixels for one in ready], counts)
    even = starts.flat(base, masks.visible)
    if len(base) == 3 and starts.noisy(recipe, even) and all(color.grey(one) for one in (base, *painted)):
        base, painted = color.luminance(base), [color.luminance(one) for one in painted]  # or colours come from nowhere
    init = None if recipe.init in INITS else named(recipe.init, "init", "init")
    begin, more = starts.begin(
        recipe,
        base,
        ready[0].pixels,
        lambda: starts.noise(
            recipe.seed,
            base,
            painted,
            first=_sizes(recipe, size, recipe.levels)[0],
            shares=blend if masks.painted is None else list(masks.painted[:, None]),
            counts=[own for own, _ in counts],
        ),
        picture=init,
        even=even,
    )
    told = [notice for one in ready for notice in one.notices]
    return Scene(
        recipe=recipe,
        original=original,
        alpha=alpha,
        content=base,
        styles=tuple(painted),
        start=begin,
        masks=masks,
        blend=blend,
        inputs={**inputs, **masks.inputs},
        notices=(*read_notices, *notices, *told, *more, *masks.notices, *idle.notices(recipe, size, even=even)),
        even=even,
        about=about,
        read=max(peaks),
    )


def _sizes(recipe: Recipe, size: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Height and width of each of `count` levels, 0: as many as fit; where places are matched, it begins smaller."""
    return levels.sizes(*size, count, FIRST if recipe.style_losses().get("neighbours") else levels.COARSEST)


def shares(recipe: Recipe, count: int) -> tuple[float, ...]:
    """The share w_i of each of `count` styles; raises OptionError where the recipe blends another number of them."""
    if recipe.blend and len(recipe.blend) != count:
        raise OptionError(f"blend: {len(recipe.blend)} weights for {count} style pictures; give one each")
    blend = recipe.blend or (1.0,) * count
    return tuple(weight / sum(blend) for weight in blend)
