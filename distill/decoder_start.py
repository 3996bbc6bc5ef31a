"""The decoder in closed form: each level by reduced-rank ridge regression on the predictions of the one before."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from impasto.network.encoder import Encoder
from impasto.onepass.decoder import LEVELS, Decoder

__all__ = ["RANKS", "start"]

RANKS = {"relu3_1": 128, "relu2_1": 80, "relu1_1": 40}
POSITIONS = {"relu3_1": 48_000, "relu2_1": 60_000, "relu1_1": 60_000, "rgb": 80_000}  # that a fit looks at
RIDGE = 3e-3  # of the mean variance of what enters


@torch.no_grad()
def start(encoder: Encoder, pictures: list[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Tensors of a decoder that gives pictures 3×s×s, RGB 0…1, back as well as one linear step a level can."""
    maps = [
        {k: v.float() for k, v in encoder.maps(encoder.scaled(p[None]), frozenset(LEVELS)).items()} for p in pictures
    ]
    entering = [one[LEVELS[0]] for one in maps]
    tensors: dict[str, Tensor] = {}
    for level in LEVELS[1:]:
        x, y = _sampled(entering, [one[level] for one in maps], POSITIONS[level], generator, enlarged=True)
        W, bias = _ridge(x, y)
        _, V = torch.linalg.eigh((x @ W).T @ (x @ W))
        V = V[:, -RANKS[level] :]
        channels = entering[0].shape[1]
        tensors[f"{level}.down.weight"] = (W @ V).T.reshape(-1, channels, 3, 3).contiguous()
        tensors[f"{level}.up.weight"] = V[:, :, None, None].contiguous()
        tensors[f"{level}.bias"] = bias
        decoder = Decoder(tensors)
        entering = [decoder.step(level, one) for one in entering]
        wrong = sum((a - b[level]).square().sum().item() for a, b in zip(entering, maps, strict=True))
        print(level, f"{wrong / sum(b[level].square().sum().item() for b in maps):.3f} off", flush=True)
    x, y = _sampled(entering, [p[None] for p in pictures], POSITIONS["rgb"], generator, enlarged=False)
    W, bias = _ridge(x, y)
    tensors["rgb.weight"] = W.T.reshape(3, -1, 3, 3).contiguous()
    tensors["rgb.bias"] = bias
    return tensors


def _sampled(
    entering: list[Tensor], wanted: list[Tensor], count: int, generator: torch.Generator, *, enlarged: bool
) -> tuple[Tensor, Tensor]:
    """Random positions: the 3×3 blocks that enter there, P×9I, and what should come out, P×O."""
    blocks, answers = [], []
    each = count // len(entering) + 1
    for x, y in zip(entering, wanted, strict=True):
        wide = interpolate(x, scale_factor=2, mode="nearest") if enlarged else x
        wide = pad(wide, (1, 1, 1, 1), mode="replicate")
        height, width = y.shape[-2:]
        at = torch.randperm(height * width, generator=generator)[:each]
        rows, columns = at // width, at % width
        offsets = [(r, c) for r in range(3) for c in range(3)]
        taken = torch.stack([wide[0][:, rows + r, columns + c] for r, c in offsets], 2)  # I×P×9
        blocks.append(taken.permute(1, 0, 2).flatten(1))
        answers.append(y[0].flatten(1)[:, at].T)
    return torch.cat(blocks), torch.cat(answers)


def _ridge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """W, P→O, and the shift that minimise |x W + b − y|² + ridge |W|²."""
    mean, other = x.mean(0), y.mean(0)
    x, y = x - mean, y - other
    C = x.T @ x
    C.diagonal().add_(RIDGE * C.diagonal().mean())
    W = torch.linalg.solve(C, x.T @ y)
    return W, other - mean @ W
