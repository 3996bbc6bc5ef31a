"""`impasto sweep`: one photo with every combination of some options' values, and a sheet of the results."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from impasto.cli.batch import report
from impasto.cli.console import Console
from impasto.cli.flags import FILES, HERE, Elsewhere, Quiet, RecipeFile, named, one, recipe_from, with_recipe_flags
from impasto.errors import OptionError

__all__ = ["sweep"]


@with_recipe_flags
def sweep(
    content: Annotated[str, Parameter(converter=named, help="The photo to paint.")],
    /,
    *style: Annotated[str, Parameter(converter=named, help="The painting, or several of them.")],
    vary: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            group=FILES,
            help="An axis, as in content_layer=conv2_2,conv4_2; + joins the parts of one value, as in "
            "blend=0.2+0.8,0.5+0.5. Repeatable: one axis is a row, two are a grid, three a sheet for each value of "
            "the first.",
        ),
    ],
    output: Annotated[
        Path,
        Parameter(
            name=("--output", "-o"),
            group=FILES,
            help="The sheet to draw, as in sheet.png; the page sheet.html and the folder sheet, with every picture, "
            "its trace and its recipe, are made beside it.",
        ),
    ],
    cell: Annotated[
        int | None,
        Parameter(
            group=FILES, converter=one, help="Longer side of a picture on the sheet in pixels; 384, or less if many."
        ),
    ] = None,
    inputs: Annotated[
        bool,
        Parameter(group=FILES, show_default=False, help="Show photo and paintings in the sheet's corner (default)."),
    ] = True,
    recipe: RecipeFile = None,
    overwrite: Annotated[
        bool, Parameter(group=FILES, negative=(), show_default=False, help="Draw sheet and page anew where they exist.")
    ] = False,
    quiet: Quiet = False,
    elsewhere: Elsewhere = HERE,
    **options: Any,
) -> None:
    """Paint CONTENT with every combination of some options' values, and draw a sheet of the results."""
    from impasto.pictures.metadata import read_recipe
    from impasto.work import sweep as many
    from impasto.work.axes import axis
    from impasto.work.folders import expanded
    from impasto.work.folders import one as one_file

    if not style:
        raise OptionError("CONTENT, at least one STYLE, --vary FIELD=VALUES and -o SHEET are needed")
    if cell is not None and not 16 <= cell <= 4096:
        raise OptionError(f"--cell: {cell} is not a size for a picture on a sheet; use 16 to 4096")
    content, styles = one_file(content, "content"), expanded(style, "style")
    axes = [axis(text) for text in vary]
    base = read_recipe(recipe)[0] if recipe is not None else None
    with Console(quiet=quiet) as console, elsewhere.carrier() as carry:
        found = many.run(
            content,
            styles,
            axes,
            recipe_from(options, base),
            output,
            cell=cell,
            inputs=inputs,
            overwrite=overwrite,
            carry=carry,
            tell=console.tell,
        )
    report(found.entries, console)
