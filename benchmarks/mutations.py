"""Damaged pictures of every format that is read: each must give a picture or one line, in little time and memory.

    python benchmarks/mutations.py [COUNT]      # 2,000 by default; about a minute

The changes are seeded: flipped bytes, cuts, stretches that change places, lengths that cannot be. One child process
reads them, with a limit on its memory; where a decoder brings it down, the next one goes on behind that file. Prints
a row per kind, and ends with 1 if anything but a picture or an ImageReadError came out, or took 2 seconds.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "src")]

import hostile  # noqa: E402

SECONDS = 2.0  # for one file
MEMORY = 8 << 30  # bytes of address space of the child; torch alone takes several
PIXELS = 4_000_000  # a header may claim as many


def mutants(count: int) -> Iterator[tuple[int, str, bytes]]:
    """Number, kind and bytes of `count` damaged files, in equal shares of the kinds."""
    samples = hostile.samples()
    number = 0
    for seed, (name, data) in enumerate(samples.items()):
        share = count * (seed + 1) // len(samples) - number
        ways = [hostile.mutations(data, share, seed), hostile.chunk_swaps(data, share, seed)]
        ways += [hostile.length_edits(data, share, seed), itertools.cycle(hostile.cuts(data))]
        for changed in itertools.islice(itertools.chain.from_iterable(zip(*ways, strict=False)), share):
            fixed = hostile.png_checksums(changed) if hostile.family(name) == "png" and number % 8 < 6 else changed
            yield number, name, fixed
            number += 1


def child(count: int, start: int) -> None:
    """Read the files from `start` on and print a line of JSON for each."""
    import resource

    import torch

    from impasto.errors import ImageReadError
    from impasto.files import Blob
    from impasto.pictures import read as reading

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    torch.set_num_threads(1)
    reading.MAX_PIXELS = PIXELS
    for number, name, data in mutants(count):
        if number < start:
            continue
        print(json.dumps({"number": number, "name": name}), flush=True)
        began = time.perf_counter()
        try:
            picture = reading.read(Blob.of(name, data))
            fine = picture.rgb.shape[0] == 3 and float(picture.rgb.min()) >= 0 and float(picture.rgb.max()) <= 1
            outcome = "picture" if fine else "bad picture"
        except ImageReadError as error:
            outcome = "line" if str(error).isprintable() else "bad line"
        except BaseException as error:
            outcome = f"{type(error).__name__}: {error}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(json.dumps({"outcome": outcome, "s": time.perf_counter() - began, "peak": peak}), flush=True)


def run(count: int) -> list[dict[str, object]]:
    """What became of every file; a child that dies is an outcome of the file that it read."""
    rows: list[dict[str, object]] = []
    while len(rows) < count:
        command = [sys.executable, str(HERE / "mutations.py"), "--child", str(count), str(len(rows))]
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=said, text=True, check=False)
            said.seek(0)
            noise = said.read().decode(errors="replace").strip()
        records = [json.loads(line) for line in done.stdout.splitlines()]
        rows += [{**first, **second} for first, second in zip(records[::2], records[1::2], strict=False)]
        if len(records) % 2:
            rows.append({**records[-1], "outcome": f"died ({done.returncode})", "s": 0.0, "peak": 0})
        elif len(rows) < count:
            raise SystemExit(f"the child cannot start: {noise[-2000:]}")
        if noise:
            rows[-1]["noise"] = noise[-500:]
    return rows


def main() -> int:
    """Run, print a row per kind of file, and say what was wrong."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    rows = run(count)
    print(f"{'kind':16} {'files':>5} {'read':>5} {'lines':>5} {'slowest':>8}")
    for name, group in itertools.groupby(rows, key=lambda row: row["name"]):
        some = list(group)
        pictures, lines = (sum(row["outcome"] == kind for row in some) for kind in ("picture", "line"))
        print(f"{name:16} {len(some):5} {pictures:5} {lines:5} {max(row['s'] for row in some):6.2f} s")
    bad = [row for row in rows if row["outcome"] not in ("picture", "line") or row["s"] > SECONDS or "noise" in row]
    slowest, peak = max(row["s"] for row in rows), max(row["peak"] for row in rows)
    print(f"{len(rows)} files, {len(bad)} wrong, slowest {slowest:.2f} s, most memory {peak} MB")
    for row in bad:
        print(json.dumps(row, ensure_ascii=False))
    return int(bool(bad))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]), int(sys.argv[3]))
        sys.stdout.flush()
        os._exit(0)
    sys.exit(main())
