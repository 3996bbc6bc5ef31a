"""Where each painting counts, where the photo stays, and what of a painting is looked at: the masks of a scene."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from impasto.errors import OptionError
from impasto.layers import resolve, scale_of
from impasto.network.regions import ALL, LEAST, Regions
from impasto.paint.paintings import Painting
from impasto.pictures.masks import average, grey, shared
from impasto.pictures.read import Picture
from impasto.recipe import ALL_OF_IT, REST, Recipe

__all__ = ["Masks", "prepare"]

SHAPE = 0.05  # how far the shape of a mask may be from that of its picture before it is worth a word
WHITE = 1 - 1e-3  # half a step of 8 bits

Read = Callable[[str, str], Picture]  # of a name and a role


@dataclass(frozen=True, eq=False)
class Masks:
    """Weights 0…1 at full size, None where everything counts.

    `painted`: the part of each painting, K×H×W, by `Recipe.mask`. `free`: 1 where the picture may change, 1×H×W: all
    but what `Recipe.keep` keeps. `visible`: the content's alpha. `of_styles`: what counts of each painting, as large
    as it. `inputs`: names and SHA-256 of the pictures read, by role. `notices`: for the user.
    """

    painted: Tensor | None = None
    free: Tensor | None = None
    visible: Tensor | None = None
    of_styles: tuple[Tensor | None, ...] = ()
    inputs: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def regions(self) -> tuple[int, ...]:
        """The region of each painting: one each where they are told apart, else all the same."""
        count = len(self.of_styles)
        return (0,) * count if self.painted is None else tuple(range(1, count + 1))

    def at(self, size: tuple[int, int]) -> Regions:
        """The regions of the picture at a size."""
        counted = [average(mask, size) for mask in (self.free, self.visible) if mask is not None]
        whole = torch.stack(counted).prod(0) if counted else None
        if self.painted is None:
            return ALL if whole is None else Regions({0: whole})
        parts = average(self.painted, size)
        parts = parts if whole is None else parts * whole
        return Regions({region: parts[region - 1 : region] for region in self.regions})

    def seen(self, size: tuple[int, int]) -> Regions:
        """How far the content's pixels count at a size, wherever they are painted or kept: one region."""
        return ALL if self.visible is None else Regions({0: average(self.visible, size)})

    def counts(self, number: int, size: tuple[int, int]) -> tuple[Tensor | None, Tensor | None]:
        """How far pixels of a painting, and of the picture where it is painted, count in their colours; None: all.

        Where it is painted almost nowhere, the colours are those of all that is visible.
        """
        own = self.of_styles[number] if self.of_styles else None
        there = self.at(size).masks.get(self.regions[number])
        if there is not None and there.sum() < LEAST:
            there = self.visible
        return own, there

    def of_style(self, number: int, size: tuple[int, int]) -> Regions:
        """The one region of a painting at a size of its own."""
        mask = self.of_styles[number] if self.of_styles else None
        return ALL if mask is None else Regions({0: average(mask, size)})

    def changed(self, size: tuple[int, int]) -> Tensor | None:
        """How far each pixel may change, 1×H×W, at a size of the picture; None: all of them wholly."""
        return None if self.free is None else average(self.free, size)


def prepare(
    recipe: Recipe,
    size: tuple[int, int],
    blend: Sequence[float],
    alpha: Tensor | None,
    styles: Sequence[Painting],
    *,
    read: Read,
) -> Masks:
    """The masks that a recipe names, for a picture of `size` (height, width) whose alpha is given.

    Raises OptionError where there are not as many masks as paintings, ImageReadError for one that cannot be read.
    """
    alpha = alpha if alpha is not None and alpha.any() else None  # of what is nowhere visible, all counts
    notices: list[str] = []
    inputs: dict[str, list[dict[str, str]]] = {}

    def mask(name: str, role: str, shape: tuple[int, int]) -> Tensor:
        picture = read(name, role.replace("_", " "))
        inputs.setdefault(role, []).append({"name": picture.name, "sha256": picture.sha256})
        notices.extend(picture.notices)
        given, wanted = (side[1] / side[0] for side in (picture.size, shape))
        if abs(given / wanted - 1) > SHAPE:
            notices.append(
                f"{role.replace('_', ' ')} {picture.name}: has another shape than its picture and is stretched to it"
            )
        return grey(picture)

    for named, count in ((recipe.mask, "mask"), (recipe.style_mask, "style_mask")):
        if named and len(named) != len(styles):
            raise OptionError(f"{count}: {len(named)} for {len(styles)} style pictures; give one each")
    painted = None
    if recipe.mask:
        if recipe.mask.count(REST) > 1:
            raise OptionError(f"mask: {REST} is what no other mask covers; give it once")
        own = {n: average(mask(name, "mask", size), size) for n, name in enumerate(recipe.mask) if name != REST}
        left = (1 - sum(own.values(), torch.zeros(1, *size))).clamp(0, 1)
        several = torch.cat([own.get(n, left) for n in range(len(styles))])
        if several.min() < WHITE:
            painted = shared(several, blend)
            notices += _empty(recipe, "mask", recipe.mask, painted)
    free = None
    if recipe.keep:
        kept = average(mask(recipe.keep, "keep", size), size)
        if kept.max() > 1 - WHITE:
            free = 1 - kept
            if free.max() < 1 - WHITE:
                notices.append(f"keep {inputs['keep'][0]['name']}: is white all over; the photo stays as it is")
    if alpha is not None:
        notices += _empty(recipe, "content", ("alpha",), alpha)
    of_styles: list[Tensor | None] = []
    for number, painting in enumerate(styles):
        name = recipe.style_mask[number] if recipe.style_mask else ALL_OF_IT
        counted = painting.alpha if painting.alpha is not None and painting.alpha.any() else None
        if name != ALL_OF_IT:
            drawn = average(mask(name, "style_mask", painting.size), painting.size)
            counted = drawn if counted is None else drawn * counted
        counted = None if counted is None else painting.cut(counted)
        if counted is not None and not counted.any():
            raise OptionError(f"style_mask: {name} leaves nothing of the painting; white is what counts")
        of_styles.append(None if counted is None or counted.min() >= WHITE else counted)
        if counted is not None and of_styles[-1] is not None:
            notices += _empty(recipe, "style_mask", (name if name != ALL_OF_IT else painting.name,), counted)
    return Masks(painted, free, alpha, tuple(of_styles), inputs, tuple(notices))


def _empty(recipe: Recipe, role: str, names: Sequence[str], masks: Tensor) -> list[str]:
    """A notice for each mask that has too few positions of some layer to be compared there."""
    losses = recipe.style_losses()
    layers = resolve(recipe.style_layer) if losses.get("gram") or losses.get("moments") else {"relu1_1": 1.0}
    found = []
    for name, mask in zip(names, masks, strict=True):
        few = [layer for layer in layers if mask.sum() / scale_of(layer) ** 2 < LEAST]
        if few:
            where = "everywhere" if len(few) == len(layers) else f"at {', '.join(few)}"
            found.append(f"{role.replace('_', ' ')} {name}: is nearly empty and left out {where}")
    return found
