"""Write docs/options.md, the page of all options, from Recipe and the command line.

python scripts/options_table.py
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

from impasto.cli.paint import paint
from impasto.recipe import GROUPS, Recipe, flag

PAGE = Path(__file__).resolve().parents[1] / "docs" / "options.md"

OPENING = """\
<!-- Made by scripts/options_table.py from the fields of Recipe. Do not edit by hand. -->

# Options

Every option below is a flag of the command line, a field of `impasto.Recipe`, a keyword of `impasto.stylize` and
`impasto.steps`, and a line in a recipe file. The names are the same; the command line writes `-` where the others write
`_`: `--style-weight 10` is `style_weight=10` in Python and `style_weight = 10` in TOML.

An option that takes several values takes them with commas (`--style-layer relu1_1,relu2_1`) or one by one
(`--style-layer relu1_1 --style-layer relu2_1`). Several numbers may also follow one another (`--blend 0.7 0.3`).
In Python and TOML they are lists: `blend = [0.7, 0.3]`.

The reasons for the defaults are in [defaults.md](defaults.md), the equations in [how-it-works.md](how-it-works.md).
"""
CLOSING = """\

## Commands

| command | what it does |
|---|---|
| `impasto CONTENT STYLE [STYLE …] -o RESULT` | Paint CONTENT in the style of one or several paintings. |
| `impasto demo` | Paint the photo and the painting that come along, into the folder `--out`, at the size `--size`. |
| `impasto recipe PICTURE` | Print what made a PNG or TIFF, as a file for `--recipe`. |
| `impasto web` | The page, a studio in the browser; see [web.md](web.md). |
| `impasto sweep CONTENT STYLE --vary FIELD=VALUES -o SHEET` | A sheet of many settings; see [sweeps.md](sweeps.md). |
| `impasto batch FOLDER --style PAINTING --out FOLDER` | Many photos, resumable; see [batches.md](batches.md). |
| `impasto weights` | List the networks known by name, and where they lie. |
| `impasto weights fetch vgg19` | Fetch the original VGG-19, once. |
| `impasto --help`, `impasto --version` | Answer at once, without loading PyTorch. |

## Recipe files

`--recipe FILE` starts from the options in a TOML file, a JSON file, or a PNG or TIFF that impasto made. Flags on the
same line take the place of what the file says. The pictures themselves are always named on the command line. To get a
file to edit, print one from a picture:

```bash
impasto recipe out.png > recipe.toml
impasto photo.jpg painting.jpg --recipe recipe.toml --seed 1 -o again.png
```

## Environment

| variable | what it does |
|---|---|
| `IMPASTO_CACHE` | The folder of fetched networks, in place of the system's folder for caches. |
| `IMPASTO_OFFLINE` | `1`: open no connection. |
| `IMPASTO_DEBUG` | `1`: show the full traceback of an error. |
"""


def page() -> str:
    """The whole page, in Markdown."""
    parts = [OPENING, _files()]
    schema = Recipe.model_json_schema()["properties"]
    for group in GROUPS:
        rows = [
            (_flags(name, schema[name]), _values(schema[name]), _default(field.default), field.description or "")
            for name, field in Recipe.model_fields.items()
            if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["group"] == group
        ]
        parts.append(_table(group, ("option", "values", "default", "what it does"), rows))
    return "".join([*parts, CLOSING])


def _files() -> str:
    """The flags that the command line has beside those of Recipe."""
    rows = []
    for parameter in inspect.signature(paint).parameters.values():
        own = parameter.name not in Recipe.model_fields and parameter.kind is parameter.KEYWORD_ONLY
        if own:
            about = get_args(parameter.annotation)[1]
            names = about.name or (flag(parameter.name),)
            rows.append((", ".join(f"`{name}`" for name in names), about.help))
    note = "These belong to the command line only; they are not part of a recipe.\n"
    return _table("Files and messages", ("option", "what it does"), rows, note)


def _table(title: str, head: tuple[str, ...], rows: list[tuple[str, ...]], note: str = "") -> str:
    lines = [head, ("---",) * len(head), *rows]
    body = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
    return f"\n## {title}\n\n{note}{chr(10) if note else ''}{body}"


def _flags(name: str, schema: dict[str, Any]) -> str:
    both = schema.get("type") == "boolean"
    return f"`{flag(name)}`" + (f", `--no-{flag(name)[2:]}`" if both else "")


def _values(schema: dict[str, Any]) -> str:
    """What a field accepts, in words."""
    if "enum" in schema:
        return ", ".join(f"`{choice}`" for choice in schema["enum"])
    if schema["type"] == "array":
        return f"several: {_values(schema['items'])}"
    words = {"integer": "whole number", "number": "number", "boolean": "on or off", "string": "text"}[schema["type"]]
    if "multipleOf" in schema:
        words = f"multiple of {schema['multipleOf']}"
    if "minimum" in schema:
        words += f", at least {schema['minimum']:g}"
    if "exclusiveMinimum" in schema:
        words += f", above {schema['exclusiveMinimum']:g}"
    if schema.get("maximum", 2**53) < 2**53:  # larger ones are what the format can hold, not a choice
        words += f", at most {schema['maximum']:g}"
    return words


def _default(value: object) -> str:
    """A default as one would type it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(_default(item) for item in value) or "none"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
