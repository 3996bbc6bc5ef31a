"""Whether a run that is killed again and again ends as the one that was left alone.

    python benchmarks/kills.py --content PHOTO --style PAINTING --kills 20 --size 256 --out FOLDER

Paints a picture once in peace, then once more with `kill -9` after random times, going on each time with
`impasto resume`, or with the same command where there is no checkpoint yet, until it has been killed so often; then to
its end. Both files must be the same, byte by byte, and nothing else may be left. It also says which share of the time
of a run in peace goes into writing. Options after `--` are impasto's. Checkpoints are written every `--every` seconds,
as waiting half a minute for each would take long. Not on Windows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CHILD = """
import sys, time
from impasto.paint import checkpoint
checkpoint.EVERY, checkpoint.SHARE = float(sys.argv[1]), float(sys.argv[2])
spent, write = [], checkpoint.Keeper.write
def timed(self):
    begun = time.monotonic()
    write(self)
    spent.append(time.monotonic() - begun)
checkpoint.Keeper.write = timed
from impasto.__main__ import main
begun = time.monotonic()
status = main(sys.argv[3:])
print(len(spent), sum(spent), time.monotonic() - begun)
sys.exit(status)
"""


def start(arguments: list[str], every: float, share: float, folder: Path) -> subprocess.Popen[str]:
    """A run in a process of its own, whose stdout says how often it wrote, how long that took, and the whole."""
    command = [sys.executable, "-c", CHILD, str(every), str(share), *arguments, "--quiet"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> list[float]:
    """What a run says at its end."""
    out, err = process.communicate()
    if process.returncode:
        sys.exit(f"status {process.returncode}: {err}")
    return [float(part) for part in out.split()]


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--every", type=float, default=0.5, help="seconds from one checkpoint to the next")
    parser.add_argument("--share", type=float, default=0.5, help="of the time that writing may take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("options", nargs="*", help="impasto's, after --")
    given = parser.parse_args(argv)
    folder, chance = given.out, random.Random(given.seed)
    folder.mkdir(parents=True, exist_ok=True)
    common = [str(given.content.resolve()), str(given.style.resolve()), "--size", str(given.size), *given.options]

    whole = folder / "whole.png"
    begun = time.monotonic()
    first = [*common, "-o", whole.name, "--overwrite"]
    _, _, peace = ended(start([*first, "--no-checkpoint"], given.every, given.share, folder))
    print(f"in peace: {time.monotonic() - begun:.1f} s")
    count, writing, kept = ended(start([*first, "--checkpoint", "whole.checkpoint"], given.every, given.share, folder))
    print(f"kept: {count:.0f} checkpoints, {writing:.2f} s of {kept:.1f} s, {writing / kept:.1%}")

    command = [*common, "-o", "killed.png", "--checkpoint", "run.checkpoint"]
    result, checkpoint = folder / "killed.png", folder / "run.checkpoint"
    for path in (result, checkpoint):
        path.unlink(missing_ok=True)
    moments: list[dict[str, Any]] = []
    life = 2 * peace / given.kills  # on the average: some end before their first checkpoint
    while len(moments) < given.kills and not result.exists():
        resumed = checkpoint.exists()
        process = start(["resume", checkpoint.name] if resumed else command, given.every, given.share, folder)
        wait = chance.uniform(0, 2 * life)
        try:
            ended_by_itself = process.wait(wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            left = [path.name for path in folder.glob(".impasto-*")]
            moments.append({"seconds": round(wait, 2), "resumed": resumed, "half written": bool(left)})
            continue
        if ended_by_itself:
            sys.exit(f"status {ended_by_itself}: {process.communicate()[1]}")
    if not result.exists():
        ended(start(["resume", checkpoint.name] if checkpoint.exists() else command, given.every, given.share, folder))
    same = result.read_bytes() == whole.read_bytes()
    left = sorted(set(os.listdir(folder)) - {"whole.png", "killed.png", "kills.json"})  # noqa: PTH208
    print(f"{len(moments)} kills: {'the same bytes' if same else 'ANOTHER PICTURE'}; left behind: {left or 'nothing'}")
    (folder / "kills.json").write_text(json.dumps({"kills": moments, "same": same, "left": left}, indent=1) + "\n")
    sys.exit(0 if same and not left else 1)


if __name__ == "__main__":
    main()
