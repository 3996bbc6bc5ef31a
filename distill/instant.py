"""Make the decoder of the one-pass way from the embedded network and two folders of pictures.

    python distill/instant.py --photos PHOTOS --art PAINTINGS --work FOLDER --out instant.safetensors

Closed form first, then steps of gradients; a second run with `--start`, larger crops and a lower rate goes on from the
first one's result (docs/instant.md has both commands). FOLDER holds a checkpoint, so that the same command goes on
where a run was cut, and a line a hundred steps in `curve.csv`.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from decoder_start import start
from torch import Tensor

from impasto.network.encoder import Encoder
from impasto.network.weights.loading import load
from impasto.onepass import models
from impasto.paint.memory import keep_buffers
from impasto.train.fitting import Fitter, Plan, adain
from pictures import listed, read, split

HELD_OUT_PHOTOS, HELD_OUT_ART = 100, 40
BEGUN = 200  # pictures of the closed form
SAVED_EVERY = 100
SAME = 8  # every so many pictures of a batch have the photo itself as their painting


def main() -> None:
    """Read the options and fit the decoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", required=True)
    parser.add_argument("--art", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--leave-out", nargs="*", default=[], metavar="NAME")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--style", type=float, default=8.0)
    parser.add_argument("--rate", type=float, default=0.01, help="of Adam, in units of each tensor's own size")
    parser.add_argument("--start", type=Path, help="a decoder to go on from, in place of the closed form")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list-pairs", type=int, default=0, help="print so many pairs of pictures held out, and end")
    options = parser.parse_args()
    if options.list_pairs:
        _list(options)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    material = Material(options)
    encoder = Encoder(load("lite"), border=0, dtype=torch.bfloat16)
    begun = options.work / "start.pt"
    if not begun.exists() and options.start:
        torch.save(dict(models.read(options.start).tensors), begun)
    if not begun.exists():
        generator = torch.Generator().manual_seed(options.seed)
        pictures = [material.photo(224) if n % 2 else material.painting(224) for n in range(BEGUN)]
        torch.save(start(Encoder(load("lite"), border=0), pictures, generator), begun)
    plan = Plan(options.steps, rate=options.rate, style=options.style)
    fitter = Fitter(encoder, torch.load(begun, weights_only=True), plan, options.seed)
    keep_buffers(0, math.inf)  # a sixth of the time otherwise
    state = options.work / "state.pt"
    if state.exists():
        fitter.restore(torch.load(state, weights_only=True))
    material.generator.manual_seed(options.seed + 1 + fitter.done)
    sums: dict[str, list[float]] = {}
    since = time.time()
    while fitter.done < options.steps:
        photos = torch.stack([material.photo(options.side) for _ in range(options.batch)])
        same = torch.tensor([(fitter.done * options.batch + n) % SAME == 0 for n in range(options.batch)])
        paintings = torch.stack(
            [photo if own else material.painting(options.side) for photo, own in zip(photos, same, strict=True)]
        )
        with torch.no_grad():
            seen = {level: maps.float() for level, maps in fitter.seen(paintings).items()}
            grams = {level: fitter.gram(level, maps) for level, maps in seen.items()}
        losses = fitter.step(photos, _change(seen), grams, same, fitter.done / options.steps)
        for key, value in vars(losses).items():
            sums.setdefault(key, []).append(value)
        if fitter.done % SAVED_EVERY == 0 or fitter.done == options.steps:
            _save(fitter, options)
            told = [f"{key}={sum(values) / len(values):.4f}" for key, values in sums.items()]
            line = ",".join([str(fitter.done), f"{time.time() - since:.0f}", *told])
            with (options.work / "curve.csv").open("a") as file:
                file.write(line + "\n")
            print(line, flush=True)
            sums.clear()


def _change(seen: Mapping[str, Tensor]) -> Callable[[str, Tensor], Tensor]:
    """What brings maps to the means and deviations of paintings."""

    def change(level: str, maps: Tensor) -> Tensor:
        var, mean = torch.var_mean(seen[level], (2, 3), correction=0)
        return adain(maps, mean, var.sqrt())

    return change


def _list(options: argparse.Namespace) -> None:
    """Print pairs of pictures that nothing was fitted on, as benchmarks/instant.py reads them."""
    photos = split([p for folder in options.photos for p in listed(folder)], HELD_OUT_PHOTOS, options.leave_out)[1]
    art = split([p for folder in options.art for p in listed(folder)], HELD_OUT_ART, options.leave_out)[1]
    for number in range(options.list_pairs):
        print(f"{photos[7 * number % len(photos)]}\t{art[3 * number % len(art)]}")


def _save(fitter: Fitter, options: argparse.Namespace) -> None:
    part = options.work / "state.part"
    torch.save(fitter.state(), part)
    part.replace(options.work / "state.pt")
    given = {name: getattr(options, name) for name in ("steps", "batch", "side", "style", "rate", "seed")}
    command = " ".join(["distill/instant.py", *(f"--{name} {value:g}" for name, value in given.items())])
    about = {"made_by": command, "step": fitter.done, "licence": "CC BY 4.0, made from VGG-19 (see NOTICE)"}
    options.out.write_bytes(models.encode(fitter.averaged, load("lite").sha256, [], about))


class Material:
    """Photographs and paintings to draw from, but for those held out by the hash of their names."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.generator = torch.Generator().manual_seed(options.seed)

        def kept(folders: list[Path], count: int) -> list[Path]:
            return split([p for folder in folders for p in listed(folder)], count, options.leave_out)[0]

        self.photos = [_short(p, 288) for p in kept(options.photos, HELD_OUT_PHOTOS)]
        self.art = [_short(p, 448) for p in kept(options.art, HELD_OUT_ART)]
        print(len(self.photos), "photos,", len(self.art), "paintings", flush=True)

    def uniform(self) -> float:
        """A number 0…1."""
        return float(torch.rand((), generator=self.generator))

    def photo(self, side: int) -> Tensor:
        """A crop 3×side×side of a photograph, RGB 0…1."""
        return self._crop(self.photos, side, 1.0)

    def painting(self, side: int) -> Tensor:
        """A crop of a painting, from nearly all of it to a detail, at times in other colours."""
        crop = self._crop(self.art, side, 2.0)
        if self.uniform() < 0.25:
            crop = crop[torch.randperm(3, generator=self.generator)]
        return crop

    def _crop(self, pictures: list[Tensor], side: int, most: float) -> Tensor:
        picture = pictures[int(torch.randint(len(pictures), (), generator=self.generator))]
        short = min(picture.shape[-2:])
        scale = 1.0 + self.uniform() * (min(most, short / side) - 1.0) if short > side else short / side
        cut = min(short, round(side * max(1.0, short / side / scale)))
        top, left = (int(self.uniform() * (length - cut + 1)) for length in picture.shape[-2:])
        crop = picture[None, :, top : top + cut, left : left + cut].float() / 255
        if cut != side:
            crop = torch.nn.functional.interpolate(crop, size=(side, side), mode="bilinear", antialias=True)
        return (crop.flip(-1) if self.uniform() < 0.5 else crop)[0].clamp(0, 1)


def _short(path: Path, side: int) -> Tensor:
    """A picture as uint8 3×H×W whose shorter side is at most `side`."""
    picture = read(path)
    factor = side / min(picture.shape[-2:])
    return read(path, max(1, round(max(picture.shape[-2:]) * factor))) if factor < 1 else picture


if __name__ == "__main__":
    main()
