"""What a student is worth: its errors beside the teacher, layer by layer, and its cost."""

from __future__ import annotations

import torch
from regression import distance, energy, grams, read_metric
from student import Student
from torch import Tensor
from vgg import CONVOLUTIONS, Teacher, centre

__all__ = ["errors", "macs"]

COUNTED = CONVOLUTIONS[:13]  # conv1_1 … conv5_1, what a style transfer runs


@torch.no_grad()
def errors(student: Student, teacher: Teacher, pictures: list[Tensor]) -> dict[str, tuple[float, float]]:
    """Feature and Gram error by layer, over uint8 pictures.

    Features: |S − T|²/|T|² after the ReLU, summed over positions and pictures; Gram matrices: the mean over pictures.
    """
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


def macs(student: Student) -> int:
    """Multiplications for each pixel of the picture, from conv1_1 to conv5_1, forward."""
    total = 0.0
    for key, tensor in student.tensors.items():
        name = key.partition(".")[0]
        if tensor.dim() == 4 and name in COUNTED:
            total += tensor.numel() / 4 ** (int(name[4]) - 1)
    return round(total)
