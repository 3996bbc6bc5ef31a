"""Evaluate the embedded network against its teacher, on pictures kept out of the training, and write the tables.

    python distill/evaluate.py lite.safetensors vgg19.h5 --photos PHOTOS --art PAINTINGS --pairs pairs.txt --out C.md

Each line of pairs.txt is `CONTENT STYLE`, two files beside it. The network's metadata tells which pictures of both
folders it has not seen. Feature errors are |S − T|²/|T|² after the ReLU, summed over positions and pictures; Gram
errors the same of Gram matrices, averaged over pictures. Pairs are painted by impasto with both networks, by the same
schedule, those that lie beside the card already left as they are; the judge is the teacher in float32, looking at the
finished pictures in 8 bits.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Collection
from pathlib import Path

import storage
import torch
from measure import errors, macs
from onpolicy import transfers
from rich.progress import track
from student import Student
from torch import Tensor
from vgg import CONVOLUTIONS, Teacher, read_keras

import impasto
from pictures import listed, read

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))
import judge

LONGEST = 512  # pixels of the held-out pictures
PICTURES = 16  # of each kind at most
TRANSFERS = 5  # each gives two pictures
STYLE_WEIGHT = 1000.0  # of the judged pictures, so that the style counts


def main() -> None:
    """Read the options, measure, and write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--art", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512, help="longer side of the judged pictures")
    parser.add_argument("--out", type=Path, required=True, help="the card; the pictures are written beside it")
    options = parser.parse_args()
    tensors, metadata = storage.load(options.network)
    held_out = frozenset(json.loads(metadata["held_out"]))
    student, teacher = Student(tensors), Teacher(read_keras(options.teacher), torch.float32)
    shown = [unseen(folder, held_out) for folder in (options.photos, options.art)]
    lines = [f"{macs(student)} multiplications a pixel to conv5_1, {options.network.stat().st_size} bytes", ""]
    lines += [*error_table(student, teacher, shown), ""]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines), encoding="utf-8")
    pairs = [line.split() for line in options.pairs.read_text(encoding="utf-8").splitlines() if line.strip()]
    files = [(options.pairs.parent / content, options.pairs.parent / style) for content, style in pairs]
    nets = {"vgg19": options.teacher, "lite": options.network}
    lines += judge_table(judge.load(options.teacher), nets, files, options.size, options.out.parent)
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def unseen(folder: Path, held_out: Collection[str]) -> list[Tensor]:
    """Some pictures of a folder that the network has not seen."""
    paths = [path for path in listed(folder) if path.stem in held_out]
    return [read(path, LONGEST) for path in paths[:PICTURES]]


def error_table(student: Student, teacher: Teacher, shown: list[list[Tensor]]) -> list[str]:
    """Feature and Gram errors in percent on held-out photographs, paintings and the student's own transfers."""
    own = transfers(student, shown[0], shown[1], TRANSFERS, torch.Generator().manual_seed(9))
    kinds = {"photographs": shown[0], "paintings": shown[1], "half-finished and finished transfers": own}
    found = {kind: errors(student, teacher, pictures) for kind, pictures in track(kinds.items(), "errors")}
    lines = ["| layer | " + " | ".join(f"{kind}: features, Gram %" for kind in kinds) + " |", "|---" * 4 + "|"]
    for name in CONVOLUTIONS:
        cells = [f"{100 * found[kind][name][0]:.2f}, {100 * found[kind][name][1]:.2f}" for kind in kinds]
        lines.append(f"| {name.replace('conv', 'relu')} | " + " | ".join(cells) + " |")
    return lines


def judge_table(
    eyes: judge.Net, nets: dict[str, Path], files: list[tuple[Path, Path]], size: int, folder: Path
) -> list[str]:
    """Both networks' finished pictures in the teacher's eyes, and the geometric mean of the ratios of their totals."""
    lines = ["| content × style | VGG-19 | lite | ratio |", "|---|---|---|---|"]
    ratios = []
    for content, style in track(files, "pairs"):
        totals = []
        for label, net in nets.items():
            path = folder / f"{content.stem}_{style.stem}_{label}.png"
            if not path.exists():
                recipe = impasto.Recipe(
                    net=str(net), size=size, style_loss="gram", style_weight=STYLE_WEIGHT, style_trim=False
                )
                impasto.stylize(content, style, recipe).save(path)
            result = judge.pixels(path)
            size_of_it = (result.shape[-1], result.shape[-2])
            content_loss, style_loss = judge.between(eyes, content, style, size_of_it)(result)
            totals.append((content_loss + STYLE_WEIGHT * style_loss).item())
        ratios.append(totals[1] / totals[0])
        lines.append(f"| {content.stem} × {style.stem} | {totals[0]:.2f} | {totals[1]:.2f} | {ratios[-1]:.2f} |")
    mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
    return [*lines, f"| geometric mean | | | {mean:.2f} |"]


if __name__ == "__main__":
    main()
