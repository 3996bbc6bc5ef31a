"""Many photos, each in the style of one or several paintings: which pictures are meant, and where their results go."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Literal

from impasto.errors import ImageReadError, OptionError
from impasto.files import same_file
from impasto.recipe import Recipe
from impasto.text import shown
from impasto.work.job import Job
from impasto.work.manifest import NAME, painted

__all__ = ["find", "jobs"]

OURS = re.compile(r"-[0-9a-f]{8}([0-9a-f]{8})?$")  # how the stem of a result ends
SUFFIXES = (
    ".jpg",
    ".jpeg",
    ".png",
    ".webp",
    ".tif",
    ".tiff",
    ".bmp",
    ".gif",
    ".heic",
    ".heif",
    ".hif",
    ".avif",
    ".jxl",
)
# Not RAW: a JPEG of the same photo often lies beside it.


def jobs(
    photos: Sequence[str],
    styles: Sequence[str],
    recipe: Recipe,
    out: Path,
    *,
    pairs: Literal["each", "all"] = "each",
) -> list[Job]:
    """The jobs of a batch: every photo with `each` style, or with `all` of them blended.

    `photos` names photos and folders of photos; `out` is where the results will go, so that they are not taken for
    photos. Raises OptionError for what cannot work with any photo, ImageReadError for a folder without photos.
    """
    if not photos or not styles:
        raise OptionError("at least one photo or folder, one --style and --out are needed; see impasto batch --help")
    groups = [tuple(styles)] if pairs == "all" else [(style,) for style in styles]
    if recipe.blend and len(recipe.blend) != len(groups[0]):
        hint = "give one each" if pairs == "all" else "leave it out, or blend all styles with --pairs all"
        raise OptionError(f"--blend: {len(recipe.blend)} weights for {len(groups[0])} style pictures; {hint}")
    return [
        Job(photo, group, recipe, "/".join((*folder, "-".join(PurePath(one).stem for one in (photo, *group)))))
        for photo, folder in find(photos, out)
        for group in groups
    ]


def find(photos: Sequence[str], out: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Every photo meant, with the folders between it and the folder given; those given by name as they are.

    Folders are searched at any depth, in the order of their names, without hidden files and without what lies in `out`
    or, where `out` is a folder given or above one, without what its manifest says was painted. Raises ImageReadError
    for a folder without photos, or one that cannot be listed; OptionError where photos and results cannot be told
    apart.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    for given in photos:
        if not os.path.isdir(given):  # noqa: PTH112  (Path.is_dir would raise for an impossible name)
            found.append((given, ()))
            continue
        inside = sorted(_inside(given, out), key=lambda one: (one[1], one[0]))
        if not inside:
            raise ImageReadError(f"{shown(given)}: holds no pictures ({' '.join(s[1:] for s in SUFFIXES)})")
        found += inside
    return found


def _inside(given: str, out: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    def failed(error: OSError) -> None:
        raise ImageReadError(f"{shown(error.filename)}: cannot be listed ({error.strerror}); check your rights to it")

    ours = _results(given, out)
    for place, folders, names in os.walk(given, onerror=failed):
        folders[:] = [name for name in folders if name[0] != "." and not same_file(Path(place, name), out)]
        below = Path(place).relative_to(given).parts
        for name in names:
            path = Path(place, name)
            if name[0] != "." and path.suffix.lower() in SUFFIXES and path.is_file() and not ours(path):
                yield str(path), below


def _results(given: str, out: Path) -> Callable[[Path], bool]:
    """Whether a file below a folder given is a result of an earlier run into `out`, that folder or one above it."""
    top, folder = Path(os.path.realpath(out)), Path(os.path.realpath(given))
    if not folder.is_relative_to(top):
        return lambda path: False
    from impasto.pictures.metadata import PICTURES, says_recipe

    listed = painted(out)

    def ours(path: Path) -> bool:
        if listed is not None:
            return Path(os.path.realpath(path.parent), path.name).relative_to(top).as_posix() in listed
        if folder != top or OURS.search(path.stem) is None:
            return False
        if path.suffix.lower() in PICTURES:  # which say what made them
            return says_recipe(path)
        raise OptionError(
            f"--out {shown(out)}: {shown(path)} is named like a result, and there is no {NAME} to tell photos and "
            "results apart; choose another folder for the results"
        )

    return ours
