"""Many settings at a glance: a cell for every combination of some options' values, a sheet and a page of them all."""

from __future__ import annotations

import hashlib
import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from impasto import files
from impasto.errors import ImpastoError, OptionError, OutputError
from impasto.pictures.metadata import read_metadata
from impasto.recipe import Recipe, flag
from impasto.show import page, sheet
from impasto.show.sheet import Cell, Grid
from impasto.text import shown
from impasto.work import jobs
from impasto.work.axes import MOST_AXES, Axis, cells, worded
from impasto.work.events import Drawn, Tell
from impasto.work.job import Job, reads
from impasto.work.jobs import Carry, Entry
from impasto.work.worker import here

__all__ = ["Sweep", "run"]

LONGEST = 4096  # pixels of a picture's longer side that a sheet can use
ROW = 6  # cells of a sheet's row, where one axis is wrapped


@dataclass(frozen=True)
class Sweep:
    """What a sweep has made: its cells in the order of the axes' values, the last axis fastest; its sheets and page."""

    axes: tuple[Axis, ...]
    entries: tuple[Entry, ...]
    sheets: tuple[Path, ...]
    page: Path


def run(
    content: str,
    styles: Sequence[str],
    axes: Sequence[Axis],
    recipe: Recipe,
    output: Path,
    *,
    cell: int | None = None,
    inputs: bool = True,
    overwrite: bool = False,
    carry: Carry = here,
    tell: Tell = lambda _: None,
) -> Sweep:
    """Paint every cell into the folder `output` without its suffix, and draw the sheets and the page beside it.

    One axis is a row, two are a grid, three a sheet for each value of the first, named after it. `cell`: the longer
    side of a picture on the sheet. `inputs`: whether content and styles are shown in the corner. A second call paints
    only what is missing. A failed cell is an entry; raises OptionError for impossible axes, OutputError for an
    `output` that cannot be written.
    """
    from impasto.pictures.encode import check_target, write_image  # with torch, which is slow to import

    found = cells(axes, recipe)
    for _, made in found:
        if made.blend and len(made.blend) != len(styles):
            raise OptionError(f"blend: {len(made.blend)} weights for {len(styles)} style pictures; give one each")
    kinds = [Axis(one.field, tuple(dict.fromkeys(v[n] for v, _ in found))) for n, one in enumerate(axes)]
    cell_jobs = [Job(content, tuple(styles), made, _place(kinds, values)) for values, made in found]
    mark = {"sweep": hashlib.sha256("".join(job.key for job in cell_jobs).encode()).hexdigest()}
    sheets, report = _sheets(output, kinds), output.with_suffix(".html")
    ours = all(not path.exists() or _marked(path, mark) for path in sheets)
    for path in sheets:
        check_target(path, overwrite=overwrite or ours, inputs=[content, *styles])
    if report.is_dir() or (report.exists() and not (overwrite or (ours and sheets[0].exists()))):
        raise OutputError(f"{shown(report)}: exists already; choose another name, or --overwrite")
    read = {name: path for _, made in found for name, path in reads(content, styles, made).items()}
    files.check_apart(read, {**{f"the sheet {path.name}": path for path in sheets}, "the page": report})
    entries = jobs.run(cell_jobs, output.with_suffix(""), extras=True, carry=carry, tell=tell)

    caption = _caption(content, styles, kinds, recipe)
    corner = _corner(content, styles) if inputs else []
    grids = _grids(kinds, [_label(kinds, values) for values, _ in found], entries)
    for path, grid in zip(sheets, grids, strict=True):
        write_image(path, sheet.draw(grid.map(_opened), cell=cell, caption=caption, inputs=corner), mark)
    files.write(report, page.html(_title(kinds), [grid.map(_figure) for grid in grids], caption=caption).encode())
    tell(Drawn((*sheets, report)))
    return Sweep(tuple(kinds), tuple(entries), tuple(sheets), report)


def _sheets(output: Path, axes: Sequence[Axis]) -> list[Path]:
    if len(axes) < MOST_AXES:
        return [output]
    first = axes[0]
    return [output.with_stem(f"{output.stem}-{first.field}-{_plain(worded(value))}") for value in first.values]


def _place(axes: Sequence[Axis], values: Sequence[Any]) -> str:
    """A cell's name, of its values."""
    return "_".join(f"{one.field}-{_plain(worded(value))}" for one, value in zip(axes, values, strict=True))


def _plain(text: str) -> str:
    """A text as a part of a file's name on every system."""
    return re.sub(r"[^\w.+-]+", "-", text)


def _label(axes: Sequence[Axis], values: Sequence[Any]) -> str:
    return ", ".join(f"{one.words} {worded(value)}" for one, value in zip(axes, values, strict=True))


@dataclass(frozen=True)
class _Place:
    """A cell as it stands in its grid."""

    label: str
    short: str
    entry: Entry


def _grids(axes: Sequence[Axis], labels: Sequence[str], entries: Sequence[Entry]) -> list[Grid[_Place]]:
    """One grid, or one for each value of the first of three axes."""
    places = [
        _Place(label, label.removeprefix(f"{axes[0].words} ") if len(axes) == 1 else label, entry)
        for label, entry in zip(labels, entries, strict=True)
    ]
    if len(axes) == 1:
        across = math.ceil(len(places) / math.ceil(len(places) / ROW))  # rows as even as they can be
        rows = tuple(tuple(places[start : start + across]) for start in range(0, len(places), across))
        return [Grid(rows, title=axes[0].words)]
    down, across_axis = axes[-2:]
    wide, high = len(across_axis.values), len(down.values)
    grids = []
    for start in range(0, len(places), wide * high):
        part = places[start : start + wide * high]
        first = f"{axes[0].words} {worded(axes[0].values[start // (wide * high)])}" if len(axes) == MOST_AXES else ""
        grids.append(
            Grid(
                tuple(tuple(part[n * wide : (n + 1) * wide]) for n in range(high)),
                title=first,
                across=across_axis.words,
                down=down.words,
                columns=tuple(worded(value) for value in across_axis.values),
                sides=tuple(worded(value) for value in down.values),
            )
        )
    return grids


def _opened(place: _Place) -> Cell:
    entry = place.entry
    if entry.failure is not None or entry.file is None:
        return Cell(place.short, None, entry.failure.message if entry.failure else "")
    try:
        return Cell(place.short, _image(str(entry.file)))
    except ImpastoError as error:
        return Cell(place.short, None, str(error))


def _figure(place: _Place) -> page.Figure:
    entry = place.entry
    file = entry.file if entry.failure is None else None
    trace = file.with_suffix(".jsonl") if file is not None else None
    command = _command(entry.job, f"{entry.job.place}.png")
    reason = entry.failure.message if entry.failure else ""
    return page.Figure(place.label, file, reason, entry.losses, trace, command)


def _image(path: str) -> Image.Image:
    """A picture no larger than a sheet can use; raises ImageReadError."""
    from impasto.pictures.encode import to_array
    from impasto.pictures.read import read
    from impasto.pictures.resize import fit, resize

    rgb = read(path).rgb
    size = (rgb.shape[1], rgb.shape[2])
    return Image.fromarray(to_array(resize(rgb, fit(size, min(LONGEST, max(size))))))


def _command(job: Job, output: str) -> str:
    """The command that paints a cell by itself: the flags that differ from the defaults."""
    pictures = [_clear(str(path)) for path in (job.content, *job.styles)]
    return shlex.join(["impasto", *pictures, "-o", output, *_flags(job.recipe)])


def _clear(path: str) -> str:
    """A path that is taken for nothing else: neither for a flag nor for a command's name."""
    return path if "/" in path or "\\" in path else f"./{path}"


def _flags(recipe: Recipe, without: Sequence[str] = ()) -> list[str]:
    words: list[str] = []
    for name, field in Recipe.model_fields.items():
        value = getattr(recipe, name)
        if value == field.default or name in without:
            continue
        if isinstance(value, bool):
            words.append(flag(name) if value else f"--no-{flag(name)[2:]}")
        elif isinstance(value, tuple):
            words.append(f"{flag(name)}={','.join(str(part) for part in value)}")
        else:
            words += [flag(name), json.dumps(value) if isinstance(value, float) else str(value)]
    return words


def _title(axes: Sequence[Axis]) -> str:
    return " × ".join(one.words for one in axes)


def _caption(content: str, styles: Sequence[str], axes: Sequence[Axis], recipe: Recipe) -> list[str]:
    """The pictures' names, and the settings that all cells share."""
    names = f"{Path(content).name} in the style of {' and '.join(Path(style).name for style in styles)}"
    common = _flags(recipe, without=[*(one.field for one in axes), "net"])
    net = f"network {Path(recipe.net).name}" if not any(one.field == "net" for one in axes) else ""
    return [shown(names), shown(", ".join(part for part in (net, " ".join(common)) if part))]


def _corner(content: str, styles: Sequence[str]) -> list[tuple[str, Image.Image]]:
    """The input pictures, as far as they can be read; those that cannot have failed their cells."""
    found = []
    for path in (content, *styles):
        with suppress(ImpastoError):
            found.append((shown(Path(path).name), _image(path)))
    return found


def _marked(path: Path, mark: Mapping[str, Any]) -> bool:
    """Whether a sheet is of this very sweep, so that it may be drawn anew."""
    try:
        return read_metadata(path) == mark
    except ImpastoError:
        return False
