"""Options written down: a model as TOML and JSON, and read back. Imports no torch."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel

from impasto.errors import OptionError

__all__ = ["Written"]

MAX_TEXT = 1_000_000  # characters of a recipe file; a real one has a thousand


class Written(BaseModel):
    """A model whose fields can be read from a text and written as one."""

    def to_json(self) -> str:
        """The recipe as one line of JSON."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False)

    def to_toml(self) -> str:
        """The recipe as a TOML file that `--recipe` takes back."""
        return "".join(
            f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
            for name, value in self.model_dump(mode="json").items()
        )

    @classmethod
    def from_text(cls, text: str, name: str = "recipe") -> Self:
        """Read a recipe from JSON or TOML text; `name` is what the error calls it."""
        if len(text) > MAX_TEXT:
            raise OptionError(f"{name}: {len(text):,} characters are too many for a recipe (at most {MAX_TEXT:,})")
        try:
            values = json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            raise OptionError(f"{name}: neither TOML nor JSON ({error})") from None
        if isinstance(values.get("recipe"), dict):  # what impasto stores inside a picture wraps the recipe
            values = values["recipe"]
        return cls._named(values, name)

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """Read a recipe file, TOML or JSON, UTF-8."""
        try:
            with Path(path).open("rb") as file:
                data = file.read(4 * MAX_TEXT + 1)
            return cls.from_text(data.decode("utf-8-sig"), str(path))
        except OSError as error:
            raise OptionError(f"{path}: cannot be read ({error.strerror or error})") from None
        except UnicodeDecodeError:
            raise OptionError(
                f"{path}: not a text file; a recipe is TOML, JSON, or a PNG or TIFF made by impasto"
            ) from None

    @classmethod
    def _named(cls, values: Mapping[str, Any], name: str) -> Self:
        try:
            return cls(**values)
        except OptionError as error:
            raise OptionError(f"{name}: {error}") from None
