"""Options that were named and change nothing, so that nobody turns a knob in vain."""

from __future__ import annotations

from impasto.recipe import Recipe

__all__ = ["notices"]


def notices(recipe: Recipe) -> list[str]:
    """A line for each option of a recipe that is not at its default and has nothing to work on."""
    losses = {name for name, weight in recipe.style_losses().items() if weight and recipe.style_weight}
    content, neighbours, patches = recipe.content_weight > 0, "neighbours" in losses, "patches" in losses
    needs = {
        "content_layer": (content, "nothing without --content-weight"),
        "style_weight": (content or not neighbours, "little without --content-weight; try --strength"),
        "style_layer": (bool(losses & {"gram", "moments"}), "nothing without --style-loss gram or moments"),
        "match_every": (neighbours or patches, "nothing without --style-loss neighbours or patches"),
        "match_copies": (neighbours or patches, "nothing without --style-loss neighbours or patches"),
        **dict.fromkeys(
            ("strength", "match_mix", "match_layer", "polish"), (neighbours, "nothing without --style-loss neighbours")
        ),
    }
    default = Recipe(style_loss=recipe.style_loss)
    return [
        f"{name} {getattr(recipe, name)!r} changes {what}"
        for name, (used, what) in needs.items()
        if not used and name in recipe.model_fields_set and getattr(recipe, name) != getattr(default, name)
    ]
