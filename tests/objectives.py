"""An objective put together as a transfer does, of pictures as they are."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impasto.losses.terms import Seen
from impasto.network.encoder import Encoder
from impasto.network.tiles import WHOLE, Plan, observe
from impasto.paint.objective import Objective, looks, terms
from impasto.recipe import Recipe


def made(
    recipe: Recipe,
    encoder: Encoder,
    content: Tensor,
    styles: Sequence[Tensor],
    *,
    blend: tuple[float, ...] = (1.0,),
    area: float = 1.0,
    plan: Plan = WHOLE,
) -> Objective:
    seen = Seen(
        recipe=recipe,
        pixels=content,
        content=observe(encoder, content, looks(recipe, "content"), plan),
        styles=tuple(observe(encoder, style, looks(recipe, "style"), plan) for style in styles),
        blend=blend,
        area=area,
    )
    return Objective(encoder, terms(seen), plan)
