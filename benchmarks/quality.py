"""Time to quality: seconds until the saved picture reaches a judge total, impasto beside the peers' way.

    python benchmarks/quality.py --vgg19 FILE.h5 --content PHOTO --style PAINTING --out FOLDER

Every candidate is a process of its own, timed from its start (candidate.py): the reference (reference.py), impasto with
VGG-19, impasto with lite. Style weight of the run and β of the judge are the same. Afterwards judge.py judges every
picture written. The targets are the total that the reference has after --steps, and 1.5 times that. Results:
quality.json, quality.md, quality.png in FOLDER.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import common
import judge
import torch

import impasto
from impasto.recipe import Recipe

HERE = Path(__file__).resolve().parent
CANDIDATES = ("reference", "vgg19", "lite")
REFERENCE_CODE = [HERE / name for name in ("candidate.py", "judge.py", "reference.py")]
DEFAULT = "default"
FACTORS = (1.0, 1.5)  # of the reference's last total: the targets

Run = dict[str, Any]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vgg19", type=Path, required=True, help="the original weights, Keras .h5 without classifier")
    parser.add_argument("--content", type=Path, required=True)
    parser.add_argument("--style", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the results and of what --only reuses")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--beta", type=float, nargs="+", default=[1000.0, 30.0])
    parser.add_argument("--steps", type=int, default=150, help="of the reference")
    parser.add_argument("--schedules", nargs="*", default=[], help="besides the default: 30,20,10 50,40,25 …")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="further options of impasto's recipe"
    )
    parser.add_argument("--only", nargs="*", choices=CANDIDATES, help="run these, reuse the rest; none: reuse all")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice")
    parser.add_argument("--keep", action="store_true", help="keep the pictures of all checkpoints, not only the last")
    return parser.parse_args()


def options(texts: list[str]) -> dict[str, Any]:
    """Recipe fields from NAME=VALUE.

    >>> options(["levels=2", "precision=float32"])
    {'levels': 2, 'precision': 'float32'}
    """
    fields: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            fields[name] = json.loads(value)
        except ValueError:
            fields[name] = value
    return fields


def specifications(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """What is run, in this order."""
    shared = {
        "content": str(given.content.resolve()),
        "style": str(given.style.resolve()),
        "vgg19": str(given.vgg19.resolve()),
        "size": given.size,
        "device": given.device,
        "threads": given.threads,
    }
    usual = ",".join(str(count) for count in Recipe(style_loss="gram").iterations)
    schedules = [DEFAULT, *(text for text in dict.fromkeys(given.schedules) if text != usual)]
    for beta in given.beta:
        yield {**shared, "candidate": "reference", "kind": "reference", "beta": beta, "steps": given.steps}
        for net in ("vgg19", "lite"):
            for schedule in schedules:
                recipe = {
                    "size": given.size,
                    "style_loss": "gram",
                    "style_weight": beta,
                    "net": shared["vgg19"] if net == "vgg19" else net,
                    "device": given.device,
                    "style_trim": False,  # the judge sees the painting as it is
                    **options(given.set),
                    **({} if schedule == DEFAULT else {"iterations": [int(n) for n in schedule.split(",")]}),
                }
                yield {
                    **shared, "candidate": net, "kind": "impasto", "beta": beta, "schedule": schedule, "recipe": recipe
                }  # fmt: skip


def settings(spec: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for an earlier run to stand for this one: files by their contents, code, machine."""
    package = Path(impasto.__file__).parent
    code = REFERENCE_CODE if spec["kind"] == "reference" else [HERE / "candidate.py", *package.rglob("*.py")]
    if spec["candidate"] == "lite":
        code = [*code, *package.glob("data/*.safetensors")]
    files = {name: common.digest([Path(spec[name])]) for name in ("content", "style", "vgg19")}
    recipe = {key: value for key, value in spec.get("recipe", {}).items() if key != "net"}
    return {**spec, **files, "recipe": recipe, "code": common.digest(code), "about": about}


def measure(spec: dict[str, Any], folder: Path) -> Run:
    """Run one candidate in a new process; returns its record."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    command = [sys.executable, str(HERE / "candidate.py"), str(folder), repr(time.monotonic())]
    subprocess.run(command, check=True)
    run: Run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return {**run, "load_before": load}


def assess(run: Run, spec: dict[str, Any], net: judge.Net, folder: Path, keep: bool) -> None:
    """Judge every checkpoint of a run; its pictures but the last are removed unless they are to be kept."""
    height, width = run["sizes"][-1]
    between = judge.between(net, Path(spec["content"]), Path(spec["style"]), (width, height))
    for point in run["points"]:
        with torch.no_grad():
            content, style = (loss.item() for loss in between(judge.pixels(folder / point["picture"])))
        point.update(content=content, style=style, total=content + spec["beta"] * style)
    if not keep:
        for point in run["points"][:-1]:
            (folder / point["picture"]).unlink()


def collect(given: argparse.Namespace, about: dict[str, Any], invocation: str) -> list[Run]:
    """Every run that --only asks for, measured; the others as an earlier invocation left them, where it did."""
    net: judge.Net | None = None
    runs = []
    for spec in specifications(given):
        name = "-".join([spec["candidate"], f"beta{spec['beta']:g}", spec.get("schedule", "").replace(",", "_")])
        folder = given.out / "runs" / name.rstrip("-")
        wanted, record = settings(spec, about), folder / "judged.json"
        if given.only is None or spec["candidate"] in given.only:
            print(f"{name.rstrip('-')} …", flush=True)
            run = measure(spec, folder)
            net = net or judge.load(given.vgg19)
            assess(run, spec, net, folder, given.keep)
            run = {"settings": wanted, "invocation": invocation, **run}
            record.write_text(json.dumps(run, ensure_ascii=False), encoding="utf-8")
            end = run["points"][-1]
            print(f"    {end['seconds']:.1f} s, judge total {end['total']:.4g}", flush=True)
        elif record.is_file() and (run := json.loads(record.read_text(encoding="utf-8")))["settings"] == wanted:
            print(f"{name.rstrip('-')}: taken from {run['invocation']}", flush=True)
        else:
            print(f"{name.rstrip('-')}: no earlier run of the same settings; left out", flush=True)
            continue
        runs.append(run)
    return runs


def reached(points: list[dict[str, Any]], total: float) -> float | None:
    """Seconds at the first checkpoint whose total is at most this; None if none is.

    >>> reached([{"seconds": 1, "total": 9}, {"seconds": 2, "total": 5}, {"seconds": 3, "total": 6}], 6)
    2
    """
    return next((point["seconds"] for point in points if point["total"] <= total), None)


def answers(runs: list[Run]) -> list[dict[str, Any]]:
    """For each β, each run and target: seconds to it, and how many times sooner than the reference.

    `times_sooner` compares with the reference's own first checkpoint at that total, `times_sooner_than_all` with all of
    its steps. `seconds` is at any checkpoint of a run, `seconds_whole` at the end of a whole schedule that ends at or
    below the target. The rows named `best` take the soonest of a candidate's schedules.
    """
    rows = []
    for beta in dict.fromkeys(run["settings"]["beta"] for run in runs):
        here = [run for run in runs if run["settings"]["beta"] == beta]
        first = next((run for run in here if run["settings"]["candidate"] == "reference"), None)
        if first is None:
            continue
        end = first["points"][-1]
        for factor in FACTORS:
            total = factor * end["total"]
            base = reached(first["points"], total)
            found: dict[str, list[dict[str, Any]]] = {}
            for run in here:
                row = {
                    "beta": beta,
                    "factor": factor,
                    "total": total,
                    "candidate": run["settings"]["candidate"],
                    "schedule": run["settings"].get("schedule"),
                    "seconds": reached(run["points"], total),
                    "seconds_whole": reached(run["points"][-1:], total),
                }
                found.setdefault(row["candidate"], []).append(row)
            for candidate, several in found.items():
                best = {**several[0], "candidate": candidate, "schedule": "best"}
                for key in ("seconds", "seconds_whole"):
                    best[key] = min((row[key] for row in several if row[key] is not None), default=None)
                for row in [*several, *([best] if candidate != "reference" else [])]:
                    seconds = row["seconds"]
                    whole = row["seconds_whole"]
                    row["times_sooner"] = base / seconds if base and seconds else None
                    row["times_sooner_whole"] = base / whole if base and whole else None
                    row["times_sooner_than_all"] = end["seconds"] / seconds if seconds else None
                    rows.append(row)
    return rows


def as_table(runs: list[Run], found: list[dict[str, Any]]) -> str:
    """One row per run: what it cost, what it reached, and when it passed the two targets."""
    rows = []
    for run in runs:
        of = run["settings"]
        end = run["points"][-1]
        row = {
            "β": f"{of['beta']:g}",
            "candidate": of["candidate"],
            "evaluations": ", ".join(str(count) for count in run["evaluations"]),
            "start-up, s": common.significant(run["start_up"]["ready"], 2),
            "whole run, s": common.significant(end["seconds"]),
            "judge total at the end": common.significant(end["total"]),
        }
        mine = [row for row in found if all(row[key] == of.get(key) for key in ("beta", "candidate", "schedule"))]
        for factor in FACTORS:
            hit = next((row for row in mine if row["factor"] == factor), {})
            name = "the reference's" if factor == 1 else f"{factor:g} × it"
            row[f"s to {name}"] = common.significant(hit.get("seconds"))
            row[f"times sooner, {name}"] = common.significant(hit.get("times_sooner"))
        rows.append(row)
    return common.table(rows)


def main() -> None:
    """Measure, judge, and write the results."""
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    common.use_threads(given.threads)
    invocation = datetime.now(UTC).isoformat(timespec="seconds")
    about = common.machine(given.device)
    runs = collect(given, about, invocation)
    if not runs:
        sys.exit("nothing measured and nothing to reuse; leave --only out")
    found = answers(runs)
    height, width = runs[0]["sizes"][-1]
    invocations = sorted({run["invocation"] for run in runs})
    record = {
        "about": about,
        "content": given.content.name,
        "style": given.style.name,
        "size": [width, height],
        "steps": given.steps,
        "options": given.set,
        "invocations": invocations,
        "one_invocation": len(invocations) == 1,
        "answers": found,
        "runs": runs,
    }
    lines = [f"{common.caption(about)}; {given.content.stem} × {given.style.stem}, {width}×{height} px."]
    if len(invocations) > 1:
        lines.append(f"Measured in {len(invocations)} invocations: {', '.join(invocations)}.")
    common.write(given.out, "quality", record, "\n\n".join([" ".join(lines), as_table(runs, found)]))
    try:
        import plot
    except ModuleNotFoundError as error:
        print(f"no plot: {error.name} is not installed (pip install impasto[bench])")
    else:
        plot.draw(runs, given.out / "quality.png")


if __name__ == "__main__":
    main()
