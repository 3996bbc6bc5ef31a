"""Options that were named and change nothing, so that nobody turns a knob in vain."""

from __future__ import annotations

from impasto.recipe import Recipe

__all__ = ["notices"]

FITTED = ("luminance", "match", "histogram")  # ways of colour that give the paintings the photo's contrast

ONE_PASS = {  # what counts where there are no steps
    *("size", "style_scale", "style_trim", "color", "blend", "instant", "transform", "mask", "style_mask", "keep"),
    *("strength", "net", "device", "precision", "max_memory", "seed"),
}
DEFAULT = Recipe()


def notices(recipe: Recipe, size: tuple[int, int], *, even: bool = False) -> list[str]:
    """A line for each option of a recipe that is not at its default and has nothing to work on.

    `size`: height and width of the result. `even`: whether the content has one colour.
    """
    if recipe.instant:
        return [
            f"{name} {getattr(recipe, name)!r} changes nothing in one pass"
            for name in Recipe.model_fields
            if name in recipe.model_fields_set - ONE_PASS and getattr(recipe, name) != getattr(DEFAULT, name)
        ]
    losses = {name for name, weight in recipe.style_losses().items() if weight and recipe.style_weight}
    content, neighbours, patches = recipe.content_weight > 0, "neighbours" in losses, "patches" in losses
    needs = {
        "content_layer": (content, "nothing without --content-weight"),
        "style_weight": (content or not neighbours, "little without --content-weight; try --strength"),
        "style_layer": (bool(losses & {"gram", "moments"}), "nothing without --style-loss gram or moments"),
        "match_every": (neighbours or patches, "nothing without --style-loss neighbours or patches"),
        "match_copies": (neighbours or patches, "nothing without --style-loss neighbours or patches"),
        "transform": (False, "nothing without --instant"),
        "laplacian_exact": (bool(recipe.laplacians()), "nothing without --laplacian"),
        "learning_rate": (recipe.optimizer == "adam", "nothing without --optimizer adam"),
        **dict.fromkeys(
            ("strength", "match_mix", "match_layer", "polish"), (neighbours, "nothing without --style-loss neighbours")
        ),
    }
    default = Recipe(style_loss=recipe.style_loss)
    found = [
        f"{name} {getattr(recipe, name)!r} changes {what}"
        for name, (used, what) in needs.items()
        if not used and name in recipe.model_fields_set and getattr(recipe, name) != getattr(default, name)
    ]
    height, width = size
    fits = min(size) // 3  # the largest pooling that leaves the Laplacian three places down and across
    remedy = f"{fits} is the largest" if fits else "none fits"
    found += [
        f"laplacian {pool} changes nothing: {width}×{height} pixels are too few for so coarse a pooling; {remedy}"
        for pool in recipe.laplacians()
        if pool > fits
    ]
    if recipe.tv_weight and "tv_weight" in recipe.model_fields_set and height * width == 1:
        found.append("tv_weight changes nothing: one pixel has no neighbours")
    return found + (_even(recipe) if even else [])


def _even(recipe: Recipe) -> list[str]:
    """What happens to a photo of one colour."""
    if recipe.color in FITTED:
        return [
            f"content: has one colour, and --color {recipe.color} gives the paintings its contrast, which is none; use"
            " --color style or swap"
        ]
    start = "begins from noise (--seed)" if recipe.init == "content" else f"begins from {recipe.init}"
    return [f"content: has one colour, with nothing in it to keep; the painting's texture {start} and covers it"]
