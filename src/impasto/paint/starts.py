"""Where a transfer begins: the content, a painting, noise in a painting's colours, or a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from impasto.pictures import color, detail, visible
from impasto.pictures.read import Picture
from impasto.pictures.resize import resize
from impasto.recipe import Recipe

__all__ = ["begin", "flat", "noise", "noisy"]

BLUR = 8  # times smaller is the photo, and enlarged again, that a strength of 1 starts from
GRAIN = 1.5  # px of the first level: standard deviation of the Gaussian that noise is smoothed by
FLAT = 0.01  # spread of a photo, its standard deviation on 0…1, below which there is nothing in it to begin from


def begin(
    recipe: Recipe,
    content: Tensor,
    painting: Tensor,
    make_noise: Callable[[], Tensor],
    *,
    picture: Picture | None = None,
    even: bool = False,
) -> tuple[Tensor, list[str]]:
    """The start, C×H×W as `content`, and notices.

    `painting`: the first one, before its colours are changed. `picture`: the one that the recipe
    names. `even`: whether the content has one colour, so that there is nothing in it to begin from.
    """
    size = (content.shape[1], content.shape[2])
    if picture is not None:
        return _picture(picture, content)
    if recipe.init == "style":
        return _channels(_cover(painting, size), content), []
    if noisy(recipe, even):
        return make_noise(), []
    if recipe.style_losses().get("neighbours"):
        small = resize(content, (max(1, size[0] // BLUR), max(1, size[1] // BLUR)))
        return torch.lerp(content, detail.resample(small, size), recipe.strength), []
    return content, []


def noisy(recipe: Recipe, even: bool) -> bool:
    """Whether it begins from noise: as the recipe says, or since the content has one colour, `even`."""
    return recipe.init == "noise" or (recipe.init == "content" and even)


def flat(content: Tensor, weights: Tensor | None = None) -> bool:
    """Whether a picture, C×H×W, has one colour where it counts, so that every place of it would be painted alike."""
    return bool(color.gaussian(content, weights)[1].diagonal().max() < FLAT**2)


def noise(
    seed: int,
    content: Tensor,
    styles: Sequence[Tensor],
    *,
    first: tuple[int, int],
    shares: Sequence[Tensor | float],
    counts: Sequence[Tensor | None],
) -> Tensor:
    """Smooth noise with the mean and covariance of the styles' colours, each in its part; C×H×W as `content`, 0…1.

    It is made at the first level and enlarged: what is finer an optimiser would leave standing, since the network
    hardly sees it. Of a grey painting, covariance and noise are grey.
    """
    generator = torch.Generator().manual_seed(seed)
    channels, size = len(content), (content.shape[1], content.shape[2])
    z = _smoothed(torch.randn(channels, *first, generator=generator, dtype=torch.float32))
    found, left = torch.zeros_like(content), torch.ones_like(content[:1])
    for style, share, own in zip(styles, shares, counts, strict=True):
        mean, covariance = color.gaussian(style, own)
        values, vectors = torch.linalg.eigh(covariance)
        root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
        coloured = (root @ z.flatten(1).double() + mean).clamp(0, 1).to(content).view_as(z)
        found += share * resize(coloured, size)
        left -= share
    return (found + left.clamp_min(0) * content).clamp_(0, 1)


def _smoothed(z: Tensor) -> Tensor:
    """Noise C×H×W after a Gaussian, its spread 1 again in each channel."""
    reach = torch.arange(-4, 5, dtype=z.dtype)
    weights = torch.exp(-0.5 * (reach / GRAIN) ** 2)
    weights /= weights.sum()
    planes = z[:, None]
    for kernel, sides in ((weights.view(1, 1, -1, 1), (0, 0, 4, 4)), (weights.view(1, 1, 1, -1), (4, 4, 0, 0))):
        planes = conv2d(pad(planes, sides, mode="circular" if min(z.shape[1:]) >= 4 else "replicate"), kernel)
    smooth: Tensor = planes[:, 0]
    smooth = smooth - smooth.mean((1, 2), keepdim=True)
    return smooth / smooth.std((1, 2), correction=0, keepdim=True).clamp_min(1e-6)


def _picture(picture: Picture, content: Tensor) -> tuple[Tensor, list[str]]:
    """A picture as the start; where it is hidden, the content is."""
    size = (content.shape[1], content.shape[2])
    rgb = picture.rgb if picture.alpha is None else visible.filled(picture.rgb, picture.alpha)
    tall, wide = _filling(picture.size, size)
    same = max(tall - size[0], wide - size[1]) <= 1  # of one shape, but for rounding
    fill = resize if same else _cover
    start = _channels(fill(rgb, size), content)
    if picture.alpha is not None:
        start = torch.lerp(content, start, fill(picture.alpha, size))
    if same:
        return start, []
    cut = max(1 - size[0] / tall, 1 - size[1] / wide)
    sides = "top and bottom" if tall - size[0] > wide - size[1] else "left and right"
    return start, [
        f"init {picture.name}: has another shape than the content and is not squashed; {sides} are cut off,"
        f" {100 * cut:.0f} % in all"
    ]


def _channels(picture: Tensor, content: Tensor) -> Tensor:
    """A picture 3×H×W with as many channels as the content."""
    return color.luminance(picture) if len(content) == 1 else picture


def _cover(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture scaled to fill `size` (height, width) in its own shape, the middle cut out."""
    height, width = size
    tall, wide = _filling((picture.shape[1], picture.shape[2]), size)
    top, left = (tall - height) // 2, (wide - width) // 2
    return resize(picture, (tall, wide))[:, top : top + height, left : left + width]


def _filling(own: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the same shape as `own` that cover `size`."""
    scale = max(size[0] / own[0], size[1] / own[1])
    return max(size[0], round(own[0] * scale)), max(size[1], round(own[1] * scale))
