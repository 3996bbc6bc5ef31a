"""A page of many pictures: one HTML file that needs no network, with each picture's losses, curves and command.

Knows nothing of transfers, like sheet.py. Everything shown stands in the page as markup: what belongs to a cell is in a
<template> behind its button, so that the script (data/page.js) holds no data and no text of others.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from impasto.errors import ImageReadError
from impasto.show.sheet import Grid, contained
from impasto.text import shown

__all__ = ["Figure", "html"]

LONGEST = 1024  # pixels: longer side of an embedded picture,
AREA = 120_000_000  # or less, so that all of them together have no more pixels than these: some 60 MB
QUALITY = 88  # of WebP; the originals lie beside the page
WIDTH, HEIGHT = 640, 340  # of the curves, in units of their own
LEFT, RIGHT, TOP, BOTTOM = 68, 12, 24, 46  # of these, around the plot
COLOURS = 6  # of the lines (data/page.css); more terms begin again, dashed
FINE = 2  # units along the horizontal axis: of a line's steps on so many, the lowest and the highest are drawn
DECADES = 0.5  # shown at least on the vertical axis, so that noise does not look like a descent
TICKS = 7  # at most on an axis
MANTISSAS = ((1,), (1, 2, 5), (1, 2, 3, 4, 5, 6, 7, 8, 9))  # of the ticks: the first that gives three
TOTAL = "total"
Point = tuple[float, float]
Scale = Callable[[float], float]


@dataclass(frozen=True)
class Figure:
    """A cell of the page."""

    label: str  # its values in words, e.g. "content layer conv4_2, style weight 100"
    picture: Path | None  # None where it failed
    reason: str  # why it failed, one line
    losses: Mapping[str, float]  # terms by name, unweighted, and "total"
    trace: Path | None  # JSON Lines as trace.py writes them; without it, or where it is damaged, there are no curves
    command: str  # the command line that makes it again


def html(title: str, grids: Sequence[Grid[Figure]], *, caption: Sequence[str], thumbnail: int = 480) -> str:
    """The page; `thumbnail` is the longer side in pixels of a picture in its grid, where there is room for it.

    A picture that cannot be read is a cell with the reason; nothing is raised for it.
    """
    data = resources.files("impasto") / "data"
    shell, style, script = ((data / f"page.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    side = min(LONGEST, math.isqrt(AREA // max(1, sum(len(row) for grid in grids for row in grid.rows))))
    return Template(shell).substitute(
        policy=f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        title=_text(title),
        style=style,
        thumbnail=thumbnail,
        caption="\n".join(f"<p>{_text(line)}</p>" for line in caption),
        grids="\n".join(_section(grid, grid.title if grid.title != title else "", side) for grid in grids),
        script=script,
    )


def _section(grid: Grid[Figure], title: str, side: int) -> str:
    """A grid: a table with headings, or figures that wrap with the window."""
    head = f"<h2>{_text(title)}</h2>" if title else ""
    if not grid.columns:
        cells = [cell for row in grid.rows for cell in row]
        figures = (f"<figure>{_cell(one, side)}<figcaption>{_text(one.label)}</figcaption></figure>" for one in cells)
        return "\n".join([f'<section>{head}<div class="flow">', *figures, "</div></section>"])
    corner = f'<th class="side" rowspan="2" scope="col">{_text(grid.down)}</th>' if grid.sides else ""
    count = len(grid.columns)
    rows = [
        f'<tr>{corner}<th class="across" colspan="{count}" scope="colgroup">{_text(grid.across)}</th></tr>',
        "<tr>" + "".join(f'<th scope="col">{_text(name)}</th>' for name in grid.columns) + "</tr></thead><tbody>",
    ]
    for number, row in enumerate(grid.rows):
        name = f'<th class="side" scope="row">{_text(grid.sides[number])}</th>' if grid.sides else ""
        rows.append(f"<tr>{name}" + "\n".join(f"<td>{_cell(cell, side)}</td>" for cell in row) + "</tr>")
    table = f'<section>{head}<table class="grid" style="--columns: {count}"><thead>'
    return "\n".join([table, *rows, "</tbody></table></section>"])


def _cell(cell: Figure, side: int) -> str:
    """The button with the picture or the reason why there is none, and the template with the rest."""
    reason, label, picture = cell.reason, _text(cell.label), ""
    if cell.picture is not None:
        try:
            image = _read(cell.picture, side)
        except ImageReadError as error:
            reason = str(error)
        else:
            width, height = image.size
            picture = f'<img alt="{label}" width="{width}" height="{height}" loading="lazy" src="{_data(image)}">'
    failed = f"failed: {_text(reason)}"
    spoken = label if picture else f"{label}, {failed}"
    inside = picture or f'<span class="failed">{failed}</span>'
    return (
        f'<button type="button" class="cell" aria-haspopup="dialog" aria-label="{spoken}" data-label="{label}">'
        f"{inside}</button><template>{_details(cell, '' if picture else failed)}</template>"
    )


def _details(cell: Figure, failed: str) -> str:
    """What the dialog shows beside the picture."""
    parts = [f'<p class="failed">{failed}</p>'] if failed else []
    terms = [name for name in cell.losses if name != TOTAL] + [TOTAL] * (TOTAL in cell.losses)
    rows = [f'<th scope="row">{_text(name)}</th><td>{cell.losses[name]:.4g}</td>' for name in terms]
    if rows:
        parts.append(f'<h3>Losses</h3><table class="losses"><tbody><tr>{"</tr><tr>".join(rows)}</tr></tbody></table>')
    if TOTAL in terms[1:]:
        parts.append("<p>The total is the weighted sum; the terms are unweighted.</p>")
    if curves := _curves(cell.trace):
        parts.append(f"<h3>Loss curves</h3>{curves}")
    parts.append(
        f"<h3>Command</h3><div><pre><code>{_exact(cell.command)}</code></pre>"
        '<button type="button" class="copy">Copy</button> <span role="status"></span></div>'
    )
    return "\n".join(parts)


def _read(path: Path, side: int) -> Image.Image:
    """A picture of at most `side` pixels a side; raises ImageReadError."""
    from impasto.pictures.encode import to_array
    from impasto.pictures.read import read

    picture = read(path)
    image = Image.fromarray(to_array(picture.rgb, picture.alpha))
    return image.resize(contained(image.size, side), Image.Resampling.LANCZOS) if max(image.size) > side else image


def _data(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass(frozen=True)
class _Step:
    level: int
    size: str
    losses: dict[str, float]  # NaN where the trace has no number


def _steps(path: Path | None) -> list[_Step]:
    """The steps of a trace; none where it is missing or damaged."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")[1:-1] if path is not None else []
        return [_step(json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return []


def _step(record: Any) -> _Step:
    losses = {**record["losses"], TOTAL: record["loss"]}
    numbers = {name: math.nan if value is None else float(value) for name, value in losses.items()}
    return _Step(int(record["level"]), f"{record['width']:d}×{record['height']:d}", numbers)


def _curves(path: Path | None) -> str:
    """The loss curves as SVG with a legend; empty where there is nothing to draw."""
    steps = _steps(path)
    names = [name for name in dict.fromkeys(name for step in steps for name in step.losses) if name != TOTAL]
    lines = {name: [_log(step.losses.get(name, math.nan)) for step in steps] for name in [*names, TOTAL]}
    lines = {name: values for name, values in lines.items() if any(map(math.isfinite, values))}
    every = [value for values in lines.values() for value in values if math.isfinite(value)]
    if not every:
        return ""
    middle, half = (min(every) + max(every)) / 2, max(max(every) - min(every), DECADES) / 2
    low, high, last = middle - half, middle + half, len(steps)

    def x(step: float) -> float:
        return LEFT + (step - 1) / max(1, last - 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [*_axes(_whole(last), _ticks(low, high), x, y), *_levels(steps, x)]
    classes = dict(zip(names, (f"c{n % COLOURS}{' dashed' * (n >= COLOURS)}" for n in range(len(names))), strict=True))
    classes[TOTAL] = "total"
    for name, values in lines.items():
        drawn = _path([(x(number), y(value)) for number, value in enumerate(values, 1)])
        parts.append(f'<path class="curve {classes[name]}" d="{drawn}"><title>{_text(name)}</title></path>')
    legend = "".join(
        f'<li><svg viewBox="0 0 24 8" aria-hidden="true"><path class="curve {classes[name]}" d="M1 4H23"/></svg>'
        f"{_text(name)}</li>"
        for name in lines
    )
    spoken = _text(f"Loss curves of {', '.join(lines)} over {last} steps")
    svg = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{spoken}">{"".join(parts)}</svg>'
    return f'{svg}<ul class="legend">{legend}</ul>'


def _axes(steps: Sequence[int], losses: Sequence[tuple[float, str]], x: Scale, y: Scale) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for value, name in losses:
        place = f"{y(value):.1f}"
        yield f'<path class="tick" d="M{LEFT} {place}H{right}"/>'
        yield f'<text x="{LEFT - 8}" y="{place}" dy=".35em" text-anchor="end">{name}</text>'
    for step in steps:
        place = f"{x(step):.1f}"
        yield f'<path class="axis" d="M{place} {bottom}v5"/>'
        yield f'<text x="{place}" y="{bottom + 18}" text-anchor="middle">{step}</text>'
    yield f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>'
    yield f'<text x="{(LEFT + right) / 2:g}" y="{HEIGHT - 8}" text-anchor="middle">step</text>'
    yield f'<text transform="translate(14 {(TOP + bottom) / 2:g}) rotate(-90)" text-anchor="middle">loss</text>'


def _levels(steps: Sequence[_Step], x: Scale) -> Iterator[str]:
    """A thin line before every level but the first, and each level's size where there is room for it."""
    start = 1
    for _, group in groupby(steps, key=lambda step: step.level):
        level = list(group)
        end = start + len(level)
        if start > 1:
            yield f'<path class="level" d="M{x(start - 0.5):.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        if x(end) - x(start) > 8 * len(level[0].size):
            yield f'<text x="{x(start) + 4:.1f}" y="{TOP - 8}">{level[0].size}</text>'
        start = end


def _path(points: Sequence[Point]) -> str:
    """A line through points; one that has no number parts it.

    >>> _path([(0, 1), (9, 2), (18, math.nan), (27, 4)])
    'M0.0 1.0L9.0 2.0M27.0 4.0h0'
    """
    runs = []
    for there, group in groupby(points, key=lambda point: math.isfinite(point[1])):
        if there:
            run = [f"{x:.1f} {y:.1f}" for x, y in _thinned(list(group))]
            runs.append("M" + "L".join(run) + "h0" * (len(run) == 1))
    return "".join(runs)


def _thinned(run: Sequence[Point]) -> Iterator[Point]:
    """At most two points on a stretch of FINE units: the lowest and the highest, in their order."""
    for _, group in groupby(run, key=lambda point: point[0] // FINE):
        part = list(group)
        yield from sorted({min(part, key=lambda point: point[1]), max(part, key=lambda point: point[1])})


def _ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Round numbers between two powers of ten, with their logarithms.

    >>> [name for _, name in _ticks(-4.5, 0.5)], [name for _, name in _ticks(0.2, 1.1)]
    (['0.0001', '0.001', '0.01', '0.1', '1'], ['2', '5', '10'])
    """
    found: list[tuple[float, str]] = []
    for mantissas in MANTISSAS:
        every = ((power, m) for power in range(math.floor(low), math.floor(high) + 1) for m in mantissas)
        logs = ((power + math.log10(m), f"{float(f'{m}e{power}'):g}") for power, m in every)
        found = [tick for tick in logs if low <= tick[0] <= high]
        if len(found) >= 3:
            break
    return found[:: math.ceil(len(found) / TICKS) or 1]


def _whole(last: int) -> list[int]:
    """Round numbers of steps up to the last; the first step is 1.

    >>> _whole(300), _whole(4), _whole(1)
    ([50, 100, 150, 200, 250, 300], [1, 2, 3, 4], [1])
    """
    sizes = (m * 10**power for power in range(12) for m in (1, 2, 5))
    apart = next(size for size in sizes if last / size <= TICKS)
    return list(range(apart, last + 1, apart))


def _log(value: float) -> float:
    return math.log10(value) if 0 < value < math.inf else math.nan


def _text(text: str) -> str:
    """Escaped for markup, and control characters and undecodable bytes as they are shown elsewhere."""
    return escape(shown(text))


def _exact(text: str) -> str:
    """Escaped so that it can be copied out unchanged; undecodable bytes, which no page can hold, as escapes."""
    return escape(text.encode(errors="backslashreplace").decode()).replace("\r", "&#13;")
