"""`impasto PHOTO PAINTING --instant`: one picture in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from impasto.cli import streams
from impasto.cli.console import Console
from impasto.cli.paths import Paths
from impasto.errors import OptionError
from impasto.recipe import Recipe
from impasto.text import duration

if TYPE_CHECKING:
    from impasto.paint.result import Result

__all__ = ["run"]


def run(paths: Paths, recipe: Recipe, console: Console) -> Result:
    """Paint and save; raises ImpastoError, and OptionError for files that only a way with steps can write."""
    steps = {
        "--trace": paths.trace,
        "--preview-every": paths.preview_every,
        "--keep-previews": paths.keep_previews,
        "--checkpoint": paths.checkpoint,
    }
    if asked := [name for name, given in steps.items() if given]:
        raise OptionError(f"{asked[0]}: --instant paints in one pass, without steps; leave one of them out")
    from impasto.onepass.run import Instant
    from impasto.pictures import metadata
    from impasto.pictures.encode import check_format

    content, styles = streams.given(paths.content, "content"), [streams.given(one, "style") for one in paths.styles]
    way = Instant(content, styles, recipe)
    check_format(paths.output, way.scene.size, paths.suffix)
    console.notices(way.notices)
    if metadata.other_inputs(paths.origin, way.scene.inputs):
        console.notices(["the recipe was made with other pictures; the result will be another one"])
    result = way.result()
    if paths.piped:
        streams.write(result.encode(paths.suffix))
    else:
        result.save(paths.output, overwrite=paths.replaces(paths.output), suffix=paths.suffix)
    height, width = way.scene.size
    called = "to standard output" if paths.piped else str(paths.output)
    console.line(f"painted {called} ({width}×{height}, {duration(result.seconds)}, in one pass)")
    return result
