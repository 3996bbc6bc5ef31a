"""The demo: a photo that scikit-image carries, a painting that impasto carries, and what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from impasto import provenance, runner, saving
from impasto.console import Console
from impasto.errors import ImpastoError, OutputError, shown
from impasto.flags import recipe_from

if TYPE_CHECKING:
    from impasto.images import Picture

__all__ = ["Shown", "run", "sheet"]

PHOTO, PAINTING, RESULT, SHEET = "photo.png", "painting.png", "result.png", "sheet.png"
MARK = {"demo": "impasto demo"}  # inside the files that are not results, so that a second run knows its own

GROUND, INK = (236, 234, 230), (96, 94, 90)  # a warm light grey and a darker one
MARGIN, GAP, LABEL = 0.06, 0.04, 0.036  # of the pictures' height: around, between, and the letters below


@dataclass(frozen=True)
class Shown:
    """What the demo has made: the sheet, and the command that paints the same picture."""

    sheet: Path
    command: list[str]


def run(folder: str, size: int | None, console: Console) -> Shown:
    """Write photo, painting, result and a sheet of the three to `folder`; files of an earlier demo are replaced.

    Raises OutputError for a folder that cannot be made or holds other files of these names, else as `runner.run`.
    """
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
        saving.check_target(path, overwrite=True)

    photo, painting = _pictures()
    for name, picture in ((PHOTO, photo), (PAINTING, painting)):
        saving.write(paths[name], picture.rgb, metadata=MARK, overwrite=True)
    job = runner.Job(str(paths[PHOTO]), (str(paths[PAINTING]),), recipe, paths[RESULT], overwrite=True)
    result = runner.run(job, console)
    pictures = {"photo": _image(photo), "painting": _image(painting), "result": result.to_pil()}
    from impasto import images

    saving.write(paths[SHEET], images.read(sheet(pictures)).rgb, metadata=MARK, overwrite=True)
    options = [] if size is None else ["--size", str(size)]
    command = ["impasto", job.content, *job.styles, "-o", str(home / "again.png"), *options]
    return Shown(paths[SHEET], command)


def sheet(pictures: dict[str, Image.Image]) -> Image.Image:
    """Pictures side by side at the height of the last, on a light ground, each with its name below."""
    height = list(pictures.values())[-1].height
    scaled = {
        name: picture.convert("RGB").resize(
            (max(1, round(picture.width * height / picture.height)), height), Image.Resampling.LANCZOS
        )
        for name, picture in pictures.items()
    }
    margin, gap, letters = (max(1, round(share * height)) for share in (MARGIN, GAP, LABEL))
    width = sum(picture.width for picture in scaled.values()) + gap * (len(scaled) - 1) + 2 * margin
    page = Image.new("RGB", (width, height + 2 * margin + letters), GROUND)
    draw = ImageDraw.Draw(page)
    font = ImageFont.load_default(size=max(8, letters))
    x = margin
    for name, picture in scaled.items():
        page.paste(picture, (x, margin))
        draw.text((x + picture.width / 2, margin + height + margin / 2 + letters / 2), name, INK, font, anchor="mm")
        x += picture.width + gap
    return page


def _pictures() -> tuple[Picture, Picture]:
    from skimage import data

    from impasto import images

    painting = resources.files("impasto") / "data" / PAINTING
    with resources.as_file(painting) as path:
        photo = data.chelsea()  # type: ignore[no-untyped-call]  # the cat Chelsea, by Stéfan van der Walt, CC0
        return images.read(photo, "photo"), images.read(path, "painting")


def _image(picture: Picture) -> Image.Image:
    from impasto import images

    return Image.fromarray(images.to_array(picture.rgb))


def _ours(path: Path) -> bool:
    """Whether an earlier demo wrote a file, so that it may be replaced."""
    try:
        said = saving.read_metadata(path) or {}
    except ImpastoError:
        return False
    names = {role: [entry.get("name") for entry in entries] for role, entries in provenance.inputs(said).items()}
    return said == MARK or names == {"content": [PHOTO], "styles": [PAINTING]}
