"""Evaluate the embedded network against its teacher, on pictures kept out of the training, and write the tables.

    python training/evaluate.py lite.safetensors vgg19.h5 --photos PHOTOS --art PAINTINGS --pairs pairs.txt --out C.md

Each line of pairs.txt is `CONTENT STYLE`, two files beside it. The network's metadata tells which pictures of both
folders it has not seen. Feature errors are |S − T|²/|T|² after the ReLU, summed over positions and pictures; Gram
errors the same of Gram matrices, averaged over pictures. The judge is the teacher in float32, looking at the finished
pictures in 8 bits. Times are the process's, so that others on the machine count less.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import storage
import torch
from measure import errors, macs
from onpolicy import transfers
from pictures import listed, read
from PIL import Image
from rich.progress import track
from student import Student
from torch import Tensor
from transfer import judge, losses, stylize, targets
from vgg import CONVOLUTIONS, Teacher, read_keras

LONGEST = 384  # pixels of the held-out pictures
PICTURES = 20  # of each kind at most
TRANSFERS = 5  # each gives three pictures
LEVELS = {96: 40, 192: 40, 320: 20}  # of the judged transfers: longer side, L-BFGS iterations
BETA = 1000.0
TIMED = (384, 512)  # height and width of the timed step


def seconds(net: Student | Teacher, clock: Callable[[], float] = time.process_time, repeats: int = 3) -> float:
    """Shortest time of one gradient step at `TIMED`."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, *TIMED, generator=generator)
    goal = targets(net, picture.flip(-1), picture.flip(-2))
    taken = []
    for _ in range(repeats + 1):
        began = clock()
        x = picture.clone().requires_grad_()
        content, style = losses(net, x, goal)
        torch.autograd.grad(content + style, x)
        taken.append(clock() - began)
    return min(taken[1:])


def painted(net: Student | Teacher, content: Path, style: Path) -> Tensor:
    """The finished picture of one pair."""
    return stylize(net, opened(content), opened(style), LEVELS, BETA)


def opened(path: Path) -> Tensor:
    """A picture 0…1, 1×3×H×W."""
    return read(path, 1024)[None].float() / 255


def write(path: Path, picture: Tensor) -> None:
    """Save a picture 0…1 as PNG."""
    array = (picture[0] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(np.ascontiguousarray(array)).save(path)


def main() -> None:
    """Read the options, measure, and write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--art", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the card; the pictures are written beside it")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tensors, metadata = storage.load(options.network)
    held_out = frozenset(json.loads(metadata["held_out"]))
    student, weights = Student(tensors), read_keras(options.teacher)
    teacher = Teacher(weights, torch.float32)
    shown = [unseen(folder, held_out) for folder in (options.photos, options.art)]
    lines = [f"{macs(student)} multiplications a pixel to conv5_1, {options.network.stat().st_size} bytes", ""]
    lines += [*error_table(student, teacher, shown), "", *time_table(student, teacher), ""]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines))
    pairs = [line.split() for line in options.pairs.read_text().splitlines() if line.strip()]
    files = [(options.pairs.parent / content, options.pairs.parent / style) for content, style in pairs]
    lines += judge_table(student.frozen(), Teacher(weights), teacher, files, options.out.parent)
    options.out.write_text("\n".join(lines) + "\n")


def unseen(folder: Path, held_out: Collection[str]) -> list[Tensor]:
    """Some pictures of a folder that the network has not seen."""
    paths = [path for path in listed(folder) if path.stem in held_out]
    return [read(path, LONGEST) for path in paths[:PICTURES]]


def error_table(student: Student, teacher: Teacher, shown: list[list[Tensor]]) -> list[str]:
    """Feature and Gram errors in percent on held-out photographs, paintings and the student's own transfers."""
    own = transfers(student, shown[0], shown[1], TRANSFERS, torch.Generator().manual_seed(9))
    kinds = {"photographs": shown[0], "paintings": shown[1], "half-finished transfers": own}
    found = {kind: errors(student, teacher, pictures) for kind, pictures in track(kinds.items(), "errors")}
    lines = ["| layer | " + " | ".join(f"{kind}: features, Gram %" for kind in kinds) + " |", "|---" * 4 + "|"]
    for name in CONVOLUTIONS:
        cells = [f"{100 * found[kind][name][0]:.2f}, {100 * found[kind][name][1]:.2f}" for kind in kinds]
        lines.append(f"| {name.replace('conv', 'relu')} | " + " | ".join(cells) + " |")
    return lines


def time_table(student: Student, teacher: Teacher) -> list[str]:
    """Seconds of a gradient step, all in this process."""
    base = seconds(teacher)
    rows = {"VGG-19 float32": base, "lite float32": seconds(Student(student.tensors, torch.float32).frozen())}
    rows["lite bfloat16"] = seconds(student.frozen())
    lines = [f"| step at {TIMED[1]}×{TIMED[0]} | seconds | times faster |", "|---|---|---|"]
    return [*lines, *(f"| {name} | {each:.3f} | {base / each:.1f} |" for name, each in rows.items())]


def judge_table(
    student: Student, painter: Teacher, teacher: Teacher, files: list[tuple[Path, Path]], folder: Path
) -> list[str]:
    """Both networks' finished pictures in the teacher's eyes; `painter` is the teacher in its quick precision."""
    lines = ["| content × style | VGG-19 | lite | ratio |", "|---|---|---|---|"]
    ratios = []
    for content, style in track(files, "pairs"):
        totals = []
        for label, net in (("vgg19", painter), ("lite", student)):
            picture = painted(net, content, style)
            c, s = judge(teacher, opened(content), opened(style), picture)
            write(folder / f"{content.stem}_{style.stem}_{label}.png", picture)
            totals.append(c + BETA * s)
        ratios.append(totals[1] / totals[0])
        lines.append(f"| {content.stem} × {style.stem} | {totals[0]:.2f} | {totals[1]:.2f} | {ratios[-1]:.2f} |")
    mean = math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))
    return [*lines, f"| geometric mean | | | {mean:.2f} |"]


if __name__ == "__main__":
    main()
