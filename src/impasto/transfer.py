"""One style transfer from pictures to picture: the wiring, and nothing but the wiring."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto import color, detail, images, margins, memory, optimize, pyramid, saving
from impasto._version import __version__
from impasto.devices import choose_device, choose_precision
from impasto.encoder import Encoder
from impasto.errors import DivergenceError, MemoryShortError, OptionError
from impasto.layers import resolve, scale_of
from impasto.objective import Objective, Setting
from impasto.recipe import Recipe
from impasto.targets import Targets
from impasto.tiles import Plan

__all__ = ["Progress", "Result", "Source", "Transfer", "steps", "stylize"]

DEEPEST = scale_of("relu5_1")  # px: a side below this has no position left in block 5 without a border
PACE = 256  # px: a picture as large as this, and a quarter as long as the whole, foretells the pace
PACE_STEPS = 3  # evaluations of it, of which the quickest counts

Source = str | PathLike[str] | Image.Image | np.ndarray | Tensor | images.Picture


@dataclass(frozen=True)
class Result:
    """A finished picture and what made it.

    `image`: float32 RGB 0…1, 3×H×W. `alpha`: the content's, 1×H×W, or None. `losses`: the terms of eq. 5 by name,
    unweighted, and their weighted `total`. `seconds`: from the first step. `inputs`: names and SHA-256 of the pictures.
    """

    image: Tensor
    alpha: Tensor | None
    losses: Mapping[str, float]
    recipe: Recipe
    seconds: float
    inputs: Mapping[str, Any]
    notices: tuple[str, ...]

    def metadata(self) -> dict[str, Any]:
        """What a saved PNG or TIFF holds: recipe, versions, inputs, losses; no times, so that runs can be compared."""
        return {
            "impasto": __version__,
            "torch": torch.__version__,
            "threads": torch.get_num_threads(),
            "recipe": self.recipe.model_dump(mode="json"),
            "inputs": dict(self.inputs),
            "losses": dict(self.losses),
        }

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the picture, its alpha and its recipe as PNG, JPEG, WebP or TIFF by suffix; raises OutputError."""
        return saving.write(path, self.image, self.alpha, metadata=self.metadata(), overwrite=overwrite)

    def to_pil(self) -> Image.Image:
        """The picture as a Pillow image of 8 bits, RGB or RGBA."""
        return Image.fromarray(images.to_array(self.image, self.alpha))


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


class Transfer:
    """One transfer: read and prepared when it is made, carried out by `steps`, with a `result` at any moment.

    `content` and each of `styles` may be a path, a Pillow image, an array H×W×3 or a tensor 3×H×W. Transfers one after
    the other may share `targets`. Raises ImageReadError, WeightsError or OptionError before any work is done.
    """

    def __init__(
        self,
        content: Source,
        styles: Source | Sequence[Source],
        recipe: Recipe | None = None,
        *,
        targets: Targets | None = None,
    ) -> None:
        self.recipe = recipe = recipe or Recipe()
        self.targets = targets or Targets(limit=0)
        several: Sequence[Any] = styles if isinstance(styles, list | tuple) else [styles]
        if not several:
            raise OptionError("styles: at least one style picture is needed")
        if recipe.blend and len(recipe.blend) != len(several):
            raise OptionError(f"blend: {len(recipe.blend)} weights for {len(several)} style pictures; give one each")
        blend = recipe.blend or (1.0,) * len(several)
        self.blend = tuple(weight / sum(blend) for weight in blend)
        self.device = choose_device(recipe.device)
        self.limit = recipe.max_memory * memory.GIB or memory.available(self.device)

        self.source = _read(content, "content")
        style_pictures = [_read(style, "style") for style in several]
        paintings = [margins.trim(style.rgb) if recipe.style_trim else style.rgb for style in style_pictures]
        pictures = {"content": [self.source], "styles": style_pictures}
        self.size = images.fit(self.source.size, recipe.size)
        self.original = images.resize(self.source.rgb, self.size)
        longest = max(1, round(max(self.size) * recipe.style_scale))
        scaled = [images.resize(p, images.fit((p.shape[1], p.shape[2]), longest)) for p in paintings]
        self.content, self.styles = color.prepare(recipe.color, self.original, scaled)
        self.start = self._start(scaled, pictures)

        self.inputs = {role: [{"name": p.name, "sha256": p.sha256} for p in given] for role, given in pictures.items()}
        self.notices = tuple(notice for given in pictures.values() for picture in given for notice in picture.notices)
        self.notices += tuple(
            f"style {picture.name}: a plain margin at its edge is cut off (style_trim)"
            for picture, painting in zip(style_pictures, paintings, strict=True)
            if picture.rgb.shape != painting.shape
        )
        self.weights = self.targets.weights(recipe.net)
        self.sizes = pyramid.sizes(*self.size, recipe.levels)
        self.evaluations = pyramid.evaluations(recipe.iterations, len(self.sizes))
        self.needs = self._plan()
        self._best = images.resize(self.start, self.sizes[0])
        self._losses: Mapping[str, float] = {}
        self._seconds = 0.0

    def steps(self) -> Iterator[Progress]:
        """Do the work, one evaluation of the gradient at a time.

        Raises DivergenceError, with the best picture as its `result`, if the loss is lost three times.
        """
        begun = time.perf_counter()
        work = [count * height * width for count, (height, width) in zip(self.evaluations, self.sizes, strict=True)]
        done = 0
        for number, size in enumerate(self.sizes):
            objective = self.objective(number)
            try:
                for step in self._optimize(objective, number):
                    self._best, self._losses = step.best, {**step.best_terms, "total": step.best_value}
                    self._seconds = time.perf_counter() - begun
                    yield Progress(
                        level=number + 1,
                        levels=len(self.sizes),
                        size=size,
                        step=step.index,
                        steps=self.evaluations[number],
                        loss=step.value,
                        losses=step.terms,
                        fraction=(done + step.index * size[0] * size[1]) / sum(work),
                        seconds=self._seconds,
                        transfer=self,
                    )
            except DivergenceError as error:
                error.result = self.result()
                raise
            done += work[number]

    def picture(self) -> Tensor:
        """The best picture so far with its colours restored: RGB 0…1, 3×H×W, at the level's size."""
        best = self._best.cpu()
        return color.restore(self.recipe.color, best, images.resize(self.original, (best.shape[1], best.shape[2])))

    def result(self) -> Result:
        """The best picture so far at full size."""
        best = detail.resample(self._best, self.size).cpu()
        return Result(
            image=color.restore(self.recipe.color, best, self.original),
            alpha=None if self.source.alpha is None else images.resize(self.source.alpha, self.size),
            losses=self._losses,
            recipe=self.recipe,
            seconds=self._seconds,
            inputs=self.inputs,
            notices=self.notices,
        )

    def _start(self, styles: list[Tensor], pictures: dict[str, list[images.Picture]]) -> Tensor:
        """The picture to start from, `Recipe.init`, at full size and with as many channels as the transfer works on."""
        init = self.recipe.init
        if init == "content":
            return self.content
        if init == "style":
            start = _cover(styles[0], self.size)
        elif init == "noise":
            generator = torch.Generator().manual_seed(self.recipe.seed)
            start = torch.rand(3, *self.size, generator=generator)
        else:
            pictures["init"] = [_read(init, "init")]
            start = images.resize(pictures["init"][0].rgb, self.size)
        return color.luminance(start) if self.content.shape[0] == 1 else start

    def expected_seconds(self) -> float:
        """How long `steps` will take, by the pace of a few evaluations of a small version of the picture."""
        longer = max(self.size)
        size = images.fit(self.size, min(max(PACE, longer // 4), longer))
        plan = self.needs[-1].plan
        objective = self._objective(size, bare=False, plan=replace(plan, rows=min(plan.rows, size[0] // 4 * 2)))
        start = images.resize(self.start, size).to(self.device)
        taken = []
        for _ in range(PACE_STEPS):
            begun = time.perf_counter()
            objective(start).gradient.sum().item()  # waits for the device
            taken.append(time.perf_counter() - begun)
        targets = (1 + len(self.styles)) / 2  # of each level: two pictures looked at cost one evaluation
        work = [self._area(level) * (count + targets) for level, count in enumerate(self.evaluations)]
        return min(taken) / _bordered(size, self.recipe.border) * sum(work)

    @property
    def peak(self) -> float:
        """Bytes at the peak, estimated, this process included."""
        return max(need.bytes for need in self.needs)

    def keep_buffers(self) -> bool:
        """Keep the memory of one step for the next, where there is room: `memory.keep_buffers`, for programs."""
        return memory.keep_buffers(self.peak, self.limit)

    def _area(self, level: int) -> int:
        """Pixels that the network sees at a level."""
        return _bordered(self.sizes[level], 0 if self._bare(level) else self.recipe.border)

    def _bare(self, level: int) -> bool:
        return 0 < level == len(self.sizes) - 1

    def objective(self, level: int) -> Objective:
        """What the optimiser minimises at a level, counted from 0: a function of a picture of that level's size."""
        return self._objective(self.sizes[level], self._bare(level), self.needs[level].plan)

    def _objective(self, size: tuple[int, int], bare: bool, plan: Plan) -> Objective:
        """The targets at a size.

        The last of several works on the bare picture, as the equations do; the others, where the picture is made, see
        it continued by a border (docs/how-it-works.md).
        """
        recipe, (height, width) = self.recipe, size
        content = images.resize(self.content, (height, width)).expand(3, height, width).to(self.device)
        styles = self._styles(size)
        thin = min(min(picture.shape[1:]) for picture in (content, *styles)) < DEEPEST
        encoder = self._encoder(0 if bare and not thin else recipe.border)
        layers = resolve(recipe.style_layer)
        features = self.targets.maps(encoder, content, resolve(recipe.content_layer), plan)
        grams = tuple(self.targets.grams(encoder, style, layers, plan) for style in styles)
        return Objective(
            encoder,
            Setting(
                recipe=recipe,
                content=content,
                content_features=features,
                grams=grams,
                blend=self.blend,
                area=self.size[0] * self.size[1] / (height * width),
            ),
            plan,
        )

    def _styles(self, size: tuple[int, int]) -> list[Tensor]:
        """The paintings as they are at a size of the picture."""
        share, found = max(size) / max(self.size), []
        for style in self.styles:
            longer = max(1, round(max(style.shape[1:]) * share))
            found.append(images.resize(style, images.fit((style.shape[1], style.shape[2]), longer)))
        return found

    def _encoder(self, border: int) -> Encoder:
        return Encoder(
            self.weights,
            pooling=self.recipe.pooling,
            border=border,
            device=self.device,
            dtype=choose_precision(self.recipe.precision, self.device),
        )

    def _plan(self) -> list[memory.Need]:
        """How each level is walked; raises MemoryShortError, saying what would fit, for a size that cannot."""
        encoder, maps = self._encoder(self.recipe.border), resolve(self.recipe.content_layer)
        layers = {**maps, **resolve(self.recipe.style_layer)}
        needs = [
            memory.choose(encoder, size, layers, maps, limit=self.limit, rows=self.recipe.tile) for size in self.sizes
        ]
        largest = needs[-1].bytes
        if largest <= self.limit:
            return needs
        fits = memory.largest(encoder, self.size, layers, maps, self.limit)
        remedy = f"--size {fits} fits" if fits else "no size fits"
        height, width = self.size
        raise MemoryShortError(
            f"{width}×{height} pixels need about {largest / memory.GIB:.1f} GiB of memory,"
            f" {self.limit / memory.GIB:.1f} GiB may be used; {remedy}"
        )

    def _optimize(self, objective: Objective, level: int) -> Iterator[optimize.Step]:
        """The optimiser at a level, on the best picture of the one before.

        A first guess of 1/f brings the colours of the first level; on finer ones, where they stand, 1/√f is quicker.
        """
        size, evaluations = self.sizes[level], self.evaluations[level]
        if level:
            paintings = list(zip(self._styles(size), self.blend, strict=True))
            start = detail.finer(self._best, size, images.resize(self.start, size), paintings, self.recipe.seed)
        else:
            start = detail.resample(self._best, size)
        start = start.to(self.device)
        if self.recipe.optimizer == "adam":
            return optimize.adam(objective, start, evaluations, learning_rate=self.recipe.learning_rate)
        smooth = optimize.smoothing(*size, self.device, power=0.5 if level else 1.0)
        moves, kept = memory.history(*size)
        return optimize.lbfgs(objective, start, evaluations, history=moves, kept=kept, precondition=smooth)


def steps(
    content: Source, styles: Source | Sequence[Source], recipe: Recipe | None = None, **options: Any
) -> Iterator[Progress]:
    """Carry out a transfer, yielding a Progress after every step; `options` change fields of the recipe."""
    return Transfer(content, styles, _with(recipe, options)).steps()


def stylize(content: Source, styles: Source | Sequence[Source], recipe: Recipe | None = None, **options: Any) -> Result:
    """Paint the content in the style of one or several pictures; `options` are fields of Recipe by name.

    Paths, Pillow images, arrays H×W×3 and tensors 3×H×W are accepted alike. Raises ImageReadError, WeightsError and
    OptionError before the work, DivergenceError (with the best picture as `result`) during it.
    """
    transfer = Transfer(content, styles, _with(recipe, options))
    for _ in transfer.steps():
        pass
    return transfer.result()


def _with(recipe: Recipe | None, options: dict[str, Any]) -> Recipe:
    return (recipe or Recipe()).replace(**options) if options else recipe or Recipe()


def _bordered(size: tuple[int, int], border: int) -> int:
    """Pixels of a picture with its border."""
    return (size[0] + 2 * border) * (size[1] + 2 * border)


def _read(source: Source, role: str) -> images.Picture:
    return source if isinstance(source, images.Picture) else images.read(source, role)


def _cover(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture scaled to fill `size` (height, width) in its own shape, the middle cut out."""
    height, width = size
    scale = max(height / picture.shape[1], width / picture.shape[2])
    tall, wide = max(height, round(picture.shape[1] * scale)), max(width, round(picture.shape[2] * scale))
    top, left = (tall - height) // 2, (wide - width) // 2
    return images.resize(picture, (tall, wide))[:, top : top + height, left : left + width]
