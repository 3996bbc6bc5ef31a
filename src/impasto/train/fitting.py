"""Fitting a decoder by gradient: what its pictures should be, and steps of Adam towards that.

A step paints a batch of photos in a batch of paintings, in one pass, and looks at the results through the encoder:
content is the relative squared distance to the photo's relu4_1, style that of the Gram matrices of relu1_1 … relu4_1
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

__all__ = ["Fitter", "Plan"]

BORDER = 16  # pixels reflected around a photo, so that its maps are those of a picture that goes on


@dataclass(frozen=True)
class Plan:
    """How a decoder is fitted: `rate` of Adam in units of each tensor's own size, falling to `last` of it."""

    steps: int
    rate: float = 0.005
    last: float = 0.1
    content: float = 1.0
    style: float = 6.0
    identity: float = 20.0  # of the mean squared pixel error where the painting is the photo itself
    variation: float = 0.0  # of the total variation above the photo's
    noise: float = 0.05  # standard deviation on the photo: where a map is flat, strokes have nothing to begin from
    average: float = 0.99  # of the running mean of the tensors, which is what is kept


class Fitter:
    """A decoder's tensors on their way; `averaged` are those to keep."""

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

    def step(self, photos: Tensor, paintings: Tensor, same: Tensor, transform: str = "adain") -> dict[str, float]:
        """One step of Adam on photos and paintings B×3×s×s, RGB 0…1; `same`, B: where both are the same picture."""
        plan, encoder = self.plan, self.encoder
        share = self.done / plan.steps
        rate = plan.rate * min(1.0, (self.done + 1) / 30)
        rate *= plan.last + (1 - plan.last) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        with torch.no_grad():
            noisy = photos + plan.noise * torch.randn(photos.shape, generator=self.generator) * (~same).view(
                -1, 1, 1, 1
            )
            begun = self._inside(noisy)
            content = encoder.maps(encoder.scaled(photos), frozenset({LEVELS[0]}))[LEVELS[0]].float()
            seen = {k: v.float() for k, v in encoder.maps(encoder.scaled(paintings), frozenset(LEVELS)).items()}
            grams = {level: self._gram(level, maps) for level, maps in seen.items()}
        decoder = Decoder(self.tensors, dtype=encoder.dtype)
        result = painted(decoder, begun, seen, transform)
        found = {k: v.float() for k, v in encoder.maps(encoder.scaled(result), frozenset(LEVELS)).items()}
        far = (found[LEVELS[0]] - content).square().sum((1, 2, 3)) / content.square().sum((1, 2, 3))
        off = [
            (self._gram(level, found[level]) - A).square().sum((1, 2)) / A.square().sum((1, 2))
            for level, A in grams.items()
        ]
        style = torch.stack(off).mean(0)
        clipped = (result - result.clamp(0, 1)).square().mean((1, 2, 3))
        loss = plan.content * far + plan.style * (style + 1e-4).sqrt() + 50 * clipped
        if plan.variation:
            loss = loss + plan.variation * torch.relu(_variation(result) - _variation(paintings))
        if same.any():
            again = (result - photos).square().mean((1, 2, 3)).sqrt()
            loss = torch.where(same, plan.content * far + plan.identity * again, loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.mean().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.done += 1
        keep = min(plan.average, self.done / (self.done + 10))
        with torch.no_grad():
            for key, tensor in self.tensors.items():
                self.averaged[key].lerp_(tensor, 1 - keep)
        other = ~same
        return {
            "content": far[other].mean().item(),
            "style": style[other].log().mean().exp().item(),
            "loss": loss.mean().item(),
        }

    def _inside(self, photos: Tensor) -> Tensor:
        """Maps of relu4_1 of photos that go on beyond their edges."""
        wide = torch.nn.functional.pad(photos, (BORDER,) * 4, mode="reflect")
        maps = self.encoder.maps(self.encoder.scaled(wide), frozenset({LEVELS[0]}))[LEVELS[0]]
        edge = BORDER // 8
        return maps[:, :, edge:-edge, edge:-edge]

    def _gram(self, level: str, maps: Tensor) -> Tensor:
        flat = maps.flatten(2)
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


def painted(decoder: Decoder, begun: Tensor, seen: Mapping[str, Tensor], transform: str) -> Tensor:
    """Pictures B×3×H×W from maps of relu4_1, with the statistics of the paintings' maps `seen` at every level."""
    maps = begun.float()
    for level in LEVELS:
        if level != LEVELS[0]:
            maps = decoder.step(level, maps.to(decoder.dtype)).float()
        way = transform if level != LEVELS[0] else "adain"
        maps = WAYS[way](maps, seen[level])
    return decoder.rgb(maps.to(decoder.dtype)).float()


def _adain(maps: Tensor, style: Tensor) -> Tensor:
    var, mean = torch.var_mean(maps, (2, 3), keepdim=True, correction=0)
    wanted, other = torch.var_mean(style, (2, 3), keepdim=True, correction=0)
    scale = wanted.sqrt() * (var + transforms.LEAST * var.mean(1, keepdim=True) + 1e-12).rsqrt()
    return (maps - mean) * scale + other


def _transport(maps: Tensor, style: Tensor) -> Tensor:
    """The transport is a constant to the gradient, which would have to pass through eigenvectors."""
    from impasto.losses.gaussians import of

    out = []
    for own, other in zip(maps, style, strict=True):
        with torch.no_grad():
            T, _ = transforms.transport(*of(own.flatten(1).double()), *of(other.flatten(1).double()))
            T = T.to(own.dtype)
        mean, wanted = own.mean((1, 2)), other.mean((1, 2))
        out.append(torch.einsum("ij,jhw->ihw", T, own - mean[:, None, None]) + wanted[:, None, None])
    return torch.stack(out)


WAYS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"adain": _adain, "whiten": _transport}


def _variation(pictures: Tensor) -> Tensor:
    across = (pictures[..., 1:] - pictures[..., :-1]).abs().mean((1, 2, 3))
    down = (pictures[..., 1:, :] - pictures[..., :-1, :]).abs().mean((1, 2, 3))
    return across + down
