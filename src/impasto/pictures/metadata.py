"""What made a picture, as saved pictures say it. Imports no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from PIL import PngImagePlugin, TiffImagePlugin

from impasto._version import __version__
from impasto.errors import ImpastoError, OptionError
from impasto.files import open_file
from impasto.pictures.formats import guarded, open_header
from impasto.recipe import Recipe
from impasto.text import shown

__all__ = [
    "KEY",
    "PICTURES",
    "described",
    "inputs",
    "made",
    "other_inputs",
    "read_metadata",
    "read_recipe",
    "says_recipe",
]

KEY = "impasto"  # the iTXt keyword in PNG, the Software tag in TIFF
MAX_METADATA = 1_000_000  # characters; a recipe with its hashes has a few thousand

PICTURES = (".png", ".tif", ".tiff")  # the formats that carry a recipe


def made(
    recipe: Recipe, inputs: Mapping[str, Any] | None = None, losses: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """What a picture, a trace or a preview says of its making; no times, so that runs can be compared."""
    import torch

    about = {"impasto": __version__, "torch": torch.__version__, "threads": torch.get_num_threads()}
    more = {"inputs": inputs, "losses": losses}
    return {
        **about,
        "recipe": recipe.model_dump(mode="json"),
        **{name: dict(value) for name, value in more.items() if value is not None},
    }


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The dict that `encode` stored in a PNG or TIFF, or None where there is none; reads no pixels.

    Raises ImageReadError for what is no picture, OptionError for a damaged or oversized entry.
    """
    name = shown(path)
    with open_file(path, name) as file, guarded(name, []):
        picture = open_header(file, name)
        text: object = None
        if isinstance(picture, PngImagePlugin.PngImageFile):
            text = picture.info.get(KEY)
        elif isinstance(picture, TiffImagePlugin.TiffImageFile) and picture.tag_v2.get(305) == KEY:
            text = picture.tag_v2.get(TiffImagePlugin.IMAGEDESCRIPTION)
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > MAX_METADATA:
        raise OptionError(f"{name}: what it says about its making is no text of at most {MAX_METADATA:,} characters")
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{name}: what it says about its making is damaged ({shown(error)[:100]})") from None
    if not isinstance(value, dict):
        raise OptionError(f"{name}: what it says about its making is a {type(value).__name__}, not a table")
    return value


def read_recipe(path: str | PathLike[str]) -> tuple[Recipe, Mapping[str, Any]]:
    """The recipe in a TOML or JSON file, or in a PNG or TIFF made by impasto; and all else that the picture says.

    Raises OptionError where there is none, ImageReadError for a picture that cannot be read.
    """
    if Path(path).suffix.lower() in PICTURES:
        return from_picture(path)
    return Recipe.from_file(Path(path)), {}


def says_recipe(path: str | PathLike[str]) -> bool:
    """Whether a file is a picture that says which recipe made it."""
    try:
        return "recipe" in (read_metadata(path) or {})
    except ImpastoError:
        return False


def from_picture(path: str | PathLike[str]) -> tuple[Recipe, Mapping[str, Any]]:
    """The recipe in a picture, and all else that it says; raises like `read_recipe`."""
    origin = read_metadata(path)
    if origin is None or not isinstance(origin.get("recipe"), dict):
        raise OptionError(
            f"{shown(path)}: holds no recipe; impasto stores one in the PNG and TIFF files that it writes"
        )
    return Recipe.from_text(json.dumps(origin["recipe"]), shown(path)), origin


def described(path: str | PathLike[str]) -> str:
    """A TOML file for `--recipe`, with what else the picture says as comments."""
    recipe, origin = from_picture(path)
    lines = [f"made by impasto {origin.get('impasto')} with torch {origin.get('torch')}"]
    for role, entries in inputs(origin).items():
        lines += [f"{role}: {entry.get('name')}  sha256 {entry.get('sha256')}" for entry in entries]
    return "".join(f"# {shown(line)}\n" for line in lines) + _printable(recipe.to_toml())


def other_inputs(origin: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Whether a recipe's picture was made from other pictures than those `given`; False where it does not say."""
    made = _hashes(origin)
    return bool(made) and made != _hashes({"inputs": given})


def _hashes(origin: Mapping[str, Any]) -> dict[str, list[object]]:
    return {role: [entry.get("sha256") for entry in entries] for role, entries in inputs(origin).items()}


def inputs(origin: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The input pictures by role; anything that does not look like one is left out, as files may say what they like."""
    said = origin.get("inputs")
    if not isinstance(said, dict):
        return {}
    lists = {role: entries for role, entries in said.items() if isinstance(entries, list)}
    return {role: [entry for entry in entries if isinstance(entry, dict)] for role, entries in lists.items()}


def _printable(toml: str) -> str:
    """TOML with every character that a terminal might obey written as TOML's own escape."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\U{ord(c):08x}" for c in toml)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not a number of JSON")
