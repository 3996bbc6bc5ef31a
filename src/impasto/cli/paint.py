"""`impasto PHOTO PAINTING`: one transfer; whatever can be refused is refused before its first step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto.cli import instant, streams
from impasto.cli.console import Console
from impasto.cli.flags import FILES, Format, KeepExif, Quiet, named, one, recipe_from, with_recipe_flags
from impasto.cli.painting import Painting
from impasto.cli.paths import OFTEN, Paths, target
from impasto.cli.streams import STANDARD
from impasto.errors import NO_MEMORY, ImpastoError, MemoryShortError, OptionError, memory_short
from impasto.files import FORMATS
from impasto.network.weights.fetching import obtain
from impasto.network.weights.known import KNOWN
from impasto.options import INSTANT
from impasto.recipe import Recipe
from impasto.work.events import Fetching
from impasto.work.interrupts import Interrupts

if TYPE_CHECKING:
    from impasto.paint.result import Result
    from impasto.paint.transfer import Transfer

__all__ = ["MISSING", "NO_OUTPUT", "Paths", "paint", "run"]

MOST_THREADS = 1024
DRAFT: dict[str, Any] = {"style_loss": ("neighbours",), "size": 256, "iterations": (10,), "polish": 0}
MISSING = "CONTENT, at least one STYLE and -o RESULT are needed; see impasto --help, or try impasto demo"
NO_OUTPUT = "-o is needed to say where the result goes: -o out.png for a file, -o - for standard output"


@with_recipe_flags
def paint(
    content: Annotated[
        str,
        Parameter(
            converter=named,
            help="The photo to paint; ./demo for a file that is called like a command, - for standard input.",
        ),
    ],
    /,
    *style: Annotated[str, Parameter(converter=named, help="The painting, or several of them.")],
    output: Annotated[
        str,
        Parameter(
            name=("--output", "-o"),
            group=FILES,
            help="Where to save: .png, .tif, .jpg or .webp; a folder, for PHOTO-PAINTING.png in it; - for standard "
            "output.",
        ),
    ],
    form: Annotated[
        Format | None,
        Parameter(
            name="--format",
            group=FILES,
            help="Format of the result, where its name does not say it: png, jpeg, webp or tiff; png for standard "
            "output and folders.",
        ),
    ] = None,
    keep_exif: KeepExif = False,
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
            help="Save the best picture every so many steps as RESULT.preview.png, stdout.preview.png with -o -; "
            "removed once the result is saved.",
        ),
    ] = 0,
    keep_previews: Annotated[
        bool,
        Parameter(
            group=FILES,
            negative=(),
            show_default=False,
            help=f"Keep all previews, as RESULT.preview-0020.png and so on; every {OFTEN} steps unless it is said.",
        ),
    ] = False,
    checkpoint: Annotated[
        Path | None,
        Parameter(
            group=FILES,
            help="Keep the run in a file, every half minute; the same command, or impasto resume FILE, goes on there. "
            "By default RESULT.checkpoint, for runs of over two minutes, and none with -o -. Removed at the end.",
        ),
    ] = None,
    no_checkpoint: Annotated[
        bool, Parameter(group=FILES, negative=(), show_default=False, help="Keep no checkpoint, however long it takes.")
    ] = False,
    draft: Annotated[
        bool,
        Parameter(
            group=FILES,
            negative=(),
            show_default=False,
            help="A small picture in seconds, by neighbours, to see where this is going; other options still count.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, Parameter(group=FILES, negative=(), show_default=False, help="Replace files that exist.")
    ] = False,
    quiet: Quiet = False,
    **options: Any,
) -> None:
    """Paint CONTENT in the style of STYLE."""
    if not style:
        raise OptionError(MISSING)
    if (content, *style).count(STANDARD) > 1:
        raise OptionError("-: standard input is one picture; name files for the others")
    if preview_every < 0:
        raise OptionError(f"--preview-every: {preview_every} is not a number of steps; use 1 or more")
    from impasto.pictures import metadata
    from impasto.work import folders

    content, style = folders.one(content, "content"), tuple(folders.expanded(style, "style"))
    base, origin = metadata.read_recipe(recipe) if recipe is not None else (None, {})
    if checkpoint is not None and no_checkpoint:
        raise OptionError("--checkpoint, --no-checkpoint: give one of them")
    paths = Paths(
        content,
        style,
        target(output, content, style, form),
        recipe,
        trace,
        preview_every,
        keep_previews=keep_previews,
        checkpoint=checkpoint,
        kept=not no_checkpoint,
        keep_exif=keep_exif,
        form=FORMATS[form] if form else "",
        overwrite=overwrite,
        origin=origin,
    )
    given = {name: value for name, value in options.items() if value is not None}
    run(paths, recipe_from({**DRAFT, **given} if draft else given, base), Console(quiet=quiet))


def run(paths: Paths, recipe: Recipe, console: Console) -> Result:
    """Carry out one transfer and save its result; one that was stopped goes on from its checkpoint.

    Raises ImpastoError, after saving the best picture where there is one; Interrupted on Ctrl-C, likewise.
    """
    try:
        found = paths.found()
        paths = paths if found is None else paths.after(found)
        paths.check(recipe)
        if recipe.instant:
            return instant.run(paths, recipe, console)
        with Interrupts() as interrupts, console:
            if found is not None:
                _same_threads(found.about, console)
            transfer = _prepare(paths, recipe, console)
            return Painting(paths, transfer, console, interrupts).follow()
    except Exception as error:
        if isinstance(error, ImpastoError) or not memory_short(error):
            raise
    raise MemoryShortError(NO_MEMORY)


def _prepare(paths: Paths, recipe: Recipe, console: Console) -> Transfer:
    """Everything that has to be there before the first step."""
    net = KNOWN.get(recipe.net)
    if net is not None and net.url:
        console.notices(obtain(net.name, lambda done, total: console.tell(Fetching(net.name, done, total)))[1])
    from impasto.paint.transfer import Transfer
    from impasto.pictures import metadata
    from impasto.pictures.encode import check_format

    content, styles = streams.given(paths.content, "content"), [streams.given(one, "style") for one in paths.styles]
    files = {}
    if recipe.init == INSTANT:
        from impasto.onepass.run import instant_start

        files[INSTANT] = instant_start(content, styles, recipe)
    transfer = Transfer(content, styles, recipe, files=files)
    transfer.keep_buffers()
    check_format(paths.output, transfer.scene.size, paths.suffix)
    console.notices(transfer.notices)
    if paths.keep_exif and not transfer.scene.about.tags:
        console.notices(["--keep-exif: the photo says neither date nor camera nor author; there is nothing to keep"])
    if metadata.other_inputs(paths.origin, transfer.scene.inputs):
        console.notices(["the recipe was made with other pictures; the result will be another one"])
    return transfer


def _same_threads(about: Mapping[str, Any], console: Console) -> None:
    """As many threads as the run began with, since the order of sums follows from their number."""
    import torch

    threads = about.get("threads")
    if isinstance(threads, int) and 0 < threads <= MOST_THREADS and threads != torch.get_num_threads():
        torch.set_num_threads(threads)
        console.notices([f"with {threads} thread{'s' * (threads > 1)}, as the run began"])
