"""The command line. A command is one function here; what it does stands elsewhere.

Every failure is one line on stderr and an exit status (errors.py); IMPASTO_DEBUG=1 adds the traceback.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, CycloptsError, Group, MissingArgumentError, Parameter

from impasto._version import __version__
from impasto.console import Console, say
from impasto.errors import NO_MEMORY, ImpastoError, MemoryShortError, OptionError, shown
from impasto.flags import Elsewhere, gather, one, recipe_from, with_recipe_flags
from impasto.interrupts import Interrupts

if TYPE_CHECKING:
    from impasto.known import KnownStatus

__all__ = ["app", "run"]

BUG, USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141  # exit statuses beside those of errors.py
MISSING = "CONTENT, at least one STYLE and -o RESULT are needed; see impasto --help, or try impasto demo"
HERE = Elsewhere()  # in this process
FILES = Group("Files and messages", sort_key=-1)

app = App(
    name="impasto",
    version=f"impasto {__version__}",
    help="Paint a photo in the style of one or several paintings, as in: impasto photo.jpg painting.jpg -o out.png",
    usage="Usage: impasto CONTENT STYLE [STYLE ...] -o RESULT [OPTIONS]\n       impasto COMMAND [OPTIONS]",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
weights_app = App(name="weights", help="List the networks known by name, and where they lie; or fetch one.")
app.command(weights_app)


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name or message must not fail for want of a letter
            stream.reconfigure(errors="backslashreplace")
    try:
        with Interrupts():
            app(gather(arguments), exit_on_error=False, print_error=False)
            if sys.stdout is not None:
                sys.stdout.flush()
    except BaseException as error:
        return _report(error, arguments)
    return 0


@app.default
@with_recipe_flags
def paint(
    content: Annotated[str, Parameter(help="The photo to paint; ./demo for a file that is called like a command.")],
    /,
    *style: Annotated[str, Parameter(help="The painting, or several of them.")],
    output: Annotated[
        Path, Parameter(name=("--output", "-o"), group=FILES, help="Where to save: .png, .tif, .jpg or .webp.")
    ],
    recipe: Annotated[
        Path | None,
        Parameter(
            group=FILES, help="Start from the options in a TOML or JSON file, or in a PNG or TIFF made by impasto."
        ),
    ] = None,
    trace: Annotated[
        Path | None, Parameter(group=FILES, help="Write every step, with its losses, to a file of JSON Lines.")
    ] = None,
    preview_every: Annotated[
        int,
        Parameter(
            group=FILES,
            converter=one,
            show_default=False,
            help="Save the best picture every so many steps as RESULT.preview.png; removed once the result is saved.",
        ),
    ] = 0,
    overwrite: Annotated[
        bool, Parameter(group=FILES, negative=(), show_default=False, help="Replace files that exist.")
    ] = False,
    quiet: Annotated[bool, Parameter(group=FILES, negative=(), show_default=False, help="Show errors only.")] = False,
    **options: Any,
) -> None:
    """Paint CONTENT in the style of STYLE."""
    from impasto import provenance, runner

    if not style:
        raise OptionError(MISSING)
    if preview_every < 0:
        raise OptionError(f"--preview-every: {preview_every} is no number of steps; use 1 or more")
    base, origin = provenance.read_recipe(recipe) if recipe is not None else (None, {})
    job = runner.Job(
        content=content,
        styles=style,
        recipe=recipe_from(options, base),
        output=output,
        overwrite=overwrite,
        trace=trace,
        preview_every=preview_every,
        origin=origin,
    )
    runner.run(job, Console(quiet=quiet))


@app.command
def demo(
    *,
    out: Annotated[str, Parameter(help="Folder to write to; made if need be.")] = "impasto-demo",
    size: Annotated[int | None, Parameter(converter=one, help="Longer side of the result in pixels.")] = None,
) -> None:
    """Paint a photo in the style of a painting, both brought along, and show them side by side."""
    from impasto import demo as demonstration

    shown_by = demonstration.run(out, size, Console())
    print(f"{shown(shown_by.sheet)} shows the photo, the painting and the result. The same by hand:")
    print(shlex.join(shown_by.command))


@app.command
@with_recipe_flags
def batch(
    *photos: Annotated[str, Parameter(name="PHOTO_OR_FOLDER", help="Photos, and folders of photos at any depth.")],
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
        Literal["png", "jpg", "webp", "tif"], Parameter(name="--format", group=FILES, help="Format of the results.")
    ] = "png",
    recipe: Annotated[
        Path | None, Parameter(group=FILES, help="Start from the options in a file, as impasto CONTENT STYLE does.")
    ] = None,
    quiet: Annotated[bool, Parameter(group=FILES, negative=(), show_default=False, help="Show errors only.")] = False,
    elsewhere: Elsewhere = HERE,
    **options: Any,
) -> None:
    """Paint many photos, each in the style of one or several paintings."""
    from impasto import batch as many
    from impasto import jobs, provenance

    base = provenance.read_recipe(recipe)[0] if recipe is not None else None
    tasks = many.tasks(photos, style, recipe_from(options, base), out, pairs=pairs)
    console = Console(quiet=quiet)
    with elsewhere.carrier() as carry:
        outcomes = jobs.run(tasks, out, suffix=f".{form}", carry=carry, console=console)
    jobs.report(outcomes, console)


@app.command
@with_recipe_flags
def sweep(
    content: Annotated[str, Parameter(help="The photo to paint.")],
    /,
    *style: Annotated[str, Parameter(help="The painting, or several of them.")],
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
    recipe: Annotated[
        Path | None, Parameter(group=FILES, help="Start from the options in a file, as impasto CONTENT STYLE does.")
    ] = None,
    overwrite: Annotated[
        bool, Parameter(group=FILES, negative=(), show_default=False, help="Draw sheet and page anew where they exist.")
    ] = False,
    quiet: Annotated[bool, Parameter(group=FILES, negative=(), show_default=False, help="Show errors only.")] = False,
    elsewhere: Elsewhere = HERE,
    **options: Any,
) -> None:
    """Paint CONTENT with every combination of some options' values, and draw a sheet of the results."""
    from impasto import jobs, provenance
    from impasto import sweep as many

    if not style:
        raise OptionError("CONTENT, at least one STYLE, --vary FIELD=VALUES and -o SHEET are needed")
    if cell is not None and not 16 <= cell <= 4096:
        raise OptionError(f"--cell: {cell} is no size for a picture on a sheet; use 16 to 4096")
    axes = [many.axis(text) for text in vary]
    base = provenance.read_recipe(recipe)[0] if recipe is not None else None
    console = Console(quiet=quiet)
    with elsewhere.carrier() as carry:
        found = many.run(
            content,
            style,
            axes,
            recipe_from(options, base),
            output,
            cell=cell,
            inputs=inputs,
            overwrite=overwrite,
            carry=carry,
            console=console,
        )
    jobs.report(found.outcomes, console)


@app.command(name="recipe")
def print_recipe(picture: Annotated[str, Parameter(help="A PNG or TIFF made by impasto.")], /) -> None:
    """Print what made a picture, as a TOML file for --recipe."""
    from impasto import provenance

    print(provenance.described(picture), end="")


@weights_app.default
def list_weights() -> None:
    """List the networks known by name, and where they lie."""
    from impasto.known import cache_folder, status

    for row in status():
        print(f"{row.name:8}{row.size / 1e6:6.1f} MB  {_where(row)}\n{'':19}{row.licence}")
    print(f"cache: {shown(cache_folder())}")


@weights_app.command
def fetch(name: Annotated[str, Parameter(help="The network's name.")] = "vgg19", /) -> None:
    """Fetch a network's weights, once, and print where they are."""
    from impasto.fetching import obtain

    console = Console()
    with console.download(name) as tell:
        path, notices = obtain(name, tell)
    console.notices(notices)
    print(shown(path))


def _where(row: KnownStatus) -> str:
    if row.path is None:
        return f"not here; impasto weights fetch {row.name}"
    return f"{'verified' if row.verified else 'damaged'}  {shown(row.path)}"


def _report(error: BaseException, arguments: Sequence[str]) -> int:
    """Say what went wrong in one line and return the exit status."""
    if os.environ.get("IMPASTO_DEBUG"):
        traceback.print_exception(error)
    text = "; ".join([str(error), *getattr(error, "__notes__", ())])
    match error:
        case CycloptsError():
            text, status = _usage(error, arguments), USAGE
        case ImpastoError():
            status = error.exit_status
        case KeyboardInterrupt():
            text, status = text or "interrupted; nothing was saved", INTERRUPTED
        case BrokenPipeError():  # whoever read our output has read enough; Python must not try to flush the rest
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return PIPE_CLOSED
        case SystemExit():
            return error.code if isinstance(error.code, int) else BUG
        case MemoryError():
            text, status = NO_MEMORY, MemoryShortError.exit_status
        case _:
            text = f"this is a bug ({type(error).__name__}: {text}); please report it with what IMPASTO_DEBUG=1 prints"
            status = BUG
    say(f"impasto: {' '.join(text.split())}")
    return status


def _usage(error: CycloptsError, arguments: Sequence[str]) -> str:
    """What is wrong with the command line; cyclopts words a missing picture as a missing value."""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        names = set(error.argument.names)
        if names & {"CONTENT", "--output"} and not names & set(arguments):
            return MISSING
    return f"{str(error).rstrip('.')}; see impasto --help"
