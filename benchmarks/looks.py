"""How long does each style loss take, and how much memory? Whole processes, one after the other.

    python benchmarks/looks.py --content PHOTO --style PAINTING --sizes 256 512 --repeat 2 --out FOLDER

Every way of --ways is a style loss with its own defaults, or with the options behind it ("neighbours --iterations 15"),
and paints in a process of its own, in turn, so that a machine that slows down slows all alike. Writes looks.json and
looks.md: median seconds, their range, the ratio to the first way of the same size, and the peak of memory. Not on
Windows.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import machine

MIB = 2**20


def once(command: list[str]) -> tuple[float, float]:
    """Seconds and the peak of bytes of one process; raises CalledProcessError if it fails."""
    begun = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    if status:
        raise subprocess.CalledProcessError(status, command)
    return seconds, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = ["| size | way | seconds | of the first | peak, MiB |", "|---|---|---|---|---|"]
    for row in rows:
        low, high = min(row["seconds"]), max(row["seconds"])
        lines.append(
            f"| {row['size']} | {row['way']} | {row['median']:.1f} ({low:.1f} to {high:.1f}) | {row['ratio']:.2f}"
            f" | {row['peak'] / MIB:.0f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure all ways at all sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", required=True)
    parser.add_argument("--style", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[512])
    parser.add_argument("--ways", nargs="+", default=["gram", "neighbours,gram", "neighbours", "patches"])
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--max-memory", type=float, default=0.0, help="GiB, as impasto takes it")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for size in given.sizes:
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in given.ways}
        for _ in range(given.repeat):
            for way, runs in found.items():
                target = given.out / f"{size}-{re.sub('[^a-z0-9.]+', '-', way)}.png"
                command = [sys.executable, "-m", "impasto", given.content, given.style, "-o", str(target)]
                loss, *more = shlex.split(way)
                options = ["--overwrite", "--quiet", "--size", str(size), "--max-memory", str(given.max_memory)]
                runs.append(once([*command, *options, "--style-loss", loss, *more]))
        first = statistics.median(seconds for seconds, _ in found[given.ways[0]])
        for way, runs in found.items():
            times = [seconds for seconds, _ in runs]
            median, peak = statistics.median(times), max(peak for _, peak in runs)
            row = {"size": size, "way": way, "seconds": times, "median": median, "ratio": median / first, "peak": peak}
            rows.append(row)
            (given.out / "looks.json").write_text(json.dumps({"machine": machine(), "rows": rows}, indent=1), "utf-8")
            (given.out / "looks.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
