"""Evaluate the embedded network against its teacher, on pictures kept out of the training, and write the tables.

    python training/evaluate.py lite.safetensors vgg19.h5 --photos PHOTOS --art PAINTINGS --pairs pairs.txt --out C.md

Each line of pairs.txt is `CONTENT STYLE`, two files beside it. Feature errors are |S − T|²/|T|² after the ReLU, summed
over positions and pictures; Gram errors the same of Gram matrices, averaged over pictures. The judge is the teacher
in float32, looking at the finished pictures in 8 bits.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import storage
import torch
from data import HELD_OUT_ART, HELD_OUT_PHOTOS
from onpolicy import transfers
from pictures import listed, read, split
from PIL import Image
from regression import distance, energy, grams, read_metric
from rich.progress import track
from student import Student
from torch import Tensor
from transfer import judge, losses, stylize, targets
from vgg import CONVOLUTIONS, Teacher, centre, read_keras

LONGEST = 384  # pixels of the held-out pictures
PICTURES = 16  # of each kind at most
LEVELS = {128: 60, 256: 40, 384: 25}  # of the judged transfers: longer side, L-BFGS iterations
BETA = 1000.0
TIMED = (384, 512)  # height and width of the timed step


@torch.no_grad()
def errors(student: Student, teacher: Teacher, pictures: list[Tensor]) -> dict[str, tuple[float, float]]:
    """Feature and Gram error by layer, over uint8 pictures."""
    wrong = dict.fromkeys(CONVOLUTIONS, 0.0)
    whole, off = dict(wrong), dict(wrong)
    for picture in pictures:
        x = centre(picture[None].float() / 255)
        wanted, found = teacher.features(x), student.features(x)
        for name in CONVOLUTIONS:
            target = torch.relu(wanted[name]).float()
            maps = read_metric(student, name, torch.relu(found[name]).float())
            wrong[name] += float(distance(maps, target))
            whole[name] += float(energy(target))
            goal = grams(target)
            off[name] += float((grams(maps) - goal).square().sum() / goal.square().sum()) / len(pictures)
    return {name: (wrong[name] / whole[name], off[name]) for name in CONVOLUTIONS}


def seconds(net: Student | Teacher, clock: Callable[[], float] = time.perf_counter, repeats: int = 3) -> float:
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
    tensors, _ = storage.load(options.network)
    student, weights = Student(tensors), read_keras(options.teacher)
    teacher = Teacher(weights, torch.float32)
    lines = [*error_table(student, teacher, options.photos, options.art), "", *time_table(student, teacher), ""]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("\n".join(lines))
    pairs = [line.split() for line in options.pairs.read_text().splitlines() if line.strip()]
    files = [(options.pairs.parent / content, options.pairs.parent / style) for content, style in pairs]
    lines += judge_table(student.frozen(), Teacher(weights), teacher, files, options.out.parent)
    options.out.write_text("\n".join(lines) + "\n")


def error_table(student: Student, teacher: Teacher, photos: Path, art: Path) -> list[str]:
    """Feature and Gram errors in percent on held-out photographs, paintings and the student's own transfers."""
    shown = [
        [read(path, LONGEST) for path in split(listed(folder), count)[1][:PICTURES]]
        for folder, count in ((photos, HELD_OUT_PHOTOS), (art, HELD_OUT_ART))
    ]
    own = transfers(student, shown[0], shown[1], PICTURES // 3, torch.Generator().manual_seed(9))
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
