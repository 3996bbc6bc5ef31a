"""A model for one painting or a few, fitted in minutes from the decoder for any (report, refs 3, 4, 6, 7).

All of the decoder is adapted; each painting has means and deviations of its own at every level, which begin as the
painting's own and are adapted as well. What is kept is the best on a photo that is not learnt from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import torch
from torch import Tensor

from impasto._version import __version__
from impasto.devices import choose_device, choose_precision
from impasto.errors import OptionError
from impasto.network.encoder import Encoder
from impasto.network.weights.loading import load
from impasto.onepass import models
from impasto.onepass.decoder import LEVELS
from impasto.onepass.models import Portrait
from impasto.pictures import margins
from impasto.pictures.read import Picture, Source, read
from impasto.pictures.resize import fit, resize
from impasto.train.fitting import LEAST_STYLE, STYLE, Fitter, Losses, Plan, adain
from impasto.train.photos import Crops

__all__ = ["Training", "Turn"]

SIDE, BATCH = 224, 4  # px of a crop, and crops in a step
LONGER = 512  # px of a painting that is learnt
SMALL = 192  # px of the picture of a painting inside a model
EVERY = 30.0  # seconds between two looks at the photo that is held back
RATE, STYLE_WEIGHT = 0.01, 10.0
KEPT = "painting"


@dataclass(frozen=True)
class Turn:
    """A step done: its number, the share 0…1 of the time, its losses, and the best loss on the photo held back."""

    step: int
    fraction: float
    losses: Losses
    best: float
    looked: bool  # whether the photo held back was painted anew


class Training:
    """A model on its way, carried out by `steps`; `model` at any moment.

    `paintings`: sources, as pictures are read. `photos`: uint8 3×H×W; the first is held back. `minutes`: how long.
    Raises ImageReadError for a painting that cannot be read, OptionError for too many of them or for no photo.
    """

    def __init__(
        self,
        paintings: Sequence[Source],
        photos: Sequence[Tensor],
        *,
        minutes: float = 15.0,
        device: str = "auto",
        precision: str = "auto",
        seed: int = 0,
    ) -> None:
        if not 1 <= len(paintings) <= models.MOST_PAINTINGS:
            raise OptionError(f"{len(paintings)} paintings: a model is for 1 to {models.MOST_PAINTINGS}")
        if len(photos) < 2:
            raise OptionError("at least two photos are needed: one is held back to judge by")
        place = choose_device(device)
        weights = load("lite")
        self.net, self.seconds, self.taken, self.seed = weights.sha256, 60 * minutes, 0.0, seed
        encoder = Encoder(weights, border=0, device=place, dtype=choose_precision(precision, place))
        self.pictures = [read(one, "painting") for one in paintings]
        pixels = [_ready(one) for one in self.pictures]
        tensors = dict(models.embedded().tensors)
        self.grams: dict[str, list[Tensor]] = {layer: [] for layer in STYLE}
        fitter = Fitter(encoder, tensors, Plan(0))
        for number, one in enumerate(pixels):
            with torch.no_grad():
                seen = fitter.seen(one[None].to(place))
            for level in LEVELS:
                var, mean = torch.var_mean(seen[level].float(), (2, 3), correction=0)
                tensors[f"{KEPT}.{number}.{level}.mean"] = mean[0]
                tensors[f"{KEPT}.{number}.{level}.deviation"] = var[0].sqrt()
            for layer in STYLE:
                self.grams[layer].append(fitter.gram(layer, seen[layer])[0])
        self.small = [_small(one) for one in pixels]
        plan = Plan(0, rate=RATE, style=STYLE_WEIGHT, identity=0.0)
        self.fitter = Fitter(encoder, {key: one.to(place) for key, one in tensors.items()}, plan, seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.crops = Crops(photos[1:], SIDE, self.generator)
        self.held = Crops(photos[:1], SIDE + 32, torch.Generator().manual_seed(1)).draw(1).to(place)
        self.best = float("inf")
        self.kept = {key: tensor.clone() for key, tensor in self.fitter.averaged.items()}

    def steps(self) -> Iterator[Turn]:
        """Learn until the time is over; what time has been taken counts, also before a stop."""
        fitter, count = self.fitter, len(self.small)
        same = torch.zeros(BATCH, dtype=torch.bool)
        looked = -EVERY
        while self.taken < self.seconds:
            begun = time.perf_counter()
            photos = self.crops.draw(BATCH).to(self.held.device)
            chosen = [(fitter.done * BATCH + n) % count for n in range(BATCH)]
            grams = {level: torch.stack([several[n] for n in chosen]) for level, several in self.grams.items()}
            share = self.taken / self.seconds
            losses = fitter.step(photos, self._change(fitter.tensors, chosen), grams, same, share)
            self.taken += time.perf_counter() - begun
            look = self.taken - looked >= EVERY or self.taken >= self.seconds
            if look:
                looked = self.taken
                self._judge()
            yield Turn(fitter.done, min(1.0, self.taken / self.seconds), losses, self.best, look)

    @torch.no_grad()
    def preview(self) -> Tensor:
        """The photo held back in each of the paintings, side by side, RGB 0…1, 3×H×W."""
        tensors = self.fitter.averaged
        results = [self.fitter.picture(self.held, self._change(tensors, [n]), tensors) for n in range(len(self.small))]
        return torch.cat([self.held, *results], 3)[0].clamp(0, 1).cpu()

    def model(self, about: Mapping[str, Any] | None = None) -> bytes:
        """The best so far as a model's file."""
        portraits = [
            Portrait(
                PurePath(picture.name).stem,
                small,
                {
                    level: (
                        self.kept[f"{KEPT}.{n}.{level}.mean"].cpu(),
                        self.kept[f"{KEPT}.{n}.{level}.deviation"].cpu().clamp_min(0),
                    )
                    for level in LEVELS
                },
            )
            for n, (picture, small) in enumerate(zip(self.pictures, self.small, strict=True))
        ]
        decoder = {key: tensor.cpu() for key, tensor in self.kept.items() if not key.startswith(f"{KEPT}.")}
        says = {
            "impasto": __version__,
            "minutes": round(self.taken / 60, 2),
            "steps": self.fitter.done,
            "sources": [{"name": one.name, "sha256": one.sha256} for one in self.pictures],
            "licence": "the decoder: CC BY 4.0, made from VGG-19 by K. Simonyan and A. Zisserman; the paintings' own"
            " rights are untouched",
            **(about or {}),
        }
        return models.encode(decoder, self.net, portraits, says)

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            "of": self.identity,
            "taken": self.taken,
            "best": self.best,
            "kept": self.kept,
            "crops": self.generator.get_state(),
            "fitter": self.fitter.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken; raises OptionError where that was for other paintings."""
        if state["of"] != self.identity:
            raise OptionError("the checkpoint is of other paintings or another seed; name another result")
        self.taken, self.best = state["taken"], state["best"]
        self.kept = {key: tensor.clone() for key, tensor in state["kept"].items()}
        self.generator.set_state(state["crops"])
        self.fitter.restore(state["fitter"])

    @property
    def identity(self) -> str:
        """Equal for trainings of the same paintings with the same seed."""
        return f"{self.seed} " + " ".join(one.sha256 for one in self.pictures)

    @torch.no_grad()
    def _judge(self) -> None:
        """Keep the tensors if the photo held back is painted better than ever."""
        tensors, plan, total = self.fitter.averaged, self.fitter.plan, 0.0
        for number in range(len(self.small)):
            result = self.fitter.picture(self.held, self._change(tensors, [number]), tensors).clamp(0, 1)
            grams = {level: several[number][None] for level, several in self.grams.items()}
            content, style = self.fitter.losses(self.held, result, grams)
            total += (plan.content * content + plan.style * (style + LEAST_STYLE).sqrt()).item()
        total /= len(self.small)
        if total < self.best:
            self.best = total
            self.kept = {key: tensor.clone() for key, tensor in tensors.items()}

    @staticmethod
    def _change(tensors: Mapping[str, Tensor], chosen: Sequence[int]) -> Any:
        def change(level: str, maps: Tensor) -> Tensor:
            mean, deviation = (
                torch.stack([tensors[f"{KEPT}.{n}.{level}.{what}"] for n in chosen]) for what in ("mean", "deviation")
            )
            return adain(maps, mean, deviation.clamp_min(0))

        return change


def _ready(picture: Picture) -> Tensor:
    """A painting without its plain margins, its longer side LONGER pixels."""
    rgb = margins.cut(picture.rgb, margins.margins(picture.rgb)) if picture.alpha is None else picture.rgb
    size = fit((rgb.shape[1], rgb.shape[2]), LONGER)
    return resize(rgb, (max(8, size[0]), max(8, size[1])))


def _small(pixels: Tensor) -> Tensor:
    small = resize(pixels, fit((pixels.shape[1], pixels.shape[2]), SMALL))
    return (small * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous()
