"""The loop: a scene painted step by step, and the calls that most programs need, `steps` and `stylize`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from impasto.devices import choose_device, choose_precision
from impasto.errors import DivergenceError, MemoryShortError, memory_short
from impasto.files import Blob
from impasto.network.encoder import Encoder
from impasto.paint import estimate, memory, objective, optimize, scene
from impasto.paint.objective import Objective
from impasto.paint.targets import Targets
from impasto.pictures import detail
from impasto.pictures.encode import encode, to_array, write
from impasto.pictures.metadata import made
from impasto.pictures.read import Source
from impasto.pictures.resize import resize
from impasto.recipe import Recipe

__all__ = ["Progress", "Result", "Source", "Transfer", "follow", "steps", "stylize"]


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
        return made(self.recipe, self.inputs, self.losses)

    def encode(self, suffix: str = ".png") -> bytes:
        """The picture, its alpha and its recipe as the bytes of a PNG, JPEG, WebP or TIFF file; raises OutputError."""
        return encode(self.image, self.alpha, f"picture{suffix}", metadata=self.metadata())

    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the picture, its alpha and its recipe as PNG, JPEG, WebP or TIFF by suffix; raises OutputError."""
        return write(path, self.image, self.alpha, metadata=self.metadata(), overwrite=overwrite)

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


class Transfer:
    """One transfer: read and prepared when it is made, carried out by `steps`, with a `result` at any moment.

    `content` and each of `styles` may be a path, the bytes of a file, a Pillow image, an array H×W×3 or a tensor 3×H×W.
    `files` holds pictures that the recipe names (`Recipe.init`, `mask`, `style_mask`, `keep`), by these names, and
    `net` stands in place of `Recipe.net`, so that none of them need lie on this machine. Transfers one after the other
    may share `targets`. Raises ImageReadError, WeightsError, OptionError or MemoryShortError before any work is done.
    """

    @torch.inference_mode(mode=False)
    def __init__(
        self,
        content: Source,
        styles: Source | Sequence[Source],
        recipe: Recipe | None = None,
        *,
        files: Mapping[str, Source] | None = None,
        net: Blob | None = None,
        targets: Targets | None = None,
    ) -> None:
        self.recipe = recipe = recipe or Recipe()
        self.targets = targets or Targets(limit=0)
        self.device = choose_device(recipe.device)
        self.limit = recipe.max_memory * memory.GIB or memory.available(self.device)
        self.scene = scene.prepare(content, styles, recipe, files)
        self.weights = self.targets.weights(net or recipe.net)
        self.needs = estimate.plans(self.scene, self.encoder(recipe.border), self.limit)
        self._best = resize(self.scene.start, self.scene.sizes[0])
        self._losses: Mapping[str, float] = {}
        self._seconds = 0.0

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the pictures and the network, one line each."""
        return (*self.scene.notices, *self.weights.notices)

    @property
    def peak(self) -> float:
        """Bytes at the peak, estimated, this process included."""
        return max(need.bytes for need in self.needs)

    @torch.inference_mode(mode=False)
    def expected_seconds(self) -> float:
        """How long `steps` will take, by the pace of a few evaluations; takes seconds itself."""
        return estimate.seconds(self.scene, self.needs, self.encoder, self.targets)

    def keep_buffers(self) -> bool:
        """Keep the memory of one step for the next, where there is room: `memory.keep_buffers`, for programs."""
        return memory.keep_buffers(self.peak, self.limit)

    def encoder(self, border: int) -> Encoder:
        """The network on this transfer's device, seeing so many pixels of border."""
        recipe = self.recipe
        dtype = choose_precision(recipe.precision, self.device)
        return Encoder(self.weights, pooling=recipe.pooling, border=border, device=self.device, dtype=dtype)

    def objective(self, level: int, *, again: bool = False, apart: bool = False) -> Objective:
        """What the optimiser minimises at a level, counted from 0: a function of a picture of that level's size.

        `again`: whether the level has begun already, and its places are matched anew; `apart`: each layer for itself.
        """
        encoder = self.encoder(self.scene.border(level))
        best = self._best if level or again else None
        size, plan = self.scene.sizes[level], self.needs[level].plan
        return objective.at(self.scene, size, encoder, self.targets, plan, best=best, apart=apart)

    def steps(self) -> Iterator[Progress]:
        """Do the work, one evaluation of the gradient at a time.

        Raises DivergenceError, with the best picture as its `result`, if the loss is lost three times.
        """
        own = self._steps()
        while True:
            with torch.inference_mode(mode=False):  # whatever the caller is doing between two steps
                progress = next(own, None)
            if progress is None:
                return
            yield progress

    @torch.inference_mode(mode=False)
    def picture(self) -> Tensor:
        """The best picture so far with its colours restored: RGB 0…1, 3×H×W, at the level's size."""
        return self.scene.finished(self._best.cpu())

    @torch.inference_mode(mode=False)
    def result(self) -> Result:
        """The best picture so far at full size."""
        return Result(
            image=self.scene.finished(detail.resample(self._best, self.scene.size).cpu()),
            alpha=self.scene.alpha,
            losses=self._losses,
            recipe=self.recipe,
            seconds=self._seconds,
            inputs=self.scene.inputs,
            notices=self.notices,
        )

    def _steps(self) -> Iterator[Progress]:
        begun = time.perf_counter()
        sizes, evaluations = self.scene.sizes, self.scene.evaluations
        work = [count * height * width for count, (height, width) in zip(evaluations, sizes, strict=True)]
        done = 0
        for number, size in enumerate(sizes):
            before = 0
            try:
                for count, apart in self.scene.rounds(number):
                    function = self.objective(number, again=before > 0, apart=apart)
                    for step in self._optimize(function, number, count):
                        self._best = function.shown(step.best)
                        self._losses = {**step.best_terms, "total": step.best_value}
                        self._seconds = time.perf_counter() - begun
                        yield Progress(
                            level=number + 1,
                            levels=len(sizes),
                            size=size,
                            step=before + step.index,
                            steps=evaluations[number],
                            loss=step.value,
                            losses=step.terms,
                            fraction=(done + (before + step.index) * size[0] * size[1]) / sum(work),
                            seconds=self._seconds,
                            transfer=self,
                        )
                    before += count
                    del function  # its targets, before the next makes its own
            except DivergenceError as error:
                error.result = self.result()
                raise
            done += work[number]

    def _optimize(self, function: Objective, level: int, evaluations: int) -> Iterator[optimize.Step]:
        """The optimiser at a level, on the best picture of the one before.

        A first guess of 1/f brings the colours of the first level; on finer ones, where they stand, 1/√f is quicker.
        """
        size = self.scene.sizes[level]
        start = self.scene.finer(self._best, level).to(self.device)
        if self.recipe.optimizer == "adam":
            rate = self.recipe.learning_rate
            return optimize.adam(function, start, evaluations, learning_rate=rate, renew=function.renew)
        smooth = optimize.smoothing(*size, self.device, power=0.5 if level else 1.0)
        moves, kept = memory.history(*size)
        return optimize.lbfgs(
            function, start, evaluations, history=moves, kept=kept, precondition=smooth, renew=function.renew
        )


def follow(transfer: Transfer, watch: Callable[[Progress], object] = lambda _: None) -> Result:
    """Carry a transfer out and return what has become of it: the one loop that paints.

    Every step is shown to `watch`, which ends the work by answering True. Raises DivergenceError and MemoryShortError
    with the best picture so far as `result`, where there is one.
    """
    last: Progress | None = None
    try:
        for last in transfer.steps():
            if watch(last) is True:
                break
        return transfer.result()
    except Exception as error:
        if not memory_short(error):
            raise
    # Outside of the handler: the error's frames hold the tensors that the result needs room for.
    height, width = transfer.scene.size
    place = f" at level {last.level} of {last.levels}" if last is not None else ""
    message = f"not enough memory for {width}×{height}{place}; use a smaller --size"
    raise MemoryShortError(message, transfer.result() if last is not None else None)


def steps(
    content: Source,
    styles: Source | Sequence[Source],
    recipe: Recipe | None = None,
    *,
    files: Mapping[str, Source] | None = None,
    **options: Any,
) -> Iterator[Progress]:
    """Carry out a transfer, yielding a Progress after every step; arguments as those of `stylize`."""
    return Transfer(content, styles, _with(recipe, options), files=files).steps()


def stylize(
    content: Source,
    styles: Source | Sequence[Source],
    recipe: Recipe | None = None,
    *,
    files: Mapping[str, Source] | None = None,
    **options: Any,
) -> Result:
    """Paint the content in the style of one or several pictures; `options` are fields of Recipe by name.

    Paths, the bytes of files as `impasto.Blob`, Pillow images, arrays H×W×3 and tensors 3×H×W are accepted alike;
    `files` holds those that options name, as in `stylize(photo, [a, b], mask=("sky", "rest"), files={"sky": array})`.
    Raises ImageReadError, WeightsError and OptionError before the work, DivergenceError and MemoryShortError (with the
    best picture as `result`) during it.
    """
    return follow(Transfer(content, styles, _with(recipe, options), files=files))


def _with(recipe: Recipe | None, options: dict[str, Any]) -> Recipe:
    return (recipe or Recipe()).replace(**options) if options else recipe or Recipe()
