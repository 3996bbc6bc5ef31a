"""Random combinations of options and pictures: what impasto says that they take, and what they take.

    python benchmarks/memory.py --random 40 --seed 0 --vgg19 FILE.h5 --out FOLDER

Each is a process of its own that does what the command line does, with three evaluations a level and a preview after
each; peak memory is the whole process's, from the reading of the pictures to the saving of the result. A row is right
where peak / said is within RIGHT and the peak is within what --max-memory allowed; a refusal is right where the size
that it says fits is painted within it.
"""

from __future__ import annotations

import random
import re
import tempfile
from pathlib import Path
from typing import Any

import common

GIB = 2**30
RIGHT = (0.80, 1.05)
ITERATIONS = 3  # one before the first move, and two that make use of one
LOSSES = ("gram", "gram", "neighbours", "patches", "moments")
LIMITS = (0.5, 0.6, 0.7, 0.8, 1.0, 1.5, 2.0, 3.0)
SHAPES = ((4, 3), (3, 4), (1, 1), (16, 9), (3, 1), (1, 4), (8, 1))
SCALES = (0.5, 1.0, 1.0, 1.0, 1.5, 2.0, 4.0, 8.0)
LAYERS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"style_layer": ("relu1_1", "relu2_1", "relu3_1")},
    {"content_layer": ("relu2_2",)},
    {"style_layer": ("conv1_1", "relu1_2", "conv3_1", "relu4_4")},
)
LONGEST = 3072  # px: of a painting at its own scale, to be done within minutes


def draw(chance: random.Random, vgg19: str | None) -> dict[str, Any]:
    """A combination: `options` of a recipe, and each picture as (width, height, suffix)."""
    loss = chance.choice(LOSSES)
    size = 32 * chance.randint(4, 24 if loss in ("gram", "moments") else 16)
    options: dict[str, Any] = {
        "size": size,
        "style_loss": loss,
        "style_scale": min(chance.choice(SCALES), LONGEST / size, 10.0),
        "levels": chance.choice((0, 0, 1, 2)),
        "max_memory": chance.choice(LIMITS),
        "optimizer": chance.choice(("lbfgs", "lbfgs", "lbfgs", "adam")),
        "net": chance.choice(("lite", "lite", vgg19)) if vgg19 else "lite",
        **(chance.choice(LAYERS) if loss in ("gram", "moments") else {}),
    }
    pictures = [_picture(chance, large=0.3)]
    pictures += [_picture(chance, large=0.15) for _ in range(chance.choice((1, 1, 2, 3)))]
    return {"options": options, "pictures": pictures}


def _picture(chance: random.Random, large: float) -> tuple[int, int, str]:
    across, down = chance.choice(SHAPES)
    megapixels = chance.uniform(20, 60) if chance.random() < large else chance.uniform(0.3, 3)
    unit = (megapixels * 1e6 / (across * down)) ** 0.5
    return round(across * unit), round(down * unit), chance.choice((".jpg", ".jpg", ".png"))


def work(options: dict[str, Any], content: str, styles: list[str], threads: int) -> dict[str, Any]:
    """Paint as the command line does; what was said and what was taken. Runs in a process of its own."""
    from impasto import Recipe, Transfer
    from impasto.errors import MemoryShortError
    from impasto.paint.result import Progress
    from impasto.paint.run import follow

    common.use_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        try:
            transfer = Transfer(content, styles, Recipe(**options, iterations=ITERATIONS))
        except MemoryShortError as error:
            return {"refused": str(error)}
        kept = transfer.keep_buffers()
        said = transfer.peak
        transfer.expected_seconds()

        def preview(progress: Progress) -> None:
            from impasto.pictures.encode import write

            write(Path(folder) / "preview.png", progress.image(), overwrite=True)

        follow(transfer, preview).save(Path(folder) / "result.png")
        plan = transfer.needs[-1].plan
    return {"said": said, "took": common.peak_memory(), "kept": kept, "rows": plan.rows, "size": transfer.scene.size}


def right(row: dict[str, Any]) -> bool:
    """Whether a measured row is what the page promises."""
    low, high = RIGHT
    return low <= row["took"] / row["said"] <= high and row["took"] <= row["limit"]


def measure(count: int, seed: int, vgg19: str | None, threads: int, make: Any) -> list[dict[str, Any]]:
    """Measure so many combinations; `make(path, width, height, seed)` writes a picture."""
    chance, rows = random.Random(seed), []
    for number in range(count):
        drawn = draw(chance, vgg19)
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for place, (width, height, suffix) in enumerate(drawn["pictures"]):
                paths.append(str(Path(folder) / f"{place}{suffix}"))
                common.fresh(make, paths[-1], width, height, place)
            rows.append(_one(drawn, paths, threads))
        print(f"{number + 1}: {line(rows[-1])}", flush=True)
    return rows


def _one(drawn: dict[str, Any], paths: list[str], threads: int) -> dict[str, Any]:
    """Measure a combination; where it is refused, what is said to fit."""
    options = dict(drawn["options"])
    row = {"drawn": drawn, "limit": options["max_memory"] * GIB}
    found = common.fresh(work, options, paths[0], paths[1:], threads)
    if "refused" in found:
        row["refused"] = found["refused"]
        fits = re.search(r"--size (\d+) fits", found["refused"])
        if fits is None:
            return {**row, "right": True}
        options["size"] = int(fits[1])
        found = common.fresh(work, options, paths[0], paths[1:], threads)
        if "refused" in found:
            return {**row, "right": False}
    row |= found
    return {**row, "right": right(row)}


def line(row: dict[str, Any]) -> str:
    """A row as one line."""
    options, pictures = row["drawn"]["options"], row["drawn"]["pictures"]
    shapes = ", ".join(f"{width}×{height}{suffix}" for width, height, suffix in pictures)
    what = (
        f"{options['size']} px, {Path(options['net']).stem}, {options['style_loss']},"
        f" {' '.join(layer for name in ('style_layer', 'content_layer') for layer in options.get(name, ()))}"
        f" scale {options['style_scale']:.3g},"
        f" {options['optimizer']}, levels {options['levels']}, of {shapes}, within {options['max_memory']} GiB"
    )
    said = f"refused ({row['refused'].split(';')[-1].strip()}); " if "refused" in row else ""
    if "took" in row:
        said += (
            f"said {row['said'] / GIB:.2f}, took {row['took'] / GIB:.2f} ({row['took'] / row['said']:.2f}),"
            f" {'kept' if row['kept'] else 'given back'}, rows {row['rows']}"
        )
    return f"{said} {'' if row['right'] else 'WRONG'} — {what}"


def table(rows: list[dict[str, Any]]) -> str:
    """All rows for people, and how many are right."""
    done = [row["took"] / row["said"] for row in rows if "took" in row]
    head = f"{sum(row['right'] for row in rows)} of {len(rows)} right, {sum('refused' in row for row in rows)} refused"
    span = f"; peak / said {min(done):.2f} to {max(done):.2f}" if done else ""
    return "\n".join([head + span, "", *(f"- {line(row)}" for row in rows)])
