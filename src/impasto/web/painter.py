"""One job painted in a process of its own: the instant picture first, then the optimiser, seen while it goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from impasto import files
from impasto.errors import Failure, ImpastoError, OptionError
from impasto.files import Blob
from impasto.onepass.run import Instant, instant_start
from impasto.options import INSTANT
from impasto.paint.checkpoint import Keeper
from impasto.paint.result import Progress, Result
from impasto.paint.run import follow
from impasto.paint.targets import Targets
from impasto.paint.transfer import Transfer
from impasto.recipe import Recipe
from impasto.web.reader import webp
from impasto.web.records import CHECKPOINT, PREVIEW, RESULT
from impasto.web.talk import Talk

__all__ = ["Painter"]

DRAFT = 384  # px: longer side of an instant picture that comes before a larger one
LARGEST = 1536  # px: longer side of a preview
APART = 0.25  # seconds between two numbers or two previews, at least
SHARE = 0.02  # of the time that previews may take, at most
WARM = 128  # px: the picture that is painted before there is one
COARSE = 128  # px: levels below it are no better to look at than the instant picture


class Painter:
    """What paints on one device; what it has seen of pictures is kept for the next job."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.targets = Targets()

    def warm_up(self) -> float:
        """Load what a first picture would have to wait for; seconds for each pixel that the network looks at."""
        photo, painting = torch.rand(2, 3, WARM, WARM)
        recipe = Recipe(size=WARM, levels=1, iterations=4, device=self.device)
        Instant(photo, painting, recipe.replace(instant=True), targets=self.targets).result()
        times = [progress.seconds for progress in Transfer(photo, painting, recipe).steps()]
        return (times[-1] - times[0]) / max(1, len(times) - 1) / (WARM + 2 * recipe.border) ** 2

    def paint(self, order: dict[str, Any], talk: Talk) -> dict[str, Any]:
        """Carry a job out; what it says at the end. Raises ImpastoError where there is no picture."""
        try:
            talk.stopped = None
            return _Run(order, talk, self.targets).paint()
        except MemoryError:
            self.targets.clear()
            raise


class _Run:
    """One job."""

    def __init__(self, order: dict[str, Any], talk: Talk, targets: Targets) -> None:
        self.job, self.talk, self.targets = order["job"], talk, targets
        self.folder = Path(order["folder"])
        self.version = order["preview"]
        self.content, self.styles = _blob(order["content"]), [_blob(one) for one in order["styles"]]
        self.files: dict[str, Any] = {name: _blob(one) for name, one in order["files"].items()}
        self.recipe = Recipe(**order["recipe"])  # as it is written into the picture
        own = self.recipe
        self.own = own.replace(max_memory=order["memory"]) if order["memory"] and not own.max_memory else own
        self.draft = order["draft"]
        self.notices: list[str] = []
        self.transfer: Transfer | None = None
        self.stopped = False
        self.next_numbers = self.next_preview = 0.0

    def paint(self) -> dict[str, Any]:
        """From the first picture to the last."""
        if self.recipe.instant:
            return self._end(Instant(self.content, self.styles, self.own, **self._common).result())
        if self.draft and not (self.folder / CHECKPOINT).exists():
            self._draft()
        if self.own.init == INSTANT:
            self.files[INSTANT] = instant_start(self.content, self.styles, self.own, **self._common)
        if self.talk.asked_to_stop(self.job):
            return {"stopped": True, "picture": False, "notices": self.notices}
        self.transfer = transfer = Transfer(self.content, self.styles, self.own, **self._common)
        transfer.keep_buffers()
        keeper = self._keeper(transfer)
        evaluations = transfer.scene.evaluations
        total, before = sum(evaluations), [sum(evaluations[:level]) for level in range(len(evaluations))]

        def watch(progress: Progress) -> bool:
            keeper.step(progress)
            self.stopped = self.talk.asked_to_stop(self.job)
            now = time.monotonic()
            if now >= self.next_numbers or progress.fraction >= 1:
                self.next_numbers = now + APART
                taken = before[progress.level - 1] + progress.step
                self._numbers(progress, [taken, total])
            if self.stopped:
                keeper.write()
            return self.stopped

        failure = None
        try:
            result = follow(transfer, watch)
        except ImpastoError as error:
            if getattr(error, "result", None) is None:
                raise
            failure, result = Failure.of(error), error.result  # type: ignore[attr-defined]
        answer = self._end(result)
        if not self.stopped:
            keeper.kept = keeper.kept or (self.folder / CHECKPOINT).exists()
            keeper.remove()
        return {**answer, "error": failure and failure.message}

    @property
    def _common(self) -> dict[str, Any]:
        return {"files": self.files, "targets": self.targets}

    def _keeper(self, transfer: Transfer) -> Keeper:
        """What keeps the run in a file; it goes on from there, unless the file is of another version or machine."""
        keeper = Keeper(self.folder / CHECKPOINT, transfer, tell=self.notices.append)
        try:
            keeper.resume()
        except OptionError:
            keeper.kept = True
            keeper.remove()
            self.notices.append("it could not go on where it was stopped and has begun anew")
        return keeper

    def _draft(self) -> None:
        """The instant picture, to be looked at while the optimiser begins."""
        size = min(self.own.size or DRAFT, DRAFT)
        try:
            own = self.own.replace(instant=True, init="content", net="lite", size=size)
            result = Instant(self.content, self.styles, own, **self._common).result()
        except ImpastoError as error:
            self.notices.append(f"without an instant picture: {error}")
            return
        self._preview(lambda: (result.image, result.alpha))
        height, width = result.image.shape[1:]
        self.talk.say("draft", preview=self.version, width=width, height=height)

    def _numbers(self, progress: Progress, step: list[int]) -> None:
        shown = self.version == 0 or not self.draft or max(progress.size) >= COARSE
        if shown and time.monotonic() >= self.next_preview and not self.stopped:
            scene = progress.transfer.scene
            self._preview(lambda: (progress.image(), scene.alpha_at(progress.size)))
        height, width = progress.size
        losses = {**progress.losses, "total": progress.loss}
        self.talk.say(
            "step",
            step=step,
            fraction=progress.fraction,
            remaining=progress.remaining,
            seconds=progress.seconds,
            losses={name: _finite(value) for name, value in losses.items()},
            loss=_finite(progress.loss),
            level=[height, width],
            preview=self.version,
        )

    def _preview(self, look: Callable[[], tuple[Tensor, Tensor | None]]) -> None:
        """Write what there is to see; so seldom that it takes next to none of the painting's time."""
        begun = time.monotonic()
        rgb, alpha = look()
        temporary = self.folder / f"{PREVIEW}.tmp"
        with suppress(OSError):  # a full disk: the painting goes on
            temporary.write_bytes(webp(rgb, alpha, LARGEST))
            os.replace(temporary, self.folder / PREVIEW)  # noqa: PTH105
            self.version += 1
        ended = time.monotonic()
        self.next_preview = ended + max(APART, (ended - begun) / SHARE)

    def _end(self, result: Result) -> dict[str, Any]:
        result = replace(result, recipe=self.recipe)
        self._preview(lambda: (result.image, result.alpha))
        files.write(self.folder / RESULT, result.encode(".png"))
        height, width = result.image.shape[1:]
        return {
            "picture": True,
            "stopped": self.stopped,
            "preview": self.version,
            "width": width,
            "height": height,
            "seconds": result.seconds,
            "losses": {name: _finite(value) for name, value in result.losses.items()},
            "notices": list(dict.fromkeys([*result.notices, *self.notices])),
            "error": None,
        }


def _blob(named: dict[str, str]) -> Blob:
    """A file of ours by the name that it came with."""
    blob = files.read(named["path"], named["name"])
    return Blob(named["name"], blob.data, blob.sha256)


def _finite(value: float) -> float:
    """A number that JSON has."""
    return float(value) if abs(value) < 1e300 else 1e300
