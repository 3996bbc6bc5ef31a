"""Options that are written as text: how each is read and checked. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError

from impasto import layers
from impasto.errors import OptionError
from impasto.text import nearest

__all__ = [
    "ALL_OF_IT",
    "COPIES",
    "DEFAULTS",
    "GROUPS",
    "INITS",
    "INSTANT",
    "PATHS",
    "REST",
    "STYLE_LOSSES",
    "CopyText",
    "LaplacianText",
    "LayerText",
    "Listed",
    "Several",
    "StyleLossText",
    "check_word",
    "defaults",
    "field",
    "flag",
    "one_line",
    "parse_laplacian",
    "parse_style_loss",
    "summed",
]

Key = TypeVar("Key")
PATHS = ("mask", "style_mask")  # fields of several paths
GROUPS = ("Picture", "Regions", "Weights of the loss", "Layers", "Network", "Optimisation")
INITS = ("content", "style", "noise")  # Recipe.init, where it is not a path
INSTANT = "instant"  # Recipe.init: what one pass gives; made by those who call the transfer
REST, ALL_OF_IT = "rest", "none"  # in place of a mask: what no other covers; all of a painting
WORDS = {"init": (*INITS, INSTANT), "mask": (REST,), "style mask": (ALL_OF_IT,)}  # in place of a path, by role
COPIES = ("turned", "mirrored", "tilted", "scaled")
STYLE_LOSSES = ("neighbours", "gram", "moments", "patches")
# What is right for a style loss where nothing else is said; the fields' own defaults are the report's.
DEFAULTS: dict[str, dict[str, Any]] = {
    "neighbours": {  # the match holds the content, and few steps are enough
        "content_weight": 0.0,
        "style_weight": 1.0,
        "palette_weight": 0.3,
        "iterations": (30,),
        "polish": 15,
    },
    # Overlapping blocks average each other: pale, and with a weave that no layer looked at sees.
    "patches": {
        "style_weight": 3.0,
        "palette_weight": 0.3,
        "tv_weight": 1.0,
        "iterations": (50,),
        "match_every": 10,
    },
}
BESIDE_GRAM = 0.25  # the content weight of neighbours with Gram matrices beside them, which do not hold the content


def flag(field: str) -> str:
    """The flag of a field on the command line.

    >>> flag("style_weight")
    '--style-weight'
    """
    return "--" + field.replace("_", "-")


def field(default: Any, group: str, text: str, **limits: Any) -> Any:
    """A field of Recipe: its default, the group of its flag, its help and its limits."""
    return Field(default, description=text, json_schema_extra={"group": group}, **limits)


def parse_laplacian(text: str) -> tuple[int, float]:
    """Split `POOL:GAMMA` into the pooling side p_k and the weight γ_k of eq. 14.

    >>> parse_laplacian("4:100")
    (4, 100.0)
    """
    pool_text, colon, gamma_text = str(text).strip().partition(":")
    try:
        pool, gamma = int(pool_text), float(gamma_text)
    except ValueError:
        pool, gamma = 0, math.nan
    if not colon or not 1 <= pool <= 1024 or not math.isfinite(gamma) or gamma < 0:
        raise OptionError(f"laplacian {text!r} must be POOL:GAMMA with POOL from 1 to 1024 and GAMMA ≥ 0, as in 4:10")
    return pool, gamma


def parse_style_loss(text: str) -> tuple[str, float]:
    """Split `NAME[:W]` into a style loss and its weight, 1 where none is given.

    >>> parse_style_loss("gram:0.1")
    ('gram', 0.1)
    """
    name, colon, number = str(text).strip().partition(":")
    if name not in STYLE_LOSSES:
        raise OptionError(f"no style loss {name!r}; did you mean {nearest(name, STYLE_LOSSES)}?")
    try:
        weight = float(number) if colon else 1.0
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise OptionError(f"weight {number!r} in {text!r} must be a number of at least 0, as in {name}:0.5")
    return name, weight


def defaults(style_loss: object) -> dict[str, Any]:
    """What follows from the style losses named: what is right for the first of them in DEFAULTS."""
    text = str(style_loss)
    name = next((name for name in DEFAULTS if name in text), None)
    if name == "neighbours" and "gram" in text:
        return {**DEFAULTS[name], "content_weight": BESIDE_GRAM}
    return DEFAULTS[name] if name else {}


def check_word(name: str, role: str) -> None:
    """Raise OptionError for a name that reads like a word, is none of those of its role, and is no file either.

    >>> check_word("random", "init")
    Traceback (most recent call last):
    ...
    impasto.errors.OptionError: init 'random': neither a file nor one of content, style, noise, instant
    """
    words = WORDS.get(role.rstrip("0123456789 "), ())
    if words and name.replace("_", "").replace("-", "").isalnum() and not Path(name).exists():
        of = "one of " * (len(words) > 1)
        raise OptionError(f"{role} {name!r}: neither a file nor {of}{', '.join(words)}")


def _several(value: object) -> object:
    """Accept one value, `a,b` or any sequence where several are expected."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return (value,) if isinstance(value, int | float) else value


def _listed(value: object) -> object:
    """Accept one value where several are expected."""
    return (value,) if isinstance(value, str) else value


def _check_layer(text: str) -> str:
    layers.parse_weighted(text)
    return text.strip()


def _check_laplacian(text: str) -> str:
    parse_laplacian(text)
    return text.strip()


def _check_style_loss(text: str) -> str:
    parse_style_loss(text)
    return text.strip()


def _check_copy(text: str) -> str:
    if text not in COPIES:
        raise OptionError(f"no copies {text!r}; did you mean {nearest(str(text), COPIES)}? ({', '.join(COPIES)})")
    return text


CopyText = Annotated[str, BeforeValidator(_check_copy)]
LayerText = Annotated[str, BeforeValidator(_check_layer)]
LaplacianText = Annotated[str, BeforeValidator(_check_laplacian)]
StyleLossText = Annotated[str, BeforeValidator(_check_style_loss)]
Several = BeforeValidator(_several)
Listed = BeforeValidator(_listed)  # for paths, which may hold a comma


def summed(pairs: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    """Weights by key; of a key given twice the sum."""
    weights: dict[Key, float] = {}
    for key, weight in pairs:
        weights[key] = weights.get(key, 0.0) + weight
    return weights


def one_line(error: ValidationError, names: Iterable[str]) -> str:
    """The first complaint of pydantic as `field: what is wrong (got value)`; `names` are those of the fields."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = nearest(field, names)
        return f"{field}: no such option; did you mean {near}?"
    message = first["msg"].removeprefix("Value error, ")
    return (
        f"{field}: {message} (got {first['input']!r})"
        if field and first["type"] != "value_error"
        else f"{field}: {message}".removeprefix(": ")
    )
