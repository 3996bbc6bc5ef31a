"""Make the embedded network from a VGG-19 file and two folders of pictures.

    python distill/make.py vgg19.h5 --photos PHOTOS --art PAINTINGS --work FOLDER --out lite.safetensors

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
from measure import errors, macs
from regression import Plan, Trainer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from stages import POLISH_WEIGHTS, Workshop, steps
from student import SHAPE, Student
from vgg import Teacher, read_keras

from pictures import listed, read, split

HELD_OUT_PHOTOS, HELD_OUT_ART = 50, 8  # beside those left out by name
MEASURED, MEASURED_SIDE = 12, 384  # held-out photographs whose errors the file tells, and their longer side
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
    parser.add_argument(
        "--leave-out", nargs="*", default=[], metavar="NAME", help="pictures, without ending, to keep out as well"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--polish", type=int, default=0, help="gradient steps of all layers together")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.work.mkdir(parents=True, exist_ok=True)
    photos, unseen_photos = split(listed(options.photos), HELD_OUT_PHOTOS, options.leave_out)
    art, unseen_art = split(listed(options.art), HELD_OUT_ART, options.leave_out)
    plan = Plan(options.polish, 8, 128, 0.001, POLISH_WEIGHTS, {"conv4_2": 1.0})
    shop = Workshop(read_keras(options.teacher), Material.of(photos, art), Student({}), plan)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[note]}")) as bar:
        Run(shop, options.work / STATE, options.seed, bar).finish()
    metadata = _metadata(shop, options)
    metadata["held_out"] = json.dumps(sorted(path.stem for path in (*unseen_photos, *unseen_art)))
    metadata["relative_relu_error"] = _errors(shop, unseen_photos)
    storage.save(shop.student.tensors, options.out, metadata)


class Run:
    """All steps in order, each followed by a checkpoint; the polish leaves some on its way too."""

    def __init__(self, shop: Workshop, path: Path, seed: int, bar: Progress) -> None:
        self.shop, self.path, self.seed, self.bar = shop, path, seed, bar
        self.todo = steps(polished=shop.polish.steps > 0)
        self.task = bar.add_task("", total=len(self.todo), note="")
        self.done, self.parts = 0, 0
        self.trainer: Trainer | None = None

    def finish(self) -> None:
        """Take all steps that the checkpoint has not yet taken."""
        state = _restored(self.path)
        if state is not None:
            if state["seed"] != self.seed:
                raise SystemExit(f"{self.path} was made with --seed {state['seed']}; give that, or another --work")
            self.done = state["done"]
            self.shop.student.tensors, self.shop.material.own = state["tensors"], state["own"]
        while self.done < len(self.todo):
            step = self.todo[self.done]
            self.bar.update(self.task, completed=self.done, description=" ".join(step))
            generator = torch.Generator().manual_seed(1000 * self.seed + self.done)
            self.trainer = self.shop.trainer() if step == ("polish",) else None
            if self.trainer is not None and state is not None and "trainer" in state:
                self.trainer.restore(state["trainer"])
                generator.manual_seed(1000 * self.seed + 500 + self.trainer.step)  # not the same crops again
            self.shop.take(step, generator, self.trainer, self._tick)
            self.trainer, state = None, None
            self.done += 1
            self._save()
        self.bar.update(self.task, completed=self.done, description="done", note="")

    def _tick(self, note: str) -> None:
        self.parts += 1
        self.bar.update(self.task, note=note)
        if self.trainer is not None and self.parts % SAVED_EVERY == 0:
            self._save()

    def _save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        shop = self.shop
        shop.student.tensors = {
            key: tensor if self.trainer else tensor.detach() for key, tensor in shop.student.tensors.items()
        }
        state: dict[str, Any] = {"seed": self.seed, "done": self.done, "own": shop.material.own}
        state["tensors"] = {key: tensor.detach() for key, tensor in shop.student.tensors.items()}
        if self.trainer is not None:
            state["trainer"] = self.trainer.state()
        part = self.path.with_suffix(".part")
        torch.save(state, part)
        part.replace(self.path)


def _restored(path: Path) -> dict[str, Any] | None:
    return torch.load(path, weights_only=True) if path.exists() else None


def _metadata(shop: Workshop, options: argparse.Namespace) -> dict[str, str]:
    left_out = f" --leave-out {' '.join(options.leave_out)}" if options.leave_out else ""
    return {
        "network": "VGG-19, thin first layers, low rank behind them",
        "recipe": f"distill/make.py --seed {options.seed} --polish {options.polish}{left_out}",
        "shape": json.dumps(SHAPE),
        "macs_per_pixel": str(macs(shop.student)),
        "teacher": "VGG-19 of K. Simonyan and A. Zisserman (CC BY 4.0), Keras no-top layout",
        "teacher_sha256": hashlib.sha256(options.teacher.read_bytes()).hexdigest(),
        "licence": "CC BY 4.0",
        "input": "RGB 0..255 minus (123.68, 116.779, 103.939)",
    }


def _errors(shop: Workshop, photos: list[Path]) -> str:
    """Relative squared error after each ReLU, on some held-out photographs, of the network as it is stored."""
    stored = Student(storage.rounded(shop.student.tensors))
    pictures = [read(path, MEASURED_SIDE) for path in photos[:MEASURED]]
    found = errors(stored, Teacher(shop.weights, torch.float32), pictures)
    return json.dumps({name.replace("conv", "relu"): round(feature, 4) for name, (feature, _) in found.items()})


if __name__ == "__main__":
    main()
