"""Recipe: every option of a style transfer, once.

The command line's flags, the tables in the documentation, the axes of a sweep and the text inside a saved picture
all derive from the fields below: name, type, default, range and help. Imports no torch.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto import layers
from impasto.errors import OptionError
from impasto.options import (
    LaplacianText,
    LayerText,
    Several,
    StyleLossText,
    defaults,
    one_line,
    parse_laplacian,
    parse_style_loss,
    summed,
)

__all__ = ["GROUPS", "INITS", "Recipe", "flag"]

INITS = ("content", "style", "noise")  # Recipe.init, where it is not a path
GROUPS = ("Picture", "Weights of the loss", "Layers", "Network", "Optimisation")
MAX_TEXT = 1_000_000  # characters of a recipe file; a real one has a thousand


def flag(field: str) -> str:
    """The flag of a field on the command line.

    >>> flag("style_weight")
    '--style-weight'
    """
    return "--" + field.replace("_", "-")


def _field(default: Any, group: str, text: str, **limits: Any) -> Any:
    return Field(default, description=text, json_schema_extra={"group": group}, **limits)


class Recipe(BaseModel):
    """All options of one transfer; frozen, and checked when it is made.

    >>> Recipe(size=768, laplacian="4:10,16:10").laplacian
    ('4:10', '16:10')
    >>> Recipe(size=-1)
    Traceback (most recent call last):
    ...
    impasto.errors.OptionError: size: Input should be greater than or equal to 0 (got -1)

    Raises OptionError, naming the field and the value, for anything out of range and for unknown names.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True
    )

    size: int = _field(
        512, "Picture", "Longer side of the result in pixels; 0 keeps the content's own size.", ge=0, le=30_000
    )
    style_scale: float = _field(
        1.0,
        "Picture",
        "Longer side of each style picture as a share of the result's; smaller makes finer strokes.",
        gt=0,
        le=10,
    )
    style_trim: bool = _field(
        True, "Picture", "Cut off the plain margin that scans of paintings carry; the style would paint it as a frame."
    )
    color: Literal["style", "luminance", "match", "histogram", "swap"] = _field(
        "style",
        "Picture",
        "Where colours come from: the style; the content, with the transfer on luminance alone; the style recoloured "
        "to the content by mean and covariance (match) or by histogram; or the content's put back afterwards (swap).",
    )
    blend: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Several] = _field(
        (), "Picture", "One weight per style picture (w_i of eq. 6), scaled to a sum of 1; none given: equal shares."
    )
    init: str = _field(
        "content", "Picture", "What to start from: content, style, noise, or the path of a picture.", min_length=1
    )

    units: Literal["relative", "paper", "report-code"] = _field(
        "relative",
        "Weights of the loss",
        "relative: each term divided by what it compares against, so that one weight behaves alike at every size; "
        "paper: eqs 1–14 as they stand; report-code: the same with the content term of the report's program.",
    )
    style_loss: Annotated[tuple[StyleLossText, ...], Several] = _field(
        ("gram",),
        "Weights of the loss",
        "NAME[:W]: how paintings are compared: gram (eqs 2–4), neighbours (each place with the place of a painting "
        "that is most like it), moments (mean and covariance) or patches (blocks of 3×3). Repeatable.",
        min_length=1,
    )
    content_weight: float = _field(
        1.0, "Weights of the loss", "alpha of eq. 5: how much the content's structure counts; with neighbours 0.", ge=0
    )
    style_weight: float = _field(
        20.0, "Weights of the loss", "beta of eq. 5: how much the painting counts; with neighbours 1, patches 3.", ge=0
    )
    strength: float = _field(
        0.5,
        "Weights of the loss",
        "For neighbours: from the photo, 0, to the painting, 1; moves what is matched and where the start is.",
        ge=0,
        le=1,
    )
    palette_weight: float = _field(
        0.0,
        "Weights of the loss",
        "How much the painting's colours count as a whole, by mean and covariance; with neighbours and patches 0.3.",
        ge=0,
    )
    tv_weight: float = _field(0.0, "Weights of the loss", "theta of eq. 8, total variation; with patches 1.", ge=0)
    laplacian: Annotated[tuple[LaplacianText, ...], Several] = _field(
        (),
        "Weights of the loss",
        "POOL:GAMMA, eq. 14: keeps the content's edges as seen after POOL×POOL pooling. Repeatable.",
    )
    laplacian_exact: bool = _field(
        False,
        "Weights of the loss",
        "Take the Laplacian of each colour apart, in absolute value (eq. 12 in place of eq. 13).",
    )

    content_layer: Annotated[tuple[LayerText, ...], Several] = _field(
        ("conv4_2",),
        "Layers",
        "NAME[:W]: a layer that compares content, with its weight (1/K by default). Repeatable.",
        min_length=1,
    )
    style_layer: Annotated[tuple[LayerText, ...], Several] = _field(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "Layers",
        "NAME[:W]: a layer that compares style, with its weight w_l of eq. 4 (1/K by default). Repeatable.",
        min_length=1,
    )
    match_layer: Annotated[tuple[LayerText, ...], Several] = _field(
        ("relu1_1", "relu2_1", "relu3_1", "relu3_3", "relu4_1", "relu4_3"),
        "Layers",
        "NAME[:W]: a layer that neighbours looks at, with its weight (1/K by default). Repeatable.",
        min_length=1,
    )
    patch_layer: Annotated[tuple[LayerText, ...], Several] = _field(
        ("relu3_1", "relu4_1"),
        "Layers",
        "NAME[:W]: a layer that patches looks at, with its weight (1/K by default). Repeatable.",
        min_length=1,
    )

    net: str = _field(
        "lite",
        "Network",
        "lite (inside the package), vgg19 (the original, fetched once), or the path of a weights file.",
        min_length=1,
    )
    pooling: Literal["max", "average"] = _field("max", "Network", "How the network halves its maps between blocks.")
    border: int = _field(
        16,
        "Network",
        "Reflected pixels around the picture, cropped from the features: no coloured frame. 0: zero padding.",
        ge=0,
        le=256,
        multiple_of=16,
    )
    device: str = _field("auto", "Network", "auto, cpu, cuda, cuda:1, mps, xpu.", min_length=1)
    precision: Literal["auto", "float32", "bfloat16"] = _field(
        "auto",
        "Network",
        "Arithmetic inside the network; losses are float32. auto: bfloat16 where the device is fast at it.",
    )

    max_memory: float = _field(
        0.0,
        "Network",
        "GiB that the run may take; 0: most of what is free. Changes speed, not the picture.",
        ge=0,
        le=65_536,
    )
    tile: int = _field(
        0, "Network", "Rows of the strips a large picture is worked in; 0 chooses.", ge=0, le=65_536, multiple_of=2
    )

    optimizer: Literal["lbfgs", "adam"] = _field("lbfgs", "Optimisation", "L-BFGS within the pixel bounds, or Adam.")
    iterations: Annotated[tuple[Annotated[int, Field(ge=1, le=100_000)], ...], Several] = _field(
        (100, 80, 60),
        "Optimisation",
        "Gradient evaluations at each level, coarse to fine; the last number is repeated for finer levels. With "
        "neighbours 30, patches 50.",
        min_length=1,
    )
    levels: int = _field(
        0,
        "Optimisation",
        "Sizes from coarse to fine, each twice the one before; 0 chooses, 1 works at full size only.",
        ge=0,
        le=10,
    )
    learning_rate: float = _field(
        0.02, "Optimisation", "Step of Adam, in pixel values 0…1; L-BFGS finds its own.", gt=0, le=1
    )
    match_every: int = _field(10, "Optimisation", "For patches: evaluations from match to match.", ge=1, le=100_000)
    seed: int = _field(0, "Optimisation", "Seed of the noise.", ge=0, le=2**63 - 1)

    def __init__(self, /, **options: Any) -> None:
        own = defaults(options.get("style_loss"))
        try:
            super().__init__(**{**own, **options})
        except ValidationError as error:
            raise OptionError(one_line(error, Recipe.model_fields)) from None
        self.model_fields_set.difference_update(own.keys() - options.keys())

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if self.blend and not 0 < sum(self.blend) < math.inf:
            raise ValueError(
                f"blend: at least one weight must be above 0, and their sum finite (got {list(self.blend)})"
            )
        for name in ("content_layer", "style_layer", "match_layer", "patch_layer"):
            texts = getattr(self, name)
            if len(layers.resolve(texts)) < len(texts):
                raise ValueError(f"{name}: a layer is named twice (got {list(texts)})")
        if not (self.content_weight or (self.style_weight and any(self.style_losses().values()))):
            raise ValueError("content_weight, style_weight: at least one must be above 0")
        return self

    def replace(self, **options: Any) -> Recipe:
        """A copy with some options changed, checked anew."""
        return Recipe(**{**self.given(), **options})

    def given(self) -> dict[str, Any]:
        """The options that were named; the others follow from them, as they may again where some are changed."""
        return self.model_dump(exclude_unset=True)

    def style_losses(self) -> dict[str, float]:
        """Weight by style loss; one given twice counts the sum."""
        return summed(parse_style_loss(text) for text in self.style_loss)

    def laplacians(self) -> dict[int, float]:
        """Weight γ_k by pooling side p_k (eq. 14); a pooling given twice counts the sum."""
        terms = summed(parse_laplacian(text) for text in self.laplacian)
        return {pool: gamma for pool, gamma in terms.items() if gamma > 0}

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
    def from_text(cls, text: str, name: str = "recipe") -> Recipe:
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
    def from_file(cls, path: str | Path) -> Recipe:
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
    def _named(cls, values: Mapping[str, Any], name: str) -> Recipe:
        try:
            return cls(**values)
        except OptionError as error:
            raise OptionError(f"{name}: {error}") from None
