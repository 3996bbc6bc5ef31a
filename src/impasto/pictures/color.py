"""Whose colours the result has: section 3.2 of the report, and the two ways of arXiv:1606.05897.

All pictures are RGB 0…1, 3×H×W. Luminance and chroma are Y, U, V of ITU-R BT.601.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "from_yuv",
    "gaussian",
    "grey",
    "luminance",
    "match_colors",
    "match_histogram",
    "match_luminance",
    "prepare",
    "restore",
    "spread",
    "to_yuv",
]

Counts = tuple[Tensor | None, Tensor | None]  # how far pixels of the style and of the content count; None: all alike
Recoloring = Callable[[Tensor, Tensor, Counts], Tensor]
ALL: Counts = (None, None)

RED, GREEN, BLUE = 0.299, 0.587, 0.114
TO_YUV = torch.tensor(
    [
        [RED, GREEN, BLUE],
        [-0.492 * RED, -0.492 * GREEN, 0.492 * (1 - BLUE)],
        [0.877 * (1 - RED), -0.877 * GREEN, -0.877 * BLUE],
    ],
    dtype=torch.float64,
)
COLOURLESS = 0.5 / 255  # difference of two channels that no saved picture shows
FROM_YUV = torch.linalg.inv(TO_YUV)


def to_yuv(rgb: Tensor) -> Tensor:
    """Y, U, V of a picture, 3×H×W: Y 0…1, U within ±0.436, V within ±0.615."""
    return torch.einsum("ij,jhw->ihw", TO_YUV.to(rgb), rgb)


def from_yuv(yuv: Tensor) -> Tensor:
    """The inverse of `to_yuv`; not clipped."""
    return torch.einsum("ij,jhw->ihw", FROM_YUV.to(yuv), yuv)


def luminance(rgb: Tensor) -> Tensor:
    """Y of a picture, 1×H×W."""
    return to_yuv(rgb)[:1]


def grey(picture: Tensor) -> bool:
    """Whether a picture, 3×H×W or 1×H×W, has no colour.

    >>> grey(torch.full((3, 1, 1), 0.4)), grey(torch.tensor([0.4, 0.4, 0.5]).view(3, 1, 1))
    (True, False)
    """
    return bool((picture - picture[:1]).abs().max() < COLOURLESS)


def match_luminance(style: Tensor, content: Tensor, counts: Counts = ALL) -> Tensor:
    """Eq. 7: L_S' = σ_C/σ_S (L_S − μ_S) + μ_C, with standard deviations over all pixels; not clipped.

    `style` and `content` are luminances of any two sizes; the result has the style's. A style of one grey becomes μ_C.
    `counts`: how far the pixels of either count, weights of their sizes.

    >>> match_luminance(torch.tensor([0.0, 1.0]), torch.tensor([0.25, 0.75])).tolist()
    [0.25, 0.75]
    """
    (mean, own_spread), (other, wanted) = (spread(Y, own) for Y, own in zip((style, content), counts, strict=True))
    ratio = wanted / own_spread if own_spread > 1e-6 else torch.zeros_like(own_spread)
    return ratio * (style - mean) + other


def match_colors(style: Tensor, content: Tensor, counts: Counts = ALL) -> Tensor:
    """The style picture with the content's mean and covariance of colour, 0…1 (1606.05897, section 5.1).

    The map is the symmetric one (Monge's): Σ_S^−½ (Σ_S^½ Σ_C Σ_S^½)^½ Σ_S^−½, which moves colours least. `counts`: how
    far the pixels of either count, weights 1×H×W.
    """
    s = style.flatten(1).double()
    (mean_s, own_s), (mean_c, own_c) = (gaussian(p, own) for p, own in zip((style, content), counts, strict=True))
    ridge = 1e-5 * torch.eye(3, dtype=torch.float64, device=style.device)  # a grey picture has a singular covariance
    cov_s, cov_c = own_s + ridge, own_c + ridge
    root = _power(cov_s, 0.5)
    inverse = _power(cov_s, -0.5)
    change = inverse @ _power(root @ cov_c @ root, 0.5) @ inverse
    return (change @ (s - mean_s) + mean_c).clamp(0, 1).to(style.dtype).view_as(style)


def match_histogram(style: Tensor, content: Tensor, counts: Counts = ALL) -> Tensor:
    """The style picture with the content's histogram in each of R, G and B; `counts` as for `match_colors`."""
    if any(own is not None for own in counts):
        return _match_weighted(style, content, counts)
    from skimage.exposure import match_histograms  # half a second that only this mode needs

    matched = match_histograms(_channels_last(style), _channels_last(content), channel_axis=-1)
    return torch.from_numpy(matched).permute(2, 0, 1).to(style).contiguous()


def gaussian(picture: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean C×1 and covariance C×C of a picture's colours, in float64; its pixels count by their weights, 1×H×W."""
    points = picture.flatten(1).double()
    if weights is None:
        return points.mean(1, keepdim=True), torch.cov(points, correction=0).view(len(points), len(points))
    share = weights.flatten().to(points)
    share = share / share.sum()
    mean = (points * share).sum(1, keepdim=True)
    away = points - mean
    return mean, (away * share) @ away.T


def spread(picture: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of all values of a picture C×H×W; its pixels count by their weights, 1×H×W."""
    if weights is None:
        return picture.mean(), picture.std(correction=0)
    share = (weights / weights.sum()).to(picture).expand_as(picture) / len(picture)
    mean = (picture * share).sum()
    return mean, ((picture - mean).square() * share).sum().sqrt()


def prepare(
    mode: str, content: Tensor, styles: list[Tensor], counts: Sequence[Counts] = ()
) -> tuple[Tensor, list[Tensor]]:
    """What the transfer works on for `Recipe.color`; luminance gives pictures of one channel, 1×H×W.

    `counts`: for each style how far its own pixels and the content's count, None for all alike.
    """
    several = list(zip(styles, counts or [ALL] * len(styles), strict=True))
    if mode == "luminance":
        base = luminance(content)
        return base, [match_luminance(luminance(style), base, own) for style, own in several]
    recolor: dict[str, Recoloring] = {"match": match_colors, "histogram": match_histogram}
    if mode in recolor:
        return content, [recolor[mode](style, content, own) for style, own in several]
    return content, styles


def restore(mode: str, result: Tensor, content: Tensor) -> Tensor:
    """The finished picture, RGB 0…1, from what the transfer made; clipped once.

    `luminance` and `swap` put the content's U and V behind the result's Y, paler where RGB cannot hold both: clipping
    would change the Y that was optimised, and with it the loss of the picture that is saved.
    """
    if mode in ("luminance", "swap"):
        Y = (result if result.shape[0] == 1 else luminance(result)).clamp(0, 1)
        chroma = from_yuv(torch.cat([torch.zeros_like(Y), to_yuv(content)[1:]]))
        room = torch.where(chroma > 0, 1 - Y, Y) / chroma.abs().clamp_min(1e-6)
        result = Y + chroma * room.amin(dim=0).clamp(0, 1)
    return result.clamp(0, 1) if len(result) == 3 else result.clamp(0, 1).repeat(3, 1, 1)


def _match_weighted(style: Tensor, content: Tensor, counts: Counts) -> Tensor:
    """`match_histogram` where pixels count by their weights: each value takes the one of its rank."""
    found = []
    own, other = (
        np.ones(picture[0].numel()) if weights is None else weights.flatten().double().cpu().numpy()
        for picture, weights in zip((style, content), counts, strict=True)
    )
    for ours, theirs in zip(style.flatten(1).cpu().numpy(), content.flatten(1).cpu().numpy(), strict=True):
        _, places = np.unique(ours, return_inverse=True)
        rank = np.cumsum(np.bincount(places, own)) / own.sum()
        wanted, which = np.unique(theirs[other > 0], return_inverse=True)
        ranks = np.cumsum(np.bincount(which, other[other > 0])) / other.sum()
        found.append(np.interp(rank, ranks, wanted)[places])
    return torch.from_numpy(np.stack(found)).to(style).view_as(style)


def _channels_last(picture: Tensor) -> object:
    return picture.permute(1, 2, 0).cpu().numpy()


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """A symmetric positive matrix to a power."""
    values, vectors = torch.linalg.eigh(matrix)
    result: Tensor = vectors @ torch.diag(values.clamp_min(1e-12) ** exponent) @ vectors.T
    return result
