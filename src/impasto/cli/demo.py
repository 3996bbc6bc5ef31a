"""`impasto demo`: a photo that scikit-image carries, a painting that impasto carries, and what becomes of them."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from impasto.cli import paint
from impasto.cli.console import Console
from impasto.cli.flags import one, recipe_from
from impasto.errors import ImpastoError, OutputError
from impasto.files import check_place
from impasto.text import shown

if TYPE_CHECKING:
    from PIL.Image import Image

    from impasto.pictures.read import Picture

__all__ = ["demo", "run"]

PHOTO, PAINTING, RESULT, SHEET = "photo.png", "painting.png", "result.png", "sheet.png"
MARK = {"demo": "impasto demo"}  # inside the files that are not results, so that a second run knows its own


def demo(
    *,
    out: Annotated[str, Parameter(help="Folder to write to; made if need be.")] = "impasto-demo",
    size: Annotated[int | None, Parameter(converter=one, help="Longer side of the result in pixels.")] = None,
) -> None:
    """Paint a photo in the style of a painting, both brought along, and show them side by side."""
    drawn, command = run(out, size, Console())
    print(f"{shown(drawn)} shows the photo, the painting and the result. The same by hand:")
    print(shlex.join(command))


def run(folder: str, size: int | None, console: Console) -> tuple[Path, list[str]]:
    """Write photo, painting, result and a sheet of the three to `folder`; files of an earlier demo are replaced.

    Returns the sheet and the command that paints the same picture. Raises OutputError for a folder that cannot be made
    or holds other files of these names, else as `paint.run`.
    """
    from impasto.pictures.encode import write, write_image
    from impasto.show.sheet import Cell, Grid, draw

    recipe = recipe_from({"size": size})
    home = Path(folder)
    paths = {name: home / name for name in (PHOTO, PAINTING, RESULT, SHEET)}
    try:
        home.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or shown(error)
        raise OutputError(f"{shown(folder)}: cannot be made ({why}); choose another folder with --out") from None
    for path in paths.values():
        if path.exists() and not _ours(path):
            raise OutputError(f"{shown(path)}: exists and is not of a demo; choose another folder with --out")
        check_place(path, overwrite=True)

    photo, painting = _pictures()
    for name, picture in ((PHOTO, photo), (PAINTING, painting)):
        write(paths[name], picture.rgb, metadata=MARK, overwrite=True)
    inputs = (str(paths[PHOTO]), str(paths[PAINTING]))
    result = paint.run(paint.Paths(inputs[0], inputs[1:], paths[RESULT], overwrite=True), recipe, console)
    cells = (Cell("photo", _image(photo)), Cell("painting", _image(painting)), Cell("result", result.to_pil()))
    write_image(paths[SHEET], draw(Grid((cells,)), cell=max(result.image.shape)), MARK)
    options = [] if size is None else ["--size", str(size)]
    return paths[SHEET], ["impasto", *inputs, "-o", str(home / "again.png"), *options]


def _pictures() -> tuple[Picture, Picture]:
    from impasto.pictures.read import read

    photo = resources.files("skimage") / "data" / "chelsea.png"  # the cat Chelsea, by Stéfan van der Walt, CC0
    painting = resources.files("impasto") / "data" / PAINTING
    with resources.as_file(photo) as one, resources.as_file(painting) as other:
        return read(one, "photo"), read(other, "painting")


def _image(picture: Picture) -> Image:
    from PIL.Image import fromarray

    from impasto.pictures.encode import to_array

    return fromarray(to_array(picture.rgb))


def _ours(path: Path) -> bool:
    """Whether an earlier demo wrote a file, so that it may be replaced."""
    from impasto.pictures import metadata

    try:
        said = metadata.read_metadata(path) or {}
    except ImpastoError:
        return False
    names = {role: [entry.get("name") for entry in entries] for role, entries in metadata.inputs(said).items()}
    return said == MARK or names == {"content": [PHOTO], "styles": [PAINTING]}
