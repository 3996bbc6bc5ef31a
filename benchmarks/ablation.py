"""Each optimisation alone: judge total and seconds after the same number of evaluations, with it and without.

    python benchmarks/ablation.py --vgg19 FILE.h5 --content PHOTO --style PAINTING --out FOLDER

Every row is a run in a process of its own that differs from the first row of its size in one thing. The last row is the
first once more: its difference in seconds is the noise. Seconds count the steps, not the start-up. The pictures are
written too, to be looked at. What no option of the recipe can change is changed here, in impasto's functions.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import common
import judge
import torch

from impasto import Recipe, Transfer
from impasto.paint import curvature, memory, optimize
from impasto.paint.scene import Scene
from impasto.pictures import detail

Change = Callable[[], AbstractContextManager[Any]]


def lbfgs_with(**fixed: Any) -> Change:
    """L-BFGS with some of its arguments replaced."""
    original = optimize.lbfgs

    def changed(*arguments: Any, **options: Any) -> Any:
        return original(*arguments, **{**options, **fixed})

    return lambda: patch.object(optimize, "lbfgs", changed)


def smoothing_by(power: float) -> Change:
    """The preconditioner 1/f^power on every level."""
    original = curvature.smoothing

    def changed(height: int, width: int, device: torch.device | None = None, **_: float) -> Any:
        return original(height, width, device, power)

    return lambda: patch.object(curvature, "smoothing", changed)


def border_everywhere() -> AbstractContextManager[Any]:
    """The last level continued by a border like the others."""
    return patch.object(Scene, "border", lambda self, level: self.recipe.border)


def same_work(size: int, recipe: Recipe, content: Path) -> dict[str, Any]:
    """Options for the full size alone, with as many evaluations as cost what the recipe's levels cost."""
    transfer = Transfer(str(content), [str(content)], recipe)
    scene = transfer.scene
    full = scene.sizes[-1]
    work = sum(n * h * w for n, (h, w) in zip(scene.evaluations, scene.sizes, strict=True))
    return {"levels": 1, "iterations": (max(1, round(work / (full[0] * full[1]))),)}


VARIANTS: dict[str, tuple[dict[str, Any], Change]] = {
    "as it is": ({}, contextlib.nullcontext),
    "no preconditioner": ({}, lbfgs_with(precondition=None)),
    "1/f on every level": ({}, smoothing_by(1.0)),
    "1/√f on every level": ({}, smoothing_by(0.5)),
    "finer levels only enlarged": ({}, lambda: patch.object(detail, "SHARE", 0.0)),
    "full size only, same work": ({"levels": 1}, contextlib.nullcontext),
    "border on the last level too": ({}, border_everywhere),
    "no border on any level": ({"border": 0}, contextlib.nullcontext),
    "float32": ({"precision": "float32"}, contextlib.nullcontext),
    "bfloat16": ({"precision": "bfloat16"}, contextlib.nullcontext),
    "no bounds": ({}, lbfgs_with(lower=-math.inf, upper=math.inf)),
    "history 5": ({}, lbfgs_with(history=5)),
    "history 10": ({}, lbfgs_with(history=10)),
    "history 20": ({}, lbfgs_with(history=20)),
    "history 40": ({}, lbfgs_with(history=40)),
    "strips of 64 rows": ({"tile": 64}, contextlib.nullcontext),
    "buffers given back": ({}, lambda: patch.object(memory, "keep_buffers", lambda needed, limit: False)),
    "Adam": ({"optimizer": "adam"}, contextlib.nullcontext),
    "as it is, again": ({}, contextlib.nullcontext),
}


def paint(variant: str, recipe: dict[str, Any], pictures: tuple[str, str], out: str, threads: int) -> dict[str, Any]:
    """One run between (content, style), written as PNG to `out`; its seconds and counts."""
    common.use_threads(threads)
    with VARIANTS[variant][1]():
        transfer = Transfer(pictures[0], [pictures[1]], Recipe(**recipe))
        transfer.keep_buffers()  # as the command line does
        begun = time.perf_counter()
        done = sum(1 for _ in transfer.steps())
        seconds = time.perf_counter() - begun
    result = transfer.result()
    result.to_pil().convert("RGB").save(out)
    return {"evaluations": done, "of": sum(transfer.scene.evaluations), "seconds": seconds}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vgg19", type=Path, required=True, help="the judge's weights, Keras .h5 without classifier")
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--net", default="lite", help="lite, or vgg19 for the file of --vgg19")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--beta", type=float, default=1000.0)
    parser.add_argument("--iterations", type=int, nargs="+", default=[40], help="evaluations at each level")
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    return parser.parse_args()


def main() -> None:
    """Measure every variant at every size, and write the results."""
    given = arguments()
    folder = given.out / "ablation"
    folder.mkdir(parents=True, exist_ok=True)
    common.use_threads(given.threads)
    net, rows = judge.load(given.vgg19), []
    for size in given.sizes:
        usual = {
            "size": size,
            "style_loss": "gram",
            "net": str(given.vgg19) if given.net == "vgg19" else given.net,
            "style_weight": given.beta,
            "iterations": tuple(given.iterations),
            "style_trim": False,  # the judge sees the painting as it is
            "device": given.device,
        }
        first: dict[str, Any] | None = None
        for variant in given.variants:
            recipe = {**usual, **VARIANTS[variant][0]}
            if recipe.get("levels") == 1:
                recipe |= same_work(size, Recipe(**usual), given.content)
            path = folder / f"{size}-{variant.replace(' ', '-').replace(',', '').replace('/', '')}.png"
            found = common.fresh(
                paint, variant, recipe, (str(given.content), str(given.style)), str(path), given.threads
            )
            picture = judge.pixels(path)
            height, width = picture.shape[2:]
            with torch.no_grad():
                between = judge.between(net, given.content, given.style, (width, height))
                content, style = (loss.item() for loss in between(picture))
            row = {"size": size, "variant": variant, **found, "content": content, "style": style}
            row["total"] = content + given.beta * style
            first = first or row
            row["total_ratio"] = row["total"] / first["total"]
            row["seconds_ratio"] = row["seconds"] / first["seconds"]
            rows.append(row)
            print(f"{size} {variant}: {row['total']:.4g} in {row['seconds']:.2f} s", flush=True)
    about = common.machine(given.device)
    shown = [
        {
            "px": row["size"],
            "what differs": row["variant"],
            "evaluations": row["evaluations"],
            "judge total": common.significant(row["total"]),
            "× the first": f"{row['total_ratio']:.3f}",
            "s": common.significant(row["seconds"]),
            "× the first's": f"{row['seconds_ratio']:.2f}",
        }
        for row in rows
    ]
    head = (
        f"{common.caption(about)}; {given.net}, style weight {given.beta:g},"
        f" evaluations by level {', '.join(str(n) for n in given.iterations)},"
        f" {given.content.stem} × {given.style.stem}."
    )
    record = {"about": about, "net": given.net, "beta": given.beta, "iterations": given.iterations, "rows": rows}
    common.write(given.out, "ablation", record, f"{head}\n\n{common.table(shown)}")


if __name__ == "__main__":
    main()
