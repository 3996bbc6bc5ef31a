"""What made a picture, as saved pictures say it. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from impasto import saving
from impasto.errors import OptionError, shown
from impasto.recipe import Recipe

__all__ = ["described", "inputs", "other_inputs", "read_recipe"]

PICTURES = (".png", ".tif", ".tiff")  # the formats that carry a recipe


def read_recipe(path: str | PathLike[str]) -> tuple[Recipe, Mapping[str, Any]]:
    """The recipe in a TOML or JSON file, or in a PNG or TIFF made by impasto; and all else that the picture says.

    Raises OptionError where there is none, ImageReadError for a picture that cannot be read.
    """
    if Path(path).suffix.lower() in PICTURES:
        return from_picture(path)
    return Recipe.from_file(Path(path)), {}


def from_picture(path: str | PathLike[str]) -> tuple[Recipe, Mapping[str, Any]]:
    """The recipe in a picture, and all else that it says; raises like `read_recipe`."""
    origin = saving.read_metadata(path)
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
