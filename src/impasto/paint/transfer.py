"""A transfer: its pictures prepared, its levels painted one after the other, left and gone on with at any step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from impasto.devices import choose_device, choose_precision
from impasto.errors import DivergenceError, OptionError
from impasto.files import Blob
from impasto.network.encoder import Encoder
from impasto.paint import curvature, estimate, memory, objective, optimize, scene
from impasto.paint.objective import Objective
from impasto.paint.place import Place, tensors
from impasto.paint.result import Progress, Result
from impasto.paint.targets import Targets
from impasto.pictures import detail
from impasto.pictures.read import Source
from impasto.pictures.resize import resize
from impasto.recipe import Recipe

__all__ = ["Transfer"]


class Transfer:
    """One transfer: read and prepared when it is made, carried out by `steps`, with a `result` at any moment.

    `content` and each of `styles` may be a path, the bytes of a file, an open file, a Pillow image, an array H×W×3 or a
    tensor 3×H×W.
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
        if recipe.instant:
            raise OptionError("instant: one pass has no steps; call impasto.instant, or leave it out")
        self.targets = targets or Targets(limit=0)
        self.device = choose_device(recipe.device)
        self.limit = recipe.max_memory * memory.GIB or memory.available(self.device)
        self.scene = scene.prepare(content, styles, recipe, files, self.limit)
        self.weights = self.targets.weights(net or recipe.net)
        self.needs = estimate.plans(self._load(), self.limit)
        self._keeping = False
        self.taken = 0  # evaluations done
        self._best = resize(self.scene.start, self.scene.sizes[0])
        self._losses: Mapping[str, float] = {}
        self._seconds = 0.0
        self._place: Place | None = None
        self._begin: Place | None = None

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the pictures and the network, one line each."""
        return (*self.scene.notices, *self.weights.notices)

    @property
    def peak(self) -> float:
        """Bytes at the peak, estimated, this process included."""
        return max(self.scene.read, *(need.kept if self._keeping else need.bytes for need in self.needs))

    @torch.inference_mode(mode=False)
    def expected_seconds(self) -> float:
        """How long `steps` will take, by the pace of a few evaluations; takes seconds itself."""
        return estimate.seconds(self.scene, self.needs, self.encoder, self.targets)

    def keep_buffers(self) -> bool:
        """Keep the memory of one step for the next, where there is room: `memory.keep_buffers`, for programs."""
        self._keeping = memory.keep_buffers(estimate.SURE * max(need.kept for need in self.needs), self.limit)
        return self._keeping

    def encoder(self, border: int) -> Encoder:
        """The network on this transfer's device, seeing so many pixels of border."""
        recipe = self.recipe
        dtype = choose_precision(recipe.precision, self.device)
        return Encoder(self.weights, pooling=recipe.pooling, border=border, device=self.device, dtype=dtype)

    def _load(self) -> estimate.Load:
        return estimate.Load.of(self.scene, self.encoder(self.recipe.border), self.targets.limit)

    def objective(self, level: int, *, again: bool = False, apart: bool = False) -> Objective:
        """What the optimiser minimises at a level, counted from 0: a function of a picture of that level's size.

        `again`: whether the level has begun already, and its places are matched anew; `apart`: each layer for itself.
        """
        encoder = self.encoder(self.scene.border(level))
        best = self._best if level or again or self.scene.painted else None
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
            about=self.scene.about,
        )

    @property
    def place(self) -> Place | None:
        """Where it stands, for `go_on`; to be read between two steps. None before the first step."""
        return None if self._place is None else replace(self._place, seconds=self._seconds)

    @torch.inference_mode(mode=False)
    def go_on(self, place: Place) -> None:
        """Let `steps` go on from where an equal transfer stood; on the CPU it ends as that one would have, bit for bit.

        Raises ValueError for a place that is of no such transfer, MemoryShortError where memory has become too little.
        """
        levels, rounds = len(self.scene.sizes), self._rounds()
        kind = optimize.Adam if self.recipe.optimizer == "adam" else optimize.Lbfgs
        if not 0 <= place.round < len(rounds) or len(place.plans) != levels:
            raise ValueError("it has other levels")
        if not isinstance(place.optimizer, kind | None):
            raise ValueError("it has another optimizer")
        stands = place.optimizer
        first = isinstance(stands, optimize.Adam) and stands.number == 0  # before its first evaluation
        if stands is not None and not first and (stands.best.x is None or stands.best.evaluation is None):
            raise ValueError("it has no best picture")
        shape = (len(self._best), *self.scene.sizes[rounds[place.round].level])
        held = [*tensors(stands), *tensors(place.matched)]
        if self.device.type != "cpu":  # where numbers stay on the device
            held = [one for one in held if one.ndim]
        if place.picture.ndim != 3 or any(tuple(one.shape) != shape for one in held):
            raise ValueError("it is of another size")
        if place.plans != tuple(need.plan for need in self.needs):
            self.needs = estimate.planned(self._load(), place.plans, self.limit)
        self._begin, self._best, self._losses = place, place.picture, place.losses
        self.taken, self._seconds = place.taken, place.seconds

    def _rounds(self) -> list[_Round]:
        found = []
        for level in range(len(self.scene.sizes)):
            before = 0
            for count, apart in self.scene.rounds(level):
                found.append(_Round(level, before, count, apart))
                before += count
        return found

    def _steps(self) -> Iterator[Progress]:
        begin, self._begin = self._begin, None
        begun = time.perf_counter() - (begin.seconds if begin else 0)
        sizes, evaluations = self.scene.sizes, self.scene.evaluations
        work = [count * height * width for count, (height, width) in zip(evaluations, sizes, strict=True)]
        plans = tuple(need.plan for need in self.needs)
        for number, turn in enumerate(self._rounds()):
            if begin is not None and number < begin.round:
                continue
            size, done = sizes[turn.level], sum(work[: turn.level])
            self._place = Place(number, self._best, self._losses, plans, self.taken)
            try:
                for step, shown in self._round(turn, begin if begin and number == begin.round else None):
                    self._best = shown
                    self._losses = {**step.best_terms, "total": step.best_value}
                    self._seconds = time.perf_counter() - begun
                    self.taken += 1
                    yield Progress(
                        level=turn.level + 1,
                        levels=len(sizes),
                        size=size,
                        step=turn.before + step.index,
                        steps=evaluations[turn.level],
                        loss=step.value,
                        losses=step.terms,
                        fraction=(done + (turn.before + step.index) * size[0] * size[1]) / sum(work),
                        seconds=self._seconds,
                        transfer=self,
                    )
            except DivergenceError as error:
                error.result = self.result()
                raise

    def _round(self, turn: _Round, begin: Place | None) -> Iterator[tuple[optimize.Step, Tensor]]:
        """The steps of a round, from its beginning or from a place within it, and the best picture after each."""
        function = self.objective(turn.level, again=turn.before > 0, apart=turn.apart)
        stands = begin.optimizer if begin else None
        if begin is not None and stands is not None:
            function.match_again(begin.matched)
            if stands.best.x is not None and stands.best.evaluation is not None:
                self._best = function.shown(stands.best.x)
                self._losses = {**stands.best.evaluation.terms, "total": stands.best.evaluation.value}

        def mark(stands: optimize.Lbfgs | optimize.Adam) -> None:
            assert self._place is not None
            self._place = replace(self._place, optimizer=stands, matched=function.matched, taken=self.taken)

        for step in self._optimize(function, turn, stands, mark):
            yield step, function.shown(step.best)

    def _optimize(
        self,
        function: Objective,
        turn: _Round,
        stands: optimize.Lbfgs | optimize.Adam | None,
        mark: Callable[[optimize.Lbfgs | optimize.Adam], None],
    ) -> Iterator[optimize.Step]:
        """The optimiser at a level, on the best picture of the one before.

        A first guess of 1/f brings the colours of the first level; on finer ones, where they stand, 1/√f is quicker.
        """
        size = self.scene.sizes[turn.level]
        with memory.scattered():
            start = self.scene.finer(self._best, turn.level).to(self.device)
        common: dict[str, Any] = {"renew": function.renew, "place": stands, "mark": mark}
        if self.recipe.optimizer == "adam":
            return optimize.adam(function, start, turn.count, learning_rate=self.recipe.learning_rate, **common)
        smooth = curvature.smoothing(*size, self.device, power=0.5 if turn.level else 1.0)
        moves, kept = memory.history(*size)
        return optimize.lbfgs(function, start, turn.count, history=moves, kept=kept, precondition=smooth, **common)


@dataclass(frozen=True)
class _Round:
    """Evaluations that belong together: `count` of a level, which has had `before` so far."""

    level: int
    before: int
    count: int
    apart: bool
