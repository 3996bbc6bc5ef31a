"""What is asked for, checked: the bodies of requests, the recipe that they mean, and what all its fields may be.

Nothing here is a path or an address: pictures are named by their ids, a network by its name. Imports no torch.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field

from impasto._version import __version__
from impasto.errors import OptionError
from impasto.network.weights.known import KNOWN, status
from impasto.options import ALL_OF_IT, INITS, INSTANT, REST
from impasto.recipe import GROUPS, Recipe, flag
from impasto.text import shown

__all__ = [
    "MOST_STYLES",
    "NAMED",
    "JobBody",
    "MasksBody",
    "SweepBody",
    "changed",
    "ids_of",
    "recipe_of",
    "schema",
    "writable",
]

MOST_STYLES = 8
IDS = r"^[0-9a-f]{32}$"
NAMED = ("mask", "style_mask", "keep")  # fields that are given as ids, beside the recipe
NETS = tuple(KNOWN)
STARTS = (*INITS, INSTANT)

Value = str | bool | int | float | list[str | int | float] | None


class MasksBody(BaseModel):
    """Pictures that say where: by their ids."""

    model_config = ConfigDict(extra="forbid")
    mask: list[str] = Field(default=[], max_length=MOST_STYLES, description="An id for each painting, or rest.")
    keep: str | None = Field(default=None, description="The id of a picture, white where the photo stays as it is.")
    style_mask: list[str] = Field(default=[], max_length=MOST_STYLES, description="An id for each painting, or none.")


class JobBody(BaseModel):
    """A picture to paint."""

    model_config = ConfigDict(extra="forbid")
    content: str = Field(description="The photo's id.")
    styles: list[str] = Field(min_length=1, max_length=MOST_STYLES, description="The paintings' ids.")
    recipe: dict[str, Value] = Field(default={}, description="The options that are not the defaults, by name.")
    draft: bool = Field(default=False, description="Show an instant picture first.")
    start: str | None = Field(default=None, description="The id of a job whose picture is where this one begins.")
    masks: MasksBody = Field(default=MasksBody())


class SweepBody(BaseModel):
    """A picture to paint in several ways."""

    model_config = ConfigDict(extra="forbid")
    job: JobBody
    vary: dict[str, list[Value]] = Field(min_length=1, max_length=2, description="One option or two, and their values.")


def recipe_of(body: JobBody) -> Recipe:
    """The recipe that is asked for; raises OptionError for whatever is none, or names anything outside."""
    given = {name: value for name, value in body.recipe.items() if value is not None}
    for name in NAMED:
        if given.pop(name, None):
            raise OptionError(f"{name}: is given under masks, by the ids of pictures")
    net, init = given.get("net", "lite"), given.get("init", "content")
    if net not in NETS:
        raise OptionError(f"net: {shown(net)[:80]!r} is not known here; use {' or '.join(NETS)}")
    if net != "lite" and not any(row.name == net and row.verified for row in status()):
        raise OptionError(f"net: {net} is not on this machine yet; run: impasto weights fetch {net}")
    if init not in STARTS:
        raise OptionError(f"init: {shown(init)[:80]!r} is no start; use {', '.join(STARTS)}, or begin from a job")
    masks = body.masks
    for name in ("mask", "style_mask"):
        several = getattr(masks, name)
        if several and len(several) != len(body.styles):
            raise OptionError(f"{name}: {len(several)} for {len(body.styles)} paintings; give one each")
        given.update({name: several} if several else {})
    if masks.keep:
        given["keep"] = masks.keep
    recipe = Recipe(**given)
    if recipe.blend and len(recipe.blend) != len(body.styles):
        raise OptionError(f"blend: {len(recipe.blend)} weights for {len(body.styles)} paintings; give one each")
    if len(recipe.style_scale) not in (1, len(body.styles)):
        raise OptionError(
            f"style_scale: {len(recipe.style_scale)} for {len(body.styles)} paintings; give one, or one each"
        )
    if recipe.instant and net != "lite":
        raise OptionError("net: one pass uses lite; leave net out")
    return recipe


def ids_of(body: JobBody) -> dict[str, list[str]]:
    """All pictures that are named, by what they are."""
    words = (REST, ALL_OF_IT)
    masks = [one for one in (*body.masks.mask, *body.masks.style_mask, body.masks.keep) if one and one not in words]
    return {"content": [body.content], "styles": body.styles, "masks": masks}


def changed(recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe that have to be said; all others follow from them.

    >>> changed(Recipe(style_loss="neighbours", size=256))
    {'size': 256, 'style_loss': ['neighbours']}
    """
    whole = recipe.model_dump(mode="json")
    first = {
        name: whole[name] for name in ("style_loss", "instant") if whole[name] != Recipe().model_dump(mode="json")[name]
    }
    base = Recipe(**first)
    if recipe.strength != base.strength:
        first["strength"] = recipe.strength
        base = Recipe(**first)
    usual = base.model_dump(mode="json")
    return {name: value for name, value in whole.items() if name in first or value != usual[name]}


def writable(recipe: dict[str, Any]) -> dict[str, Any]:
    """The fields of a recipe from a picture that a request may hold: no names of files."""
    found = {name: value for name, value in recipe.items() if name not in NAMED}
    if found.get("init") not in STARTS:
        found.pop("init", None)
    if found.get("net") not in NETS:
        found.pop("net", None)
    return found


def schema() -> dict[str, Any]:
    """All options for whoever draws controls: from Recipe, and in its order."""
    fields = [_field(name) for name in Recipe.model_fields if name not in NAMED]
    return {"version": __version__, "groups": list(GROUPS), "fields": fields}


def _field(name: str) -> dict[str, Any]:
    field = Recipe.model_fields[name]
    extra = field.json_schema_extra
    assert isinstance(extra, dict)
    kind: Any = field.annotation
    several = get_origin(kind) is tuple
    limits = list(field.metadata)
    if several:
        kind = get_args(kind)[0]
        if hasattr(kind, "__metadata__"):
            inner = kind.__metadata__[0]
            limits = list(getattr(inner, "metadata", []) or [inner])
            kind = kind.__origin__
    told: dict[str, Any] = {"name": name, "flag": flag(name), "group": extra["group"], "help": field.description}
    choices = {"net": NETS, "init": STARTS}.get(name) or (get_args(kind) if get_origin(kind) is Literal else None)
    if choices:
        told.update(kind="choice", choices=list(choices))
    else:
        told["kind"] = {int: "integer", float: "number", bool: "boolean"}.get(kind, "text")
    if several:
        told["kind"], told["of"] = "several", told["kind"]
    for limit in limits:
        for mark, key in (("ge", "minimum"), ("gt", "minimum"), ("le", "maximum"), ("lt", "maximum")):
            value = getattr(limit, mark, None)
            if isinstance(value, int | float) and math.isfinite(value):
                told[key] = value
        if getattr(limit, "multiple_of", None):
            told["multiple"] = limit.multiple_of
    default = field.default
    return {**told, "default": list(default) if isinstance(default, tuple) else default, "several": several}
