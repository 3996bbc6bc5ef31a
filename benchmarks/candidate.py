"""One timed run of quality.py, in a process of its own: `python candidate.py FOLDER BEGUN`.

FOLDER/spec.json says what to run; pictures and run.json are written beside it. BEGUN is the parent's time.monotonic(),
which is one clock for all processes, just before this one was started: interpreter, imports, weights and pictures all
count. Making and writing a checkpoint's picture counts for that checkpoint (a run that ended there would have had to
write it) and is taken off the clock for all later ones.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SPACING = 1.15  # between the numbers of full-size steps whose pictures are kept
COARSE = 1.5  # the same at coarser levels


def checkpoints(steps: int, spacing: float) -> frozenset[int]:
    """Numbers of steps from 1 to `steps`, each about `spacing` times the one before.

    >>> sorted(checkpoints(20, 2))
    [1, 2, 4, 8, 16, 20]
    """
    numbers, at = {steps}, 1.0
    while at < steps:
        numbers.add(round(at))
        at = max(at * spacing, at + 1)
    return frozenset(numbers)


class Recorder:
    """The clock of one run and its checkpoints."""

    def __init__(self, folder: Path, begun: float) -> None:
        self.folder, self.begun = folder, begun
        self.away = 0.0
        self.marks: dict[str, float] = {}
        self.points: list[dict[str, Any]] = []

    def now(self) -> float:
        """Seconds since the start, those of earlier checkpoints not counted."""
        return time.monotonic() - self.begun - self.away

    def mark(self, name: str) -> None:
        """Remember the moment by a name."""
        self.marks[name] = self.now()

    def keep(self, make: Callable[[], Tensor], **facts: Any) -> None:
        """Write the picture that `make` gives, 3×H×W, 0…1, clipped and rounded to 8 bits."""
        import numpy as np
        import torch
        from PIL import Image

        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
        before = self.now()
        samples = make().detach().cpu().clamp(0, 1).mul(255).add(0.5).floor().numpy().astype(np.uint8)
        name = f"{len(self.points):04}.png"
        Image.fromarray(np.ascontiguousarray(samples.transpose(1, 2, 0))).save(self.folder / name)
        seconds = self.now()
        self.away += seconds - before
        self.points.append({"picture": name, "seconds": seconds, "writing": seconds - before, **facts})


def run_reference(spec: dict[str, Any], recorder: Recorder) -> dict[str, Any]:
    """The peers' way; see reference.py."""
    import judge
    import reference
    from PIL import Image

    _use(spec)
    device = _device(spec)
    recorder.mark("imported")
    content, style = Path(spec["content"]), Path(spec["style"])
    with Image.open(content) as photo:
        size = fit(photo.size, spec["size"])
    between = judge.between(judge.load(Path(spec["vgg19"]), device), content, style, size, device)
    start = judge.pixels(content, size).to(device)
    recorder.mark("ready")
    kept, beta = checkpoints(spec["steps"], SPACING), float(spec["beta"])

    def objective(picture: Tensor) -> Tensor:
        content_loss, style_loss = between(picture)
        return content_loss + beta * style_loss

    def seen(step: int, picture: Tensor) -> None:
        if step in kept:
            recorder.keep(lambda: picture[0] / 255, level=1, evaluations=step)

    reference.optimise(objective, start, spec["steps"], seen)
    return {"sizes": [[size[1], size[0]]], "evaluations": [spec["steps"]]}


def run_impasto(spec: dict[str, Any], recorder: Recorder) -> dict[str, Any]:
    """One whole schedule of impasto."""
    from impasto import Recipe, Transfer

    _use(spec)
    recorder.mark("imported")
    recipe = Recipe(**spec["recipe"])
    transfer = Transfer(spec["content"], [spec["style"]], recipe)
    transfer.keep_buffers()  # as the command line does
    recorder.mark("ready")
    counts, done = list(transfer.scene.evaluations), 0
    kept = [checkpoints(count, COARSE) for count in counts[:-1]] + [checkpoints(counts[-1], SPACING)]
    last = 0
    for progress in transfer.steps():
        done += 1
        if progress.step in kept[progress.level - 1]:
            last = done
            recorder.keep(lambda: transfer.result().image, level=progress.level, evaluations=done)
    if last < done:  # the optimiser ended a level before its last evaluation
        recorder.keep(lambda: transfer.result().image, level=len(counts), evaluations=done)
    named = {**recipe.model_dump(), "net": Path(recipe.net).name}
    return {"sizes": [list(size) for size in transfer.scene.sizes], "evaluations": counts, "recipe": named}


RUNS = {"reference": run_reference, "impasto": run_impasto}


def run(folder: Path, begun: float) -> dict[str, Any]:
    """Carry out FOLDER/spec.json; the record is written to FOLDER/run.json."""
    import common

    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    recorder = Recorder(folder, begun)
    facts = RUNS[spec["kind"]](spec, recorder)
    record = {
        "about": common.machine(spec["device"]),
        "peak_memory": common.peak_memory(),
        "processor_seconds": time.process_time(),
        **facts,
        "start_up": recorder.marks,
        "points": recorder.points,
    }
    (folder / "run.json").write_text(json.dumps(record, ensure_ascii=False, default=str), encoding="utf-8")
    return record


def fit(size: tuple[int, int], longer: int) -> tuple[int, int]:
    """Width and height of the same shape with this longer side.

    >>> fit((800, 600), 512)
    (512, 384)
    """
    width, height = (max(1, int(side * longer / max(size) + 0.5)) for side in size)
    return width, height


def _use(spec: dict[str, Any]) -> None:
    import common

    common.use_threads(spec["threads"])


def _device(spec: dict[str, Any]) -> str:
    import torch

    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return (accelerator.type if accelerator else "cpu") if spec["device"] == "auto" else str(spec["device"])


if __name__ == "__main__":
    run(Path(sys.argv[1]), float(sys.argv[2]))
