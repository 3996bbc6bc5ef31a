"""`impasto batch`: many photos, each in the style of one or several paintings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from impasto.cli.console import Console
from impasto.cli.flags import (
    FILES,
    HERE,
    Elsewhere,
    Format,
    KeepExif,
    Quiet,
    RecipeFile,
    named,
    recipe_from,
    with_recipe_flags,
)
from impasto.files import FORMATS

if TYPE_CHECKING:
    from impasto.work.jobs import Entry

__all__ = ["batch", "report"]


@with_recipe_flags
def batch(
    *photos: Annotated[
        str, Parameter(name="PHOTO_OR_FOLDER", converter=named, help="Photos, and folders of photos at any depth.")
    ],
    style: Annotated[
        tuple[str, ...], Parameter(name="--style", negative=(), group=FILES, help="A painting. Repeatable.")
    ],
    out: Annotated[
        Path, Parameter(group=FILES, help="Folder to write to; made if need be. A second run goes on in it.")
    ],
    pairs: Annotated[
        Literal["each", "all"],
        Parameter(group=FILES, help="each: every photo with every style; all: every photo with all styles blended."),
    ] = "each",
    form: Annotated[
        Format, Parameter(name="--format", group=FILES, help="Format of the results: png, jpeg, webp or tiff.")
    ] = "png",
    keep_exif: KeepExif = False,
    recipe: RecipeFile = None,
    quiet: Quiet = False,
    elsewhere: Elsewhere = HERE,
    **options: Any,
) -> None:
    """Paint many photos, each in the style of one or several paintings."""
    from impasto.pictures.metadata import read_recipe
    from impasto.work import batch as many
    from impasto.work import jobs

    base = read_recipe(recipe)[0] if recipe is not None else None
    made = recipe_from(options, base)
    with Console(quiet=quiet) as console:
        found = many.jobs(
            photos, style, made, out, pairs=pairs, keep_exif=keep_exif, tell=lambda text: console.notices([text])
        )
    with console, elsewhere.carrier() as carry:
        entries = jobs.run(found, out, suffix=FORMATS[form], carry=carry, tell=console.tell)
    report(entries, console)


def report(entries: Sequence[Entry], console: Console) -> None:
    """Say how many pictures were painted, kept and failed; raises SomeFailedError, naming them, if any failed."""
    from impasto.work import jobs

    count = {status: sum(entry.status == status for entry in entries) for status in ("done", "kept", "failed")}
    console.line(f"{count['done']} painted, {count['kept']} there already, {count['failed']} failed")
    failed = dict.fromkeys(entry.failure.message for entry in entries if entry.failure is not None)
    if len(failed) > jobs.NAMED:
        for message in failed:
            console.line(f"failed: {message}")
    jobs.check(entries)
