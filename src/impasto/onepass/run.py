"""One photo painted in one pass: pictures and a recipe in, a result out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from impasto.devices import choose_device, choose_precision
from impasto.errors import MemoryShortError, OptionError, WeightsError
from impasto.losses.gaussians import exact, gaussian
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.regions import ALL, Regions
from impasto.network.tiles import WHOLE, Plan
from impasto.onepass import models, painting
from impasto.onepass.decoder import LEVELS, Decoder
from impasto.onepass.painting import GRID, Way
from impasto.paint import memory, phases, scene
from impasto.paint.result import Result
from impasto.paint.targets import Targets
from impasto.pictures import color
from impasto.pictures.masks import average
from impasto.pictures.read import Picture, Source
from impasto.recipe import Recipe

__all__ = ["Instant", "instant", "instant_start"]

BORDER = 32  # px reflected around a picture, so that the edge of the network does not show
HELD = 0.5  # of what is left of the memory, for maps that are kept
PLANES = 8  # float32 pictures alive at once
DEEP = 4  # maps of relu4_1 alive at once
STRIPS = 512  # channels of a strip's maps alive at once, at full size
PLANS = (WHOLE, *(Plan(rows, frozenset()) for rows in (256, 128, 64, 32)))


def instant(
    content: Source,
    styles: Source | Sequence[Source],
    recipe: Recipe | None = None,
    *,
    files: Mapping[str, Source] | None = None,
    targets: Targets | None = None,
    **options: Any,
) -> Result:
    """The photo in the style of the paintings, in one pass: a result at once, as `stylize` gives one.

    `styles`: paintings, or one model that was trained for some (a path that ends in .impasto). Arguments as those of
    `stylize`; calls that share `targets` look at a painting once. Raises as `stylize`, and WeightsError for a model.

    >>> photo, painting = torch.rand(3, 40, 64), torch.rand(3, 48, 48)
    >>> instant(photo, painting, size=64).image.shape
    torch.Size([3, 40, 64])
    """
    recipe = recipe.replace(instant=True, **options) if recipe else Recipe(instant=True, **options)
    return Instant(content, styles, recipe, files=files, targets=targets).result()


def instant_start(
    content: Source,
    styles: Source | Sequence[Source],
    recipe: Recipe,
    *,
    files: Mapping[str, Source] | None = None,
    targets: Targets | None = None,
) -> Tensor:
    """What one pass gives, RGB 0…1, 3×H×W, for a recipe whose `init` is instant."""
    own = recipe.replace(init="content", instant=True, net="lite")
    return Instant(content, styles, own, files=files, targets=targets).result().image


class Instant:
    """One picture in one pass: read and prepared when it is made, painted by `result`."""

    @torch.inference_mode(mode=False)
    def __init__(
        self,
        content: Source,
        styles: Source | Sequence[Source],
        recipe: Recipe,
        *,
        files: Mapping[str, Source] | None = None,
        targets: Targets | None = None,
    ) -> None:
        self.recipe, self.targets = recipe, targets or Targets()
        self.device = choose_device(recipe.device)
        self.limit = recipe.max_memory * memory.GIB or memory.available(self.device)
        self.model, given = _model(styles)
        if recipe.net != "lite":
            raise OptionError("net: --instant decodes the maps of the embedded network; leave --net out, or use lite")
        self.weights = self.targets.weights(recipe.net)
        if self.model.net != self.weights.sha256:
            raise WeightsError(f"model {self.model.name}: was made for another version of the network; train it again")
        if self.model.paintings and recipe.color in ("match", "histogram"):
            raise OptionError(
                f"color: {recipe.color} recolours the painting itself, which a model no longer has;"
                " use luminance or swap"
            )
        if self.model.paintings and recipe.transform != "adain":
            raise OptionError(f"transform: {recipe.transform} needs the painting itself; a model knows adain only")
        self.scene = scene.prepare(content, given, recipe, files, self.limit)
        self.needed = self._needed()
        if self.needed > self.limit:
            height, width = self.scene.size
            raise MemoryShortError(
                f"{width}×{height} pixels need about {self.needed / memory.GIB:.1f} GiB of memory in one pass,"
                f" {self.limit / memory.GIB:.1f} GiB may be used; use a smaller --size"
            )

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the pictures and the network, one line each."""
        said = self.scene.notices
        if self.model.paintings:  # which holds small pictures, as it should
            said = tuple(notice for notice in said if not notice.startswith(f"style {self.model.name}: "))
        return (*said, *self.weights.notices)

    @torch.inference_mode(mode=False)
    def result(self) -> Result:
        """The picture."""
        begun = time.perf_counter()
        own = self.scene
        encoder = self._encoder()
        decoder = Decoder(self.model.tensors, device=self.device, dtype=encoder.dtype)
        photo = _padded(own.content.expand(3, *own.size))
        plan = self._plan(encoder, _size(photo), [Look(LEVELS[0], "map")])
        held = max(0.0, HELD * (self.limit - self.needed))
        picture = painting.paint(
            encoder, decoder, photo, self._way(encoder, photo), look=self.targets.look, plan=plan, held=held
        )
        picture = picture[:, : own.size[0], : own.size[1]]
        if len(own.content) == 1 or all(color.grey(one) for one in (own.content, *own.styles)):
            picture = color.luminance(picture)
        finished = own.finished(picture)
        free = own.masks.changed(own.size)
        if free is not None:
            finished = torch.lerp(own.original, finished, free)
        return Result(
            image=finished,
            alpha=own.alpha,
            losses={},
            recipe=self.recipe,
            seconds=time.perf_counter() - begun,
            inputs=own.inputs,
            notices=self.notices,
            about=own.about,
        )

    def _encoder(self) -> Encoder:
        """The network; its thin layers are looked at as they are."""
        bare = {key: tensor for key, tensor in self.weights.tensors.items() if not key.endswith(".metric.weight")}
        dtype = choose_precision(self.recipe.precision, self.device)
        return Encoder(
            replace(self.weights, tensors=bare, sha256=f"{self.weights.sha256} bare"),
            border=BORDER,
            device=self.device,
            dtype=dtype,
        )

    def _way(self, encoder: Encoder, photo: Tensor) -> Way:
        own, recipe, size = self.scene, self.recipe, self.scene.size
        swaps = recipe.transform == "swap"
        several = own.paintings(size)
        counted = own.style_regions(size)
        moments, maps = [], []
        if self.model.paintings:
            moments = [
                {
                    level: (exact(mean), torch.diag(exact(deviation) ** 2))
                    for level, (mean, deviation) in one.moments.items()
                }
                for one in self.model.paintings
            ]
        else:
            looks = [Look(level, "moments", "style") for level in LEVELS] + [Look(LEVELS[0], "map", "style")] * swaps
            for one, regions in zip(several, counted, strict=True):
                pixels = one.expand(3, *one.shape[1:])
                plan = self._plan(encoder, _size(pixels), looks)
                seen = self.targets.look(encoder, pixels, looks, plan, regions)
                moments.append({look.layer: gaussian(exact(S)) for look, S in seen.items() if look.kind == "moments"})
                if swaps:
                    maps.append((seen[looks[-1]].float(), regions.at(LEVELS[0], 0)))
        masks = own.masks
        regions = Regions({region: _padded(mask) for region, mask in masks.at(size).masks.items()})
        regions = Regions({region: mask for region, mask in regions.masks.items() if mask.sum() >= 1})
        painted = None if masks.painted is None else _padded(average(masks.painted, size))
        free = masks.changed(size)
        return Way(
            transform=recipe.transform,
            moments=moments,
            maps=maps,
            blend=own.blend,
            region=masks.regions,
            regions=regions.to(self.device) if regions else ALL,
            painted=painted,
            free=None if free is None else _padded(free),
            strength=recipe.strength,
            seed=recipe.seed,
        )

    def _plan(self, encoder: Encoder, size: tuple[int, int], looks: Sequence[Look]) -> Plan:
        """How a picture is walked: in one piece or in the widest strips that there is room for."""
        room = self.limit - memory.working(self.device) - encoder.bytes
        fitting = (plan for plan in PLANS if phases.forward(encoder, size, looks, plan) <= room)
        return next(fitting, PLANS[-1])

    def _needed(self) -> float:
        """Bytes at the least: the network as far as relu4_1, then strips of maps, the deepest ones whole."""
        encoder, (height, width) = self._encoder(), self.scene.size
        area = (height + 2 * BORDER) * (width + 2 * BORDER)
        looks = [Look(LEVELS[0], "map")]
        deep = area / GRID**2 * encoder.width(LEVELS[0]) * 4 * DEEP
        strips = (painting.STRIP + 8) * width * 4 * STRIPS
        walk = phases.forward(encoder, (height, width), looks, PLANS[-1])
        return memory.working(self.device) + encoder.bytes + area * 12 * PLANES + max(walk, deep + strips)


def _model(styles: Source | Sequence[Source]) -> tuple[models.Model, list[Source]]:
    """The decoder, and the paintings: those given, or those that the model knows."""
    several: list[Any] = list(styles) if isinstance(styles, list | tuple) else [styles]
    several = [models.found(one) if isinstance(one, str) else one for one in several]
    found = [one for one in several if models.is_model(one)]
    if not found:
        return models.embedded(), several
    if len(several) > 1:
        raise OptionError("a model is given alone: it holds its paintings; blend them by --blend")
    model = models.read(found[0])
    if not model.paintings:
        raise WeightsError(f"model {model.name}: knows no painting; train it again")
    return model, [_portrait(model, one) for one in model.paintings]


def _portrait(model: models.Model, one: models.Portrait) -> Picture:
    """A painting that a model knows, for its shape and, small as it is, its colours."""
    pixels = one.picture.permute(2, 0, 1).float() / 255
    return Picture(pixels, None, f"{model.name}: {one.name}", model.sha256, ())


def _padded(picture: Tensor) -> Tensor:
    return painting.padded(picture)


def _size(picture: Tensor) -> tuple[int, int]:
    return picture.shape[-2], picture.shape[-1]
