"""Make the embedded network from a VGG-19 file and two folders of pictures.

    python training/make.py vgg19.h5 --photos PHOTOS --art PAINTINGS --work FOLDER --out lite.safetensors

Every step leaves a checkpoint in FOLDER; the same command goes on where a run was cut.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import storage
import torch
from data import Material
from regression import Plan
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from stages import POLISH_WEIGHTS, Workshop, steps
from student import SHAPE, Student
from vgg import read_keras

SAVED_EVERY = 100  # parts of a long step between checkpoints
STATE = "state.pt"


def main() -> None:
    """Read the options and make the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher", type=Path, help="VGG-19 in Keras no-top layout (.h5)")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--art", type=Path, required=True, help="folder of paintings")
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="the network to write (.safetensors)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--polish", type=int, default=2000, help="gradient steps of all layers together")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    make(options.teacher, options.photos, options.art, options.work, options.out, options.seed, options.polish)


def make(teacher: Path, photos: Path, art: Path, work: Path, out: Path, seed: int, polish: int) -> None:
    """Take all steps that a checkpoint in `work` has not yet taken, then write the network to `out`."""
    plan = Plan(polish, 8, 128, 0.001, POLISH_WEIGHTS, {"conv4_2": 1.0})
    shop = Workshop(read_keras(teacher), Material.of(photos, art), Student({}), plan)
    done, state = 0, _restored(work / STATE)
    if state is not None:
        if state["seed"] != seed:
            raise SystemExit(f"{work / STATE} was made with --seed {state['seed']}; give that, or another --work")
        done, shop.student.tensors, shop.material.own = state["done"], state["tensors"], state["own"]
    todo = steps()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    ) as bar:
        task = bar.add_task("steps", total=len(todo), completed=done, note="")
        for index in range(done, len(todo)):
            step = todo[index]
            generator = torch.Generator().manual_seed(seed * 1000 + index)
            trainer = shop.trainer() if step[0] == "polish" else None
            if trainer is not None and state is not None and state["done"] == index and "trainer" in state:
                trainer.restore(state["trainer"])
                generator.manual_seed(seed * 1000 + 500 + trainer.step)
            parts = 0

            def tick(note: str, step: tuple[str, ...] = step, index: int = index) -> None:
                nonlocal parts
                parts += 1
                bar.update(task, description=" ".join(step), note=note)
                if trainer is not None and parts % SAVED_EVERY == 0:
                    _save(work / STATE, seed, index, shop, trainer.state())

            shop.take(step, generator, trainer, tick)
            shop.student.tensors = {key: tensor.detach() for key, tensor in shop.student.tensors.items()}
            _save(work / STATE, seed, index + 1, shop, None)
            bar.update(task, advance=1)
    storage.save(shop.student.tensors, out, _metadata(teacher, seed, polish))


def _save(path: Path, seed: int, done: int, shop: Workshop, trainer: dict[str, Any] | None) -> None:
    """Write the checkpoint, whole or not at all."""
    state: dict[str, Any] = {"seed": seed, "done": done, "own": shop.material.own}
    state["tensors"] = {key: tensor.detach() for key, tensor in shop.student.tensors.items()}
    if trainer is not None:
        state["trainer"] = trainer
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def _restored(path: Path) -> dict[str, Any] | None:
    return torch.load(path, weights_only=True) if path.exists() else None


def _metadata(teacher: Path, seed: int, polish: int) -> dict[str, str]:
    return {
        "network": "VGG-19, thin first layers, low rank behind them",
        "made": f"training/make.py, seed {seed}, {polish} polishing steps",
        "shape": json.dumps(SHAPE),
        "teacher": "VGG-19 of K. Simonyan and A. Zisserman (CC BY 4.0), Keras no-top layout",
        "teacher_sha256": hashlib.sha256(teacher.read_bytes()).hexdigest(),
        "licence": "CC BY 4.0",
        "input": "RGB 0..255 minus (123.68, 116.779, 103.939)",
    }


if __name__ == "__main__":
    main()
