"""Peak memory and seconds per step against size, beside what impasto foretells before it starts.

    python benchmarks/memory.py --net lite --sizes 512 1024 2048 4096 --out FOLDER

Every size is a process of its own that works at full size alone, for as many evaluations as fill the optimiser's
history: memory grows until then. Peak memory is the whole process's, the reading of the pictures included; on CUDA the
device's peak stands beside it. The pictures are seeded ones of each size, written as files first, in another process:
neither time nor memory depends on what they show.

    python benchmarks/memory.py --random 40 --seed 0 --out FOLDER

measures random combinations instead (combinations.py).
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import combinations
import common

# Nothing else is imported here: on Linux a new process starts with its parent's peak of memory.

GIB = 2**30


def make(path: str, width: int, height: int, seed: int) -> None:
    """Write a picture of coloured waves with grain."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(seed)
    y, x = np.linspace(0, 20, height, dtype=np.float32)[:, None], np.linspace(0, 20, width, dtype=np.float32)[None]
    samples = np.empty((height, width, 3), np.uint8)
    for channel in range(3):
        a, b, c = random.random(3, dtype=np.float32)
        grain = random.random((height, width), dtype=np.float32)
        samples[..., channel] = 128 + 80 * np.sin(a * x + b * y + 6 * c) + 40 * grain
    Image.fromarray(samples).save(path, quality=95)


def filling(options: dict[str, Any], content: str) -> int:
    """Evaluations until the optimiser's history is full: one before the first move, and one that makes use of all."""
    from impasto.paint import memory
    from impasto.pictures.read import read
    from impasto.pictures.resize import fit

    return memory.history(*fit(read(content, "content").size, options["size"]))[0] + 2


def work(options: dict[str, Any], evaluations: int, content: str, style: str, threads: int) -> dict[str, Any]:
    """Some evaluations at one size; what was foretold and what was measured. Runs in a process of its own."""
    import torch

    from impasto import Recipe, Transfer
    from impasto.errors import MemoryShortError

    common.use_threads(threads)
    try:
        transfer = Transfer(content, [style], Recipe(**options, iterations=(evaluations or filling(options, content),)))
    except MemoryShortError as error:
        return {"refused": str(error)}
    transfer.keep_buffers()  # as the command line does
    expected = transfer.expected_seconds()
    begun = time.perf_counter()
    moments = [time.perf_counter() - begun for _ in transfer.steps()]
    differences = [later - earlier for earlier, later in itertools.pairwise(moments)]
    height, width = transfer.scene.size
    need = transfer.needs[-1]
    cuda = transfer.device.type == "cuda"
    return {
        "width": width,
        "height": height,
        "rows": need.plan.rows,
        "kept_blocks": sorted(need.plan.kept),
        "foretold_bytes": transfer.peak,
        "peak_bytes": common.peak_memory(),
        "device_peak_bytes": torch.cuda.max_memory_allocated() if cuda else None,
        "foretold_seconds": expected,
        "seconds": moments[-1],
        "seconds_to_first": moments[0],
        "seconds_per_step": statistics.median(differences) if differences else moments[0],
        "evaluations": len(moments),
    }


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", default="lite", help="as --net of impasto: a name or a file of weights")
    parser.add_argument("--style-loss", default="gram", help="as impasto takes it")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024, 2048, 4096])
    parser.add_argument("--evaluations", type=int, default=0, help="0: until the optimiser's history is full")
    parser.add_argument(
        "--max-memory", type=float, default=0.0, help="GiB, as impasto takes it; 0: most of what is free"
    )
    parser.add_argument("--tile", type=int, default=0, help="rows of the strips; 0 chooses")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--content", type=Path, help="a photo in place of the seeded picture")
    parser.add_argument("--style", type=Path, help="a painting in place of the seeded picture")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--random", type=int, default=0, help="so many random combinations in place of sizes")
    parser.add_argument("--seed", type=int, default=0, help="of the random combinations")
    parser.add_argument("--vgg19", help="a file of VGG-19, for a part of the random combinations")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    return parser.parse_args()


def one(given: argparse.Namespace, size: int, folder: Path) -> dict[str, Any]:
    """Measure one size."""
    pictures = {}
    for seed, role in enumerate(("content", "style")):
        path = getattr(given, role)
        if path is None:
            path = folder / f"{role}.jpg"
            common.fresh(make, str(path), size, size * 3 // 4, seed)
        pictures[role] = str(path)
    options = {
        "size": size,
        "style_loss": given.style_loss,
        "net": given.net,
        "levels": 1,
        "max_memory": given.max_memory,
        "tile": given.tile,
        "precision": given.precision,
        "device": given.device,
    }
    try:
        return {"size": size, **common.fresh(work, options, given.evaluations, threads=given.threads, **pictures)}
    except BrokenProcessPool:
        return {"size": size, "refused": "ended by the system"}


def show(row: dict[str, Any], pace: float) -> dict[str, Any]:
    """A row of the table; `pace` is the first size's seconds per step and pixel."""
    peak = row["device_peak_bytes"] or row["peak_bytes"]
    return {
        "picture": f"{row['width']}×{row['height']}",
        "evaluations": row["evaluations"],
        "strips of rows": row["rows"] or "whole",
        "peak memory, GiB": f"{row['peak_bytes'] / GIB:.2f}",
        "on the device, GiB": f"{row['device_peak_bytes'] / GIB:.2f}" if row["device_peak_bytes"] else None,
        "foretold, GiB": f"{row['foretold_bytes'] / GIB:.2f}",
        "foretold / peak": f"{row['foretold_bytes'] / peak:.2f}",
        "s per step": common.significant(row["seconds_per_step"]),
        "per pixel, × the first": f"{row['seconds_per_step'] / (row['width'] * row['height']) / pace:.2f}",
        "s in all": common.significant(row["seconds"]),
        "foretold, s": common.significant(row["foretold_seconds"]),
        "foretold / s": f"{row['foretold_seconds'] / row['seconds']:.2f}",
    }


def main() -> None:
    """Measure every size, and write the results."""
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.random:
        rows = combinations.measure(given.random, given.seed, given.vgg19, given.threads, make)
        about = common.fresh(_about, given.device, given.threads)
        record = {"about": about, "seed": given.seed, "rows": rows}
        text = f"{common.caption(about)}; seed {given.seed}.\n\n{combinations.table(rows)}"
        common.write(given.out, "memory_random", record, text)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in given.sizes:
            rows.append(one(given, size, Path(folder)))
            last = rows[-1]
            report = last.get("refused") or (
                f"{last['peak_bytes'] / GIB:.2f} GiB, {last['seconds_per_step']:.3g} s per step"
            )
            print(f"{size}: {report}", flush=True)
    about = common.fresh(_about, given.device, given.threads)
    done = [row for row in rows if "refused" not in row]
    parts = [f"{common.caption(about)}; {Path(given.net).name}, at full size alone."]
    if done:
        pace = done[0]["seconds_per_step"] / (done[0]["width"] * done[0]["height"])
        parts.append(common.table([show(row, pace) for row in done]))
    parts += [f"{row['size']} px: {row['refused']}" for row in rows if "refused" in row]
    record = {"about": about, "net": Path(given.net).name, "max_memory": given.max_memory, "rows": rows}
    common.write(given.out, "memory", record, "\n\n".join(parts))


def _about(device: str, threads: int) -> dict[str, Any]:
    common.use_threads(threads)
    return common.machine(device)


if __name__ == "__main__":
    main()
