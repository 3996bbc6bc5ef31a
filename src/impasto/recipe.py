"""Recipe: every option of a style transfer, once.

The command line's flags, the tables in the documentation, the axes of a sweep and the text inside a saved picture
all derive from the fields below: name, type, default, range and help. Imports no torch.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, ValidationError, model_validator

from impasto import layers
from impasto.errors import OptionError
from impasto.options import (
    ALL_OF_IT,
    GROUPS,
    INITS,
    INSTANT,
    PATHS,
    REST,
    CopyText,
    LaplacianText,
    LayerText,
    Listed,
    Several,
    StyleLossText,
    defaults,
    field,
    flag,
    one_line,
    parse_laplacian,
    parse_style_loss,
    summed,
)
from impasto.written import Written

__all__ = ["ALL_OF_IT", "GROUPS", "INITS", "PATHS", "REST", "Recipe", "flag"]


class Recipe(Written):
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

    size: int = field(
        512, "Picture", "Longer side of the result in pixels; 0 keeps the content's own size.", ge=0, le=30_000
    )
    style_scale: Annotated[tuple[Annotated[float, Field(gt=0, le=10)], ...], Several] = field(
        (1.0,),
        "Picture",
        "Longer side of the style pictures, all or each, as a share of the result's; smaller makes finer strokes.",
        min_length=1,
    )
    style_trim: bool = field(
        True, "Picture", "Cut off the plain margin that scans of paintings carry; the style would paint it as a frame."
    )
    color: Literal["style", "luminance", "match", "histogram", "swap"] = field(
        "style",
        "Picture",
        "Where colours come from: the style; the content, with the transfer on luminance alone; the style recoloured "
        "to the content by mean and covariance (match) or by histogram; or the content's put back afterwards (swap).",
    )
    blend: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Several] = field(
        (), "Picture", "One weight per style picture (w_i of eq. 6), scaled to a sum of 1; none given: equal shares."
    )
    init: str = field(
        "content", "Picture", "What to start from: content, style, noise, instant (one pass), or a path.", min_length=1
    )
    instant: bool = field(False, "Picture", "Paint in one pass, in under a second, in place of the optimisation.")
    transform: Literal["adain", "whiten", "swap"] = field(
        "adain",
        "Picture",
        "For instant: mean and deviation (adain), covariance too (whiten), or blocks of the painting's maps (swap).",
    )

    mask: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Listed] = field(
        (), "Regions", "One grey picture per painting, white where it paints the photo; rest: where no other does."
    )
    style_mask: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Listed] = field(
        (), "Regions", "One grey picture per painting, white where the painting counts; none: all of it."
    )
    keep: str = field("", "Regions", "A grey picture, white where the photo stays as it is.")

    units: Literal["relative", "paper", "report-code"] = field(
        "relative",
        "Weights of the loss",
        "relative: each term divided by what it compares against, so that one weight behaves alike at every size; "
        "paper: eqs 1–14 as they stand; report-code: the same with the content term of the report's program.",
    )
    style_loss: Annotated[tuple[StyleLossText, ...], Several] = field(
        ("gram",),
        "Weights of the loss",
        "NAME[:W]: how paintings are compared: gram (the report's own, eqs 2–4), neighbours (each place with the place "
        "of a painting that is most like it), moments (mean and covariance) or patches (blocks of 3×3). Repeatable.",
        min_length=1,
    )
    content_weight: float = field(
        1.0,
        "Weights of the loss",
        "alpha of eq. 5: how much the content's structure counts; with neighbours 0, with both 0.25.",
        ge=0,
    )
    style_weight: float = field(
        20.0, "Weights of the loss", "beta of eq. 5: how much the painting counts; with neighbours 1, patches 3.", ge=0
    )
    strength: float = field(
        0.3,
        "Weights of the loss",
        "From the photo, 0, to the painting, 1: for neighbours what is matched and where the start is; for instant, "
        "where it is 1 by default, how far the maps are changed.",
        ge=0,
        le=1,
    )
    match_mix: float = field(
        0.3,
        "Weights of the loss",
        "For neighbours: the share of the picture so far in what is matched, the rest is the photo; as strength.",
        ge=0,
        le=1,
    )
    palette_weight: float = field(
        0.0,
        "Weights of the loss",
        "How much the painting's colours count as a whole, by mean and covariance; with neighbours and patches 0.3.",
        ge=0,
    )
    tv_weight: float = field(0.0, "Weights of the loss", "theta of eq. 8, total variation; with patches 1.", ge=0)
    laplacian: Annotated[tuple[LaplacianText, ...], Several] = field(
        (),
        "Weights of the loss",
        "POOL:GAMMA, eq. 14: keeps the content's edges as seen after POOL×POOL pooling. Repeatable.",
    )
    laplacian_exact: bool = field(
        False,
        "Weights of the loss",
        "Take the Laplacian of each colour apart, in absolute value (eq. 12 in place of eq. 13).",
    )

    content_layer: Annotated[tuple[LayerText, ...], Several] = field(
        ("conv4_2",),
        "Layers",
        "NAME[:W]: a layer that compares content, with its weight (1/K by default). Repeatable.",
        min_length=1,
    )
    style_layer: Annotated[tuple[LayerText, ...], Several] = field(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"),
        "Layers",
        "NAME[:W]: a layer that compares style, with its weight w_l of eq. 4 (1/K by default). Repeatable.",
        min_length=1,
    )
    match_layer: Annotated[tuple[LayerText, ...], Several] = field(
        ("relu1_1", "relu2_1", "relu3_1", "relu3_3", "relu4_1", "relu4_3"),
        "Layers",
        "NAME[:W]: a layer that neighbours looks at, with its weight (1/K by default). Repeatable.",
        min_length=1,
    )
    patch_layer: Annotated[tuple[LayerText, ...], Several] = field(
        ("relu3_1", "relu4_1"),
        "Layers",
        "NAME[:W]: a layer that patches looks at, with its weight (1/K by default). Repeatable.",
        min_length=1,
    )
    match_copies: Annotated[tuple[CopyText, ...], Several] = field(
        (),
        "Layers",
        "Copies of the paintings where neighbours and patches are looked for as well: turned (90°, 180°, 270°), "
        "mirrored, tilted (±7.5°), scaled (0.95, 1.05). Repeatable.",
    )

    net: str = field(
        "lite",
        "Network",
        "lite (inside the package), vgg19 (the original, fetched once), or the path of a weights file.",
        min_length=1,
    )
    pooling: Literal["max", "average"] = field("max", "Network", "How the network halves its maps between blocks.")
    border: int = field(
        16,
        "Network",
        "Reflected pixels around the picture, cropped from the features: no coloured frame. 0: zero padding.",
        ge=0,
        le=256,
        multiple_of=16,
    )
    device: str = field("auto", "Network", "auto, cpu, cuda, cuda:1, mps, xpu.", min_length=1)
    precision: Literal["auto", "float32", "bfloat16"] = field(
        "auto",
        "Network",
        "Arithmetic inside the network; losses are float32. auto: bfloat16 where the device is fast at it.",
    )

    max_memory: float = field(
        0.0,
        "Network",
        "GiB that the run may take; 0: most of what is free. Changes speed, not the picture.",
        ge=0,
        le=65_536,
    )
    tile: int = field(
        0, "Network", "Rows of the strips a large picture is worked in; 0 chooses.", ge=0, le=65_536, multiple_of=2
    )

    optimizer: Literal["lbfgs", "adam"] = field("lbfgs", "Optimisation", "L-BFGS within the pixel bounds, or Adam.")
    iterations: Annotated[tuple[Annotated[int, Field(ge=1, le=100_000)], ...], Several] = field(
        (100, 80, 60),
        "Optimisation",
        "Gradient evaluations at each level, coarse to fine; the last number is repeated for finer levels. With "
        "neighbours 30, patches 50.",
        min_length=1,
    )
    polish: int = field(
        0,
        "Optimisation",
        "For neighbours: so many of the last level's evaluations, half of them at most, match each layer for itself, "
        "for crisp strokes; with neighbours 15.",
        ge=0,
        le=100_000,
    )
    levels: int = field(
        0,
        "Optimisation",
        "Sizes from coarse to fine, each twice the one before; 0 chooses, 1 works at full size only.",
        ge=0,
        le=10,
    )
    learning_rate: float = field(
        0.02, "Optimisation", "Step of Adam, in pixel values 0…1; L-BFGS finds its own.", gt=0, le=1
    )
    match_every: int = field(
        15,
        "Optimisation",
        "For neighbours and patches: evaluations from one match to the next; with patches 10.",
        ge=1,
        le=100_000,
    )
    seed: int = field(0, "Optimisation", "Seed of the noise, the grain and the places looked at.", ge=0, le=2**63 - 1)

    def __init__(self, /, **options: Any) -> None:
        own = {"match_mix": options.get("strength", 0.3), **defaults(options.get("style_loss"))}
        if options.get("instant"):
            own["strength"] = 1.0
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

    def files(self) -> dict[str, str]:
        """The pictures that it names, by what messages call them."""
        found = {} if self.init in (*INITS, INSTANT) else {"init": self.init}
        for role, names, words in (("mask", self.mask, (REST,)), ("style mask", self.style_mask, (ALL_OF_IT,))):
            found.update({f"{role} {number}": name for number, name in enumerate(names, 1) if name not in words})
        return {**found, "keep": self.keep} if self.keep else found

    def laplacians(self) -> dict[int, float]:
        """Weight γ_k by pooling side p_k (eq. 14); a pooling given twice counts the sum."""
        terms = summed(parse_laplacian(text) for text in self.laplacian)
        return {pool: gamma for pool, gamma in terms.items() if gamma > 0}
