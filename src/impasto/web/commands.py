"""The same picture without the page: as a command, as Python, as a recipe's file. Imports no torch."""

from __future__ import annotations

import shlex
from typing import Any

from impasto.recipe import Recipe, flag
from impasto.web.records import START, Job
from impasto.web.store import Store
from impasto.web.wishes import changed

__all__ = ["written"]

LIST = ("mask", "style_mask")  # flags that take several words


def written(store: Store, job: Job) -> dict[str, str]:
    """A job in words to take away; pictures are called as they were when they came."""
    content, styles = _name(store, job.content), [_name(store, one) for one in job.styles]
    masks = {
        name: [_name(store, one) for one in value] if isinstance(value, list) else _name(store, value)
        for name, value in job.masks.items()
        if value
    }
    init = {"init": START} if job.start else {}
    recipe = Recipe(**{**job.recipe, **masks, **init})
    own = {**changed(recipe), **masks, **init}
    words = ["impasto", _plain(content), *map(_plain, styles), "-o", "result.png"]
    for name, value in own.items():
        words += _flag(name, value)
    call = "instant" if own.get("instant") else "stylize"
    options = {name: value for name, value in own.items() if name != "instant"}
    lines = "".join(f",\n    {name}={value!r}" for name, value in options.items())
    given = repr(styles[0]) if len(styles) == 1 else repr(styles)
    python = f"import impasto\n\nresult = impasto.{call}({content!r}, {given}{lines})\nresult.save('result.png')\n"
    return {"command": shlex.join(words), "python": python, "recipe": recipe.to_toml()}


def _flag(name: str, value: Any) -> list[str]:
    """A flag and its values as they are typed."""
    if isinstance(value, bool):
        return [flag(name) if value else f"--no-{flag(name)[2:]}"]
    if name in LIST:
        return [flag(name), *map(str, value)]
    if isinstance(value, list):
        return [word for one in value for word in (flag(name), _number(one))]
    return [flag(name), _number(value)]


def _number(value: Any) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _plain(name: str) -> str:
    """A name that is neither a flag nor a command."""
    return name if "." in name and not name.startswith("-") else f"./{name}"


def _name(store: Store, key: str) -> str:
    picture = store.pictures.get(key)
    return picture.name if picture is not None else key
