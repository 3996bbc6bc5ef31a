"""Seconds per gradient step, against sizes, networks and precisions, beside the machine's matrix-product rate.

    python benchmarks/step.py --vgg19 PATH [--sizes 256 512 1024] [--repeat 5] [--json FILE]

Every row is the median of `repeat` steps in one process; the fifth column is the ratio to the first row of its size;
the last the share of the measured rate of a large matrix product in the same precision that the step's multiplications
reach (two operations each; forward once, backward by the picture once). The pictures are seeded noise: the time does
not depend on what they show.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from impasto.layers import CONVOLUTIONS, scale_of
from impasto.network.encoder import Encoder
from impasto.network.weights.loading import Weights, load
from impasto.paint.memory import keep_buffers
from impasto.paint.objective import compared
from impasto.recipe import Recipe

DEEPEST = "conv5_1"


def median_seconds(work: Callable[[], object], repeat: int) -> float:
    """Median time of `work`, after one call that is not counted."""
    work()
    times = []
    for _ in range(repeat):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def product_rate(dtype: torch.dtype) -> float:
    """Operations per second of a 3000×3000 matrix product."""
    a = torch.randn(3000, 3000).to(dtype)
    return 2 * 3000**3 / median_seconds(lambda: a @ a, 5)


def operations(weights: Weights, height: int, width: int) -> float:
    """Of one step up to DEEPEST: convolutions forward, and backward by their input."""
    total = 0.0
    for name in CONVOLUTIONS[: CONVOLUTIONS.index(DEEPEST) + 1]:
        kernels = [t for key, t in weights.tensors.items() if key.startswith(f"{name}.") and t.dim() == 4]
        total += sum(t.numel() for t in kernels) * height * width / scale_of(name) ** 2
    return 2 * 2 * total


def step(weights: Weights, height: int, width: int, dtype: torch.dtype) -> Callable[[], object]:
    """One evaluation of the default objective on the bare picture, ready to be timed."""
    generator = torch.Generator().manual_seed(0)
    content, style = (torch.rand(3, height, width, generator=generator) for _ in range(2))
    encoder, recipe = Encoder(weights, border=0, dtype=dtype), Recipe(style_loss="gram")
    objective = compared(recipe, encoder, content, [style])
    return lambda: objective(content)


def main() -> None:
    """Print the table and write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vgg19", required=True, help="the original weights: a file, or vgg19")
    parser.add_argument("--nets", nargs="*", default=["lite"], help="further networks to time")
    parser.add_argument("--sizes", nargs="*", type=int, default=[256, 512, 1024])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()

    keep_buffers(needed=0, limit=1)  # as the command line does
    rates = {dtype: product_rate(dtype) for dtype in (torch.float32, torch.bfloat16)}
    print(f"threads {torch.get_num_threads()}; " + ", ".join(f"{d}: {r / 1e9:.0f} GFLOP/s" for d, r in rates.items()))
    nets = {"VGG-19": load(arguments.vgg19), **{name: load(name) for name in arguments.nets}}
    rows = []
    for longer in arguments.sizes:
        height, width = longer * 3 // 4, longer
        first = None
        for name, weights in nets.items():
            for dtype, rate in rates.items():
                seconds = median_seconds(step(weights, height, width, dtype), arguments.repeat)
                first = first or seconds
                row = {
                    "net": name,
                    "precision": str(dtype).removeprefix("torch."),
                    "size": f"{width}×{height}",
                    "seconds": round(seconds, 4),
                    "times_vgg19_float32": round(first / seconds, 2),
                    "rate": round(operations(weights, height, width) / seconds / rate, 2),
                }
                rows.append(row)
                print("  ".join(f"{value:>12}" for value in row.values()), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
