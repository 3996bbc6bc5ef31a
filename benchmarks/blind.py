"""Which of two ways paints the better picture? Unlabelled pairs to look at, and the key that is opened afterwards.

    python benchmarks/blind.py make PAIRS.txt FOLDER --one "" --other "--style-loss neighbours,gram" --size 512
    python benchmarks/blind.py read FOLDER

PAIRS.txt names a photo and a painting a line, separated by a tab. `make` paints each pair in both ways, with the
seconds that each took, and draws FOLDER/pair-NN.png: painting and photo, and the two results as A and B, in an order by
chance. Write a verdict a line into FOLDER/verdicts.txt, beginning with the number and A, B or =; `read` then opens the
key. It refuses before every pair has a verdict.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import shlex
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from impasto.show.sheet import Cell, Grid, draw

WAYS = ("one", "other")
BEST = {"A": 0, "B": 1}


def paint(pairs: list[tuple[str, str]], folder: Path, flags: dict[str, list[str]], size: int) -> None:
    """Every pair in both ways, NN-one.png and NN-other.png, and their seconds; what is there already stays."""
    times = folder / "seconds.json"
    seconds = json.loads(times.read_text("utf-8")) if times.exists() else {}
    for number, (photo, painting) in enumerate(pairs, 1):
        for way, more in flags.items():
            target = folder / f"{number:02}-{way}.png"
            if not target.exists():
                begun = time.perf_counter()
                command = [sys.executable, "-m", "impasto", photo, painting, "-o", str(target), "--size", str(size)]
                subprocess.run([*command, "--quiet", *more], check=True)
                seconds[target.stem] = round(time.perf_counter() - begun, 1)
                times.write_text(json.dumps(seconds, indent=1), "utf-8")


def sheets(pairs: list[tuple[str, str]], folder: Path) -> None:
    """A sheet for every pair, and the key: which way is A."""
    key = folder / "key.json"
    order = json.loads(key.read_text("utf-8")) if key.exists() else {}
    for number, (photo, painting) in enumerate(pairs, 1):
        first = order.setdefault(str(number), secrets.choice(WAYS))
        ways = [first, *(way for way in WAYS if way != first)]
        results = [Image.open(folder / f"{number:02}-{way}.png").convert("RGB") for way in ways]
        given = [Image.open(path).convert("RGB") for path in (painting, photo)]
        for picture in given:
            picture.thumbnail(results[0].size)
        cells = zip(("painting", "photo", "A", "B"), (*given, *results), strict=True)
        grid = Grid((tuple(Cell(label, picture) for label, picture in cells),))
        draw(grid, cell=max(results[0].size)).save(folder / f"pair-{number:02}.png")
    key.write_text(json.dumps(order), "utf-8")


def read(folder: Path) -> str:
    """How often each way was preferred, and the verdict on every pair."""
    order = json.loads((folder / "key.json").read_text("utf-8"))
    verdicts = {}
    for line in (folder / "verdicts.txt").read_text("utf-8").splitlines():
        if not line.strip():
            continue
        number, best, words = re.match(r"0*(\d*)\s*(\S*)\s*(.*)", line.strip()).groups()
        if not number or best.rstrip(":") not in (*BEST, "="):
            raise SystemExit(f"{line[:40]!r}: is no verdict; begin with the pair's number and A, B or =")
        verdicts[number] = (best.rstrip(":"), words)
    if missing := sorted(order.keys() - verdicts.keys(), key=int):
        raise SystemExit(f"no verdict on {', '.join(missing)}; the key stays closed")
    count = dict.fromkeys((*WAYS, "neither"), 0)
    lines = []
    for number, first in sorted(order.items(), key=lambda item: int(item[0])):
        best, words = verdicts[number]
        ways = [first, *(way for way in WAYS if way != first)]
        winner = ways[BEST[best]] if best in BEST else "neither"
        count[winner] += 1
        lines.append(f"{number}: {winner} (A was {first}). {words}")
    return "\n".join([*lines, ", ".join(f"{way} {number}" for way, number in count.items())])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("make")
    make.add_argument("pairs", type=Path)
    make.add_argument("folder", type=Path)
    make.add_argument("--one", default="", help="flags of the first way")
    make.add_argument("--other", default="--style-loss neighbours,gram", help="flags of the second way")
    make.add_argument("--size", type=int, default=512)
    commands.add_parser("read").add_argument("folder", type=Path)
    given = parser.parse_args()
    if given.command == "read":
        print(read(given.folder))
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    lines = given.pairs.read_text("utf-8").splitlines()
    pairs = [(photo, painting) for photo, painting in (line.split("\t") for line in lines if line.strip())]
    paint(pairs, given.folder, {"one": shlex.split(given.one), "other": shlex.split(given.other)}, given.size)
    sheets(pairs, given.folder)


if __name__ == "__main__":
    main()
