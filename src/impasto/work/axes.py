"""The axes of a sweep: fields of Recipe, the values that they take, and every combination of these."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from impasto.errors import OptionError
from impasto.recipe import Recipe
from impasto.text import nearest, shown

__all__ = ["MOST_AXES", "Axis", "axis", "cells", "worded"]

MOST_AXES = 3
MOST_CELLS = 400  # of one sweep; more is a slip of the keyboard
JOIN = re.compile(r"(?<![\d.][eE])\+")  # a + between parts, not that of 1e+2
NONE = "none"  # the empty value of a field that takes several


@dataclass(frozen=True)
class Axis:
    """A field of Recipe and the values that it takes, as Recipe takes them."""

    field: str
    values: tuple[Any, ...]

    @property
    def words(self) -> str:
        """The field as people say it."""
        return self.field.replace("_", " ")


def axis(text: str) -> Axis:
    """Read `field=value,value`; parts of one value are joined by +, and `none` is no value at all.

    Raises OptionError for an unknown field. Values are checked when recipes are made of them.

    >>> axis("content_layer=conv1_2,conv2_2").values
    (('conv1_2',), ('conv2_2',))
    >>> axis("blend=0.2+0.8,1e+0+0").values
    (('0.2', '0.8'), ('1e+0', '0'))
    >>> axis("laplacian=none,4:10,4:10+16:10").values
    ((), ('4:10',), ('4:10', '16:10'))
    """
    name, equals, rest = text.partition("=")
    field = name.strip().removeprefix("--").replace("-", "_")
    if not equals:
        raise OptionError(f"--vary {shown(text)}: must be FIELD=VALUE,VALUE as in content_layer=conv2_2,conv4_2")
    if field not in Recipe.model_fields:
        near = nearest(field, Recipe.model_fields)
        raise OptionError(f"--vary {shown(text)}: no such option {shown(field)!r}; did you mean {near}?")
    parts = [part.strip() for part in rest.split(",")]
    if not all(parts):
        raise OptionError(f"--vary {shown(text)}: a value is missing; give them as {field}=VALUE,VALUE")
    several = isinstance(Recipe.model_fields[field].default, tuple)
    return Axis(field, tuple(_parts(part) if several else part for part in parts))


def _parts(text: str) -> tuple[str, ...]:
    return () if text == NONE else tuple(part.strip() for part in JOIN.split(text))


def worded(value: Any) -> str:
    """A value as one would type it.

    >>> worded(0.001), worded(("4:10", "16:10")), worded(()), worded(True)
    ('0.001', '4:10+16:10', 'none', 'yes')
    """
    if isinstance(value, tuple | list):
        return "+".join(worded(part) for part in value) or NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value)


def cells(axes: Sequence[Axis], recipe: Recipe) -> list[tuple[tuple[Any, ...], Recipe]]:
    """Every combination of values, as the recipes hold them, with its recipe; the last axis fastest.

    Raises OptionError for too many axes or cells, an axis given twice or a value that the field does not take.
    """
    fields = [one.field for one in axes]
    if not 1 <= len(axes) <= MOST_AXES:
        raise OptionError(f"--vary: {len(axes)} axes; give 1 to {MOST_AXES}")
    if len(set(fields)) < len(fields):
        raise OptionError(f"--vary: an option is given twice ({', '.join(fields)})")
    combinations = list(itertools.product(*(one.values for one in axes)))
    if len(combinations) > MOST_CELLS:
        raise OptionError(f"--vary: {len(combinations)} pictures are too many for one sheet (at most {MOST_CELLS})")
    found = []
    for values in combinations:
        try:
            made = recipe.replace(**dict(zip(fields, values, strict=True)))
        except OptionError as error:
            raise OptionError(f"--vary: {error}") from None
        found.append((tuple(getattr(made, field) for field in fields), made))
    if len({values for values, _ in found}) < len(found):
        raise OptionError("--vary: a value is given twice")
    return found
