"""What pictures are compared by: the report's equations as pure functions, and one file for every family of losses."""

from impasto.losses import content, equations, grams, laplacians, moments, neighbours, palette, patches, variation
from impasto.losses.equations import *  # noqa: F403  the public functions, by their own list
from impasto.losses.gaussians import wasserstein_gaussian
from impasto.losses.matching import nearest
from impasto.losses.patches import patch_loss
from impasto.losses.terms import Family

__all__ = ["FAMILIES", "nearest", "patch_loss", "wasserstein_gaussian"]
__all__ += equations.__all__

FAMILIES: tuple[Family, ...] = (  # a row each; a term of weight 0 is left out
    content,
    grams,
    neighbours,
    patches,
    moments,
    palette,
    variation,
    laplacians,
)
