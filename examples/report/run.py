"""Repeat the experiments of the report "Neural Style Transfer" (Chen, Yang, Xie; KTH DD2424), figures 5 to 10.

    python examples/report/run.py all --pictures FOLDER --out FOLDER

FOLDER holds the report's pictures. Each figure is a recipe file beside this program: pictures, settings and the fields
that vary. For each sheet of a figure there come a contact sheet with a small copy, a page, and the folder of its cells;
and one table for all, FIGURE.csv and FIGURE.md. A run that was cut goes on where it stopped.
"""

from __future__ import annotations

import argparse
import csv
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import colours, jpeg, terms
from PIL import Image

from impasto import Recipe, SomeFailedError, Targets
from impasto.cli.console import Console
from impasto.work import jobs, sweep
from impasto.work.sweep import Axis

HERE = Path(__file__).parent
FIGURES = tuple(f"fig{number}" for number in range(5, 11))
COMMON = {  # the report's own method; beta = 1, so that alpha is the report's ratio
    "style_loss": "gram",
    "units": "report-code",
    "content_weight": 0.1,
    "style_weight": 1.0,
    "iterations": (80, 60, 40),
}
DIGITS = 4  # of the numbers in the tables
REDUCED = 1100  # pixels: longer side of the copies for a document


def main() -> None:
    """Read the options and make the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figure", choices=[*FIGURES, "all"])
    parser.add_argument("--pictures", type=Path, required=True, help="folder of the report's pictures")
    parser.add_argument("--out", type=Path, default=Path("report"), help="folder to write to")
    parser.add_argument("--net", default="vgg19", help="the network, as for impasto")
    parser.add_argument("--size", type=int, default=512, help="longer side of the results")
    parser.add_argument("--cell", type=int, help="longer side of a picture on the sheets")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(net=options.net, size=options.size).replace(**COMMON)
    targets = Targets()
    failed = 0
    for figure in FIGURES if options.figure == "all" else [options.figure]:
        rows: list[dict[str, Any]] = []
        for sheet in tomllib.loads((HERE / f"{figure}.toml").read_text(encoding="utf-8"))["sheets"]:
            found, content, styles = paint(sheet, recipe, options.pictures, options.out, options.cell)
            failed += sum(entry.file is None for entry in found.entries)
            rows += table(sheet, found, content, styles, targets)
        write(options.out / figure, rows)
    raise SystemExit(1 if failed else 0)


def paint(
    sheet: dict[str, Any], recipe: Recipe, pictures: Path, out: Path, cell: int | None
) -> tuple[sweep.Sweep, str, list[str]]:
    """Paint and draw one sheet; returns it with the paths of its content and styles."""
    content, *styles = (
        squashed(pictures / name, sheet.get("squash"), out) for name in (sheet["content"], *sheet["styles"])
    )
    axes = [
        Axis(field, tuple(tuple(value) if isinstance(value, list) else value for value in values))
        for field, values in sheet["vary"].items()
    ]
    own = recipe.replace(**sheet.get("recipe", {}))
    console = Console()
    target = out / f"{sheet['name']}.png"
    with console:
        found = sweep.run(
            content, styles, axes, own, target, cell=cell, inputs=False, overwrite=True, tell=console.tell
        )
    for path in found.sheets:
        reduced(path)
    try:
        jobs.check(found.entries)
    except SomeFailedError as error:
        console.line(str(error))
    return found, content, styles


def reduced(sheet: Path) -> Path:
    """A small copy of a sheet, as a document wants it, beside it as JPEG."""
    copy = sheet.with_suffix(".jpg")
    with Image.open(sheet) as picture:
        picture.thumbnail((REDUCED, REDUCED), Image.Resampling.LANCZOS)
        picture.save(copy, quality=82, optimize=True)
    return copy


def squashed(path: Path, size: Sequence[int] | None, out: Path) -> str:
    """The picture itself or, where a size (width, height) is asked for, its copy squeezed to that shape."""
    if size is None:
        return str(path)
    width, height = size
    copy = out / "squashed" / f"{path.stem}.png"
    copy.parent.mkdir(exist_ok=True)
    with Image.open(path) as picture:
        picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS).save(copy)
    return str(copy)


def table(
    sheet: dict[str, Any], found: sweep.Sweep, content: str, styles: Sequence[str], targets: Targets
) -> list[dict[str, Any]]:
    """A row for every finished cell: its values, the terms of the saved picture, and what became of the colours."""
    rows = []
    for entry in found.entries:
        if entry.file is None:
            continue
        recipe = entry.job.recipe
        values = {axis.words: sweep.worded(getattr(recipe, axis.field)) for axis in found.axes}
        measured = terms(entry.file, content, styles, recipe, targets)
        if sheet.get("jpeg"):
            measured["total as JPEG 75"] = terms(jpeg(entry.file), content, styles, recipe, targets)["total"]
        rows.append(
            {
                "sheet": sheet["name"],
                "cell": ", ".join(f"{field} {value}" for field, value in values.items()),
                **measured,
                **colours(entry.file, content),
                "seconds": entry.seconds,
            }
        )
    return rows


def write(stem: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The table of a figure as CSV and Markdown."""
    if not rows:
        return
    shown = [
        {key: f"{value:.{DIGITS}g}" if isinstance(value, float) else str(value) for key, value in row.items()}
        for row in rows
    ]
    with stem.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(shown[0]))
        writer.writeheader()
        writer.writerows(shown)
    lines = ["| " + " | ".join(shown[0]) + " |", "|---" * len(shown[0]) + "|"]
    lines += ["| " + " | ".join(row.values()) + " |" for row in shown]
    stem.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
