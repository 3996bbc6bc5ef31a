"""Many photos, each in the style of one or several paintings: which pictures are meant, and where their results go."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath
from typing import Literal

from impasto.errors import ImageReadError, OptionError
from impasto.files import open_file
from impasto.options import check_word
from impasto.pictures.formats import FORMATS, guarded, open_header, told
from impasto.recipe import Recipe
from impasto.text import shown
from impasto.work.folders import expanded, kinds, pictures
from impasto.work.job import Job
from impasto.work.manifest import NAME, painted

__all__ = ["find", "jobs"]

OURS = re.compile(r"-[0-9a-f]{8}([0-9a-f]{8})?$")  # how the stem of a result ends


def jobs(
    photos: Sequence[str],
    styles: Sequence[str],
    recipe: Recipe,
    out: Path,
    *,
    pairs: Literal["each", "all"] = "each",
    keep_exif: bool = False,
    tell: Callable[[str], object] = lambda _: None,
) -> list[Job]:
    """The jobs of a batch: every photo with `each` style, or with `all` of them blended.

    `photos` names photos and folders of photos; `out` is where the results will go, so that they are not taken for
    photos. Patterns are expanded. `keep_exif` as in `Result.save`. `tell` hears of files that are left out. Raises
    OptionError for what cannot work with any photo, ImageReadError for a folder without photos, and for a style or a
    picture of the recipe that is none.
    """
    if not photos or not styles:
        raise OptionError("at least one photo or folder, one --style and --out are needed; see impasto batch --help")
    styles = expanded(styles, "style")
    groups = [tuple(styles)] if pairs == "all" else [(style,) for style in styles]
    if recipe.blend and len(recipe.blend) != len(groups[0]):
        hint = "give one each" if pairs == "all" else "leave it out, or blend all styles with --pairs all"
        raise OptionError(f"--blend: {len(recipe.blend)} weights for {len(groups[0])} style pictures; {hint}")
    for role, name in (*(("style", style) for style in styles), *recipe.files().items()):
        if not (recipe.instant and role == "style" and _is_model(name)):
            _check(name, role)
    return [
        Job(photo, group, recipe, _place(folder, (photo, *group)), keep_exif=keep_exif)
        for photo, folder in find(photos, out, tell)
        for group in groups
    ]


def _place(folder: Sequence[str], names: Sequence[str]) -> str:
    """Where a result belongs: in the photo's folder, named after all its pictures."""
    return "/".join((*folder, "-".join(PurePath(name).stem for name in names)))


def find(
    photos: Sequence[str], out: Path, tell: Callable[[str], object] = lambda _: None
) -> list[tuple[str, tuple[str, ...]]]:
    """Every photo meant, with the folders between it and the folder given; those given by name as they are.

    Folders are searched at any depth, in natural order of their names, for what begins like a picture, without hidden
    files and without what lies in `out` or, where `out` is a folder given or above one, without what its manifest says
    was painted. `tell` hears, once, what other files there are. Raises ImageReadError for a folder without photos, or
    one that cannot be listed; OptionError where photos and results cannot be told apart.
    """
    found: list[tuple[str, tuple[str, ...]]] = []
    others = Counter[str]()
    for given in expanded(photos, "content"):
        if not os.path.isdir(given):  # noqa: PTH112  (Path.is_dir would raise for an impossible name)
            found.append((given, ()))
            continue
        here = Counter[str]()
        inside = pictures(given, out, _results(given, out), here)
        if not inside:
            there = f", but other files: {kinds(here)}" if here else ""
            raise ImageReadError(f"{shown(given)}: holds no pictures ({' '.join(FORMATS)}){there}")
        found += inside
        others += here
    if count := others.total():
        tell(f"{count} other file{'s' * (count > 1)} left out: {kinds(others)}")
    return found


def _is_model(name: str) -> bool:
    """Whether a style is a model for pictures in one pass, which is read where it is used."""
    from impasto.onepass import models

    return models.is_model(models.found(name))


def _check(name: str, role: str) -> None:
    """Make sure that a picture of every job begins like one; raises OptionError or ImageReadError."""
    check_word(name, role)
    label = f"{role} {shown(name)}"
    with open_file(name, label) as file, guarded(label, []):
        if told(file.read(64)) in (None, "AVIF"):  # which says why not
            open_header(file, label)


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
