"""Fitting a decoder by gradient: what its pictures should be, and steps of Adam towards that.

A step paints a batch of photos in a batch of paintings, in one pass, and looks at the results through the encoder:
content is the relative squared distance to the photo's relu4_1, style that of the Gram matrices of relu1_1 … relu5_1
to the painting's (report, eqs 1–4, in relative units), of which the root counts, so that no painting is beyond hope.
A share of the batch has the photo itself as its painting, and should come back as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from impasto.network.encoder import Encoder
from impasto.onepass import transforms
from impasto.onepass.decoder import LEVELS, Decoder

__all__ = ["STYLE", "Fitter", "Plan", "adain", "painted"]

BORDER = 16  # pixels reflected around a photo, so that its maps are those of a picture that goes on
STYLE = (*LEVELS, "relu5_1")  # layers whose Gram matrices are compared
LEAST_STYLE = 1e-4  # below which no painting can be told from another

Change = Callable[[str, Tensor], Tensor]  # of a level and its maps


@dataclass(frozen=True)
class Plan:
    """How a decoder is fitted: `rate` of Adam in units of each tensor's own size, falling to `last` of it."""

    steps: int
    rate: float = 0.01
    last: float = 0.05
    content: float = 1.0
    style: float = 6.0
    identity: float = 20.0  # of the root mean squared pixel error where the painting is the photo itself
    outside: float = 50.0  # of what leaves 0…1, squared
    noise: float = 0.05  # standard deviation on the photo: where a map is flat, strokes have nothing to begin from
    average: float = 0.99  # of the running mean of the tensors, which is what is kept


@dataclass(frozen=True)
class Losses:
    """Means over a batch, of those that are no copies of their photos: content, style (geometric), and what counts."""

    content: float
    style: float
    loss: float


class Fitter:
    """A decoder's tensors, and whatever else is given, on their way; `averaged` are those to keep."""

    def __init__(self, encoder: Encoder, tensors: Mapping[str, Tensor], plan: Plan, seed: int = 0) -> None:
        self.encoder, self.plan, self.done = encoder, plan, 0
        self.tensors = {key: tensor.detach().float().clone().requires_grad_() for key, tensor in tensors.items()}
        self.averaged = {key: tensor.detach().clone() for key, tensor in self.tensors.items()}
        groups = [
            {"params": [tensor], "scale": max(1e-6, tensor.detach().square().mean().sqrt().item())}
            for tensor in self.tensors.values()
        ]
        self.optimizer = torch.optim.Adam(groups, lr=plan.rate, betas=(0.9, 0.98), eps=1e-12)
        self.generator = torch.Generator().manual_seed(seed)

    def step(self, photos: Tensor, change: Change, grams: Mapping[str, Tensor], same: Tensor, share: float) -> Losses:
        """One step of Adam on photos B×3×s×s, RGB 0…1.

        `change` brings maps to the paintings' statistics, `grams`, B×N×N by level, are theirs; `same`, B: where the
        painting is the photo itself. `share` 0…1 of the work is done.
        """
        plan = self.plan
        rate = plan.rate * min(1.0, (self.done + 1) / 50)
        rate *= plan.last + (1 - plan.last) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        noise = torch.randn(photos.shape, generator=self.generator) * (~same).view(-1, 1, 1, 1)
        result = self.picture(photos + plan.noise * noise, change)
        content, style = self.losses(photos, result, grams)
        outside = (result - result.clamp(0, 1)).square().mean((1, 2, 3))
        loss = plan.content * content + plan.style * (style + LEAST_STYLE).sqrt() + plan.outside * outside
        if same.any():
            back = (result - photos).square().mean((1, 2, 3)).sqrt()
            loss = torch.where(same, plan.content * content + plan.identity * back, loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.mean().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.done += 1
        keep = min(plan.average, self.done / (self.done + 10))
        with torch.no_grad():
            for key, tensor in self.tensors.items():
                self.averaged[key].lerp_(tensor, 1 - keep)
        other = ~same
        seen = content[other].mean().item(), style[other].log().mean().exp().item()
        return Losses(*seen, loss.mean().item())

    def picture(self, photos: Tensor, change: Change, tensors: Mapping[str, Tensor] | None = None) -> Tensor:
        """Pictures B×3×s×s in one pass, with gradients in the tensors."""
        with torch.no_grad():
            wide = torch.nn.functional.pad(photos, (BORDER,) * 4, mode="reflect")
            maps = self.encoder.maps(self.encoder.scaled(wide), frozenset({LEVELS[0]}))[LEVELS[0]]
            edge = BORDER // 8
            begun = maps[:, :, edge:-edge, edge:-edge]
        return painted(Decoder(tensors or self.tensors, dtype=self.encoder.dtype), begun, change)

    def losses(self, photos: Tensor, result: Tensor, grams: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Content and style of each picture of a batch, B each."""
        with torch.no_grad():
            content = self.encoder.maps(self.encoder.scaled(photos), frozenset({LEVELS[0]}))[LEVELS[0]].float()
        found = {level: maps.float() for level, maps in self.seen(result).items()}
        far = (found[LEVELS[0]] - content).square().sum((1, 2, 3)) / content.square().sum((1, 2, 3))
        off = [
            (self.gram(level, found[level]) - A).square().sum((1, 2)) / A.square().sum((1, 2)).clamp_min(1e-12)
            for level, A in grams.items()
        ]
        return far, torch.stack(off).mean(0)

    def seen(self, pictures: Tensor) -> dict[str, Tensor]:
        """Maps of the levels, and of the other layers compared, of pictures B×3×s×s."""
        return self.encoder.maps(self.encoder.scaled(pictures), frozenset(STYLE))

    def gram(self, level: str, maps: Tensor) -> Tensor:
        """Gram matrices B×N×N of maps B×N×h×w, in the channels of the network that a thin layer stands for."""
        flat = maps.float().flatten(2)
        G = flat @ flat.transpose(1, 2) / flat.shape[2]
        Q = self.encoder.metrics.get(level)
        return G if Q is None else Q @ G @ Q.T

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            "done": self.done,
            "tensors": {key: tensor.detach() for key, tensor in self.tensors.items()},
            "averaged": self.averaged,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.done = state["done"]
        with torch.no_grad():
            for key, tensor in self.tensors.items():
                tensor.copy_(state["tensors"][key])
        self.averaged = {key: tensor.clone() for key, tensor in state["averaged"].items()}
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])


def painted(decoder: Decoder, begun: Tensor, change: Change) -> Tensor:
    """Pictures B×3×H×W from maps of relu4_1, which `change` changes at every level."""
    maps = change(LEVELS[0], begun.float())
    for level in LEVELS[1:]:
        maps = change(level, decoder.step(level, maps).float())
    return decoder.rgb(maps).float()


def adain(maps: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Maps B×N×h×w with other means and deviations, B×N or N."""
    var, own = torch.var_mean(maps, (2, 3), keepdim=True, correction=0)
    scale = deviation[..., None, None] * (var + transforms.LEAST * var.mean(1, keepdim=True) + 1e-12).rsqrt()
    return (maps - own) * scale + mean[..., None, None]
