"""Colour: eq. 7, the two recolourings, and what is put back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import plain
from impasto.pictures import color


def pair() -> tuple[Tensor, Tensor]:
    style, content = plain.picture(17, 29, 1), plain.picture(20, 30, 2)
    return 0.2 + 0.5 * style, 0.35 + 0.3 * content  # so that no clipping disturbs the statistics


def test_luminance_match_by_hand() -> None:
    # style 0, 0, 1, 1: μ ½, σ ½. content ¼, ¾: μ ½, σ ¼. Ratio ½: ½ ∓ ¼
    found = color.match_luminance(torch.tensor([0.0, 0, 1, 1]), torch.tensor([0.25, 0.75]))
    assert found.tolist() == pytest.approx([0.25, 0.25, 0.75, 0.75])


def test_luminance_match_is_not_clipped() -> None:
    # style 0, 0, 0, 1: μ ¼, σ √3/4. content 0, 1: μ ½, σ ½. Ratio 2/√3: ½ − ½/√3, ½ + 3/2/√3
    found = color.match_luminance(torch.tensor([0.0, 0, 0, 1]), torch.tensor([0.0, 1]))
    assert found.tolist() == pytest.approx([0.2113249] * 3 + [1.3660254])


def test_luminance_match_reproduces_mean_and_deviation() -> None:
    style, content = (color.luminance(p.double()) for p in pair())
    found = color.match_luminance(style, content)
    assert found.shape == style.shape
    assert found.mean().item() == pytest.approx(content.mean().item(), rel=1e-9)
    assert found.std(correction=0).item() == pytest.approx(content.std(correction=0).item(), rel=1e-9)


@pytest.mark.parametrize("flat", [0.0, 0.4, 1.0])
def test_a_style_of_one_grey_becomes_the_content_s_mean(flat: float) -> None:
    found = color.match_luminance(torch.full((1, 3, 3), flat), torch.tensor([[[0.25, 0.75]]]))
    assert torch.allclose(found, torch.full((1, 3, 3), 0.5))


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [
        ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0)),
        ((0.3, 0.3, 0.3), (0.3, 0.0, 0.0)),
        ((1.0, 0.0, 0.0), (0.299, -0.147108, 0.614777)),  # U = 0.492 (B − Y), V = 0.877 (R − Y)
        ((0.0, 0.0, 1.0), (0.114, 0.435912, -0.099978)),
    ],
)
def test_yuv_by_hand(rgb: tuple[float, ...], yuv: tuple[float, ...]) -> None:
    pixel = torch.tensor(rgb).view(3, 1, 1)
    assert color.to_yuv(pixel).flatten().tolist() == pytest.approx(yuv, abs=1e-6)
    assert color.luminance(pixel).item() == pytest.approx(yuv[0])


def test_yuv_there_and_back() -> None:
    picture = plain.picture(20, 30)
    assert torch.allclose(color.from_yuv(color.to_yuv(picture)), picture, atol=1e-6)


def test_colour_match_reproduces_mean_and_covariance() -> None:
    style, content = pair()
    found = color.match_colors(style, content)
    s, c = found.flatten(1).double(), content.flatten(1).double()
    assert found.shape == style.shape
    assert torch.allclose(s.mean(1), c.mean(1), atol=1e-5)
    assert torch.allclose(torch.cov(s), torch.cov(c), atol=1e-4)


def test_colour_match_by_hand() -> None:
    # Red alone varies: style 0.2, 0.4 (σ 0.1), content 0.5, 0.9 (σ 0.2); green and blue are moved to the content's.
    style, content = torch.full((3, 1, 2), 0.1), torch.full((3, 1, 2), 0.6)
    style[0, 0], content[0, 0] = torch.tensor([0.2, 0.4]), torch.tensor([0.5, 0.9])
    found = color.match_colors(style, content)
    assert found[0, 0].tolist() == pytest.approx([0.5, 0.9], abs=1e-3)
    assert torch.allclose(found[1:], torch.full((2, 1, 2), 0.6), atol=1e-5)


def test_colour_match_leaves_equal_pictures_alone() -> None:
    style, _ = pair()
    assert torch.allclose(color.match_colors(style, style), style, atol=1e-5)


GREY = plain.picture(6, 7)[:1].expand(3, 6, 7)


@pytest.mark.parametrize("match", [color.match_colors, color.match_histogram])
@pytest.mark.parametrize("style", [torch.zeros(3, 4, 5), torch.ones(3, 1, 1), GREY])
@pytest.mark.parametrize("content", [torch.zeros(3, 5, 4), torch.ones(3, 1, 1), GREY])
def test_grey_and_flat_pictures_stay_finite_and_in_range(match: object, style: Tensor, content: Tensor) -> None:
    found = match(style, content)  # type: ignore[operator]
    assert found.shape == style.shape
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()
    assert found.min() >= content.min() - 0.02  # the ridge on the covariance leaves a trace
    assert found.max() <= content.max() + 0.02


def test_histogram_match_reproduces_the_histogram() -> None:
    # as many pixels in both: the style's ranks take the content's values, channel by channel
    generator = torch.Generator().manual_seed(0)
    style, content = torch.rand(3, 6, 8, generator=generator), torch.rand(3, 8, 6, generator=generator)
    found = color.match_histogram(style, content)
    assert torch.allclose(found.flatten(1).sort().values, content.flatten(1).sort().values, atol=1e-6)
    assert torch.equal(found.flatten(1).argsort(), style.flatten(1).argsort())


def test_prepare_for_each_mode() -> None:
    style, content = pair()
    for mode in ("style", "swap"):
        base, [painting] = color.prepare(mode, content, [style])
        assert torch.equal(base, content)
        assert torch.equal(painting, style)
    base, [painting] = color.prepare("match", content, [style])
    assert torch.equal(base, content)
    assert torch.equal(painting, color.match_colors(style, content))
    base, [painting] = color.prepare("histogram", content, [style])
    assert torch.equal(base, content)
    assert torch.equal(painting, color.match_histogram(style, content))
    base, [painting] = color.prepare("luminance", content, [style])
    assert base.shape == (1, 20, 30)
    assert torch.equal(base, color.luminance(content))
    assert torch.equal(painting, color.match_luminance(color.luminance(style), base))


@pytest.mark.parametrize("mode", ["luminance", "swap"])
def test_restore_keeps_the_content_s_chroma(mode: str) -> None:
    _, content = pair()
    result = plain.picture(20, 30, 7) * 0.2 + 0.4
    found = color.restore(mode, result[:1] if mode == "luminance" else result, content)
    expected = result[:1] if mode == "luminance" else color.luminance(result)
    assert torch.allclose(color.luminance(found), expected, atol=1e-5)
    assert torch.allclose(color.to_yuv(found)[1:], color.to_yuv(content)[1:], atol=1e-5)


@pytest.mark.parametrize("mode", ["style", "match", "histogram"])
def test_restore_leaves_other_modes_alone_but_for_the_range(mode: str) -> None:
    result = torch.tensor([-0.5, 0.25, 1.5]).view(3, 1, 1)
    assert color.restore(mode, result, torch.zeros(3, 1, 1)).flatten().tolist() == [0, 0.25, 1]


def test_restore_of_the_content_itself_is_the_content() -> None:
    content = plain.picture(9, 9)
    assert torch.allclose(color.restore("luminance", color.luminance(content), content), content, atol=1e-6)


SEEN = torch.zeros(1, 17, 29)
SEEN[:, :9, :20] = 1
THERE = torch.zeros(1, 20, 30)
THERE[:, 5:, 10:] = 1


def of_the_visible(picture: Tensor, weights: Tensor) -> Tensor:
    return picture[:, weights[0] > 0][:, None]


@pytest.mark.parametrize("match", [color.match_colors, color.match_histogram, color.match_luminance])
def test_hidden_pixels_count_in_no_recolouring(match: object) -> None:
    """Weights of 0 and 1 give what the visible pixels alone give, whatever the others are."""
    style, content = pair()
    if match is color.match_luminance:
        style, content = color.luminance(style), color.luminance(content)
    alone = match(of_the_visible(style, SEEN), of_the_visible(content, THERE))  # type: ignore[operator]
    spoiled = torch.where(SEEN > 0, style, 1 - style), torch.where(THERE > 0, content, torch.ones(1))
    found = match(*spoiled, (SEEN, THERE))  # type: ignore[operator]
    assert torch.allclose(of_the_visible(found, SEEN), alone, atol=2e-4)


@pytest.mark.parametrize("match", [color.match_colors, color.match_histogram, color.match_luminance])
def test_soft_pixels_count_softly(match: object) -> None:
    """A pixel of weight ½ beside one of weight 1 counts as one beside two."""
    style, content = pair()
    if match is color.match_luminance:
        style, content = color.luminance(style), color.luminance(content)
    half = torch.ones(1, 20, 30)
    half[:, :10] = 0.5
    twice = torch.cat([content, content[:, 10:]], 1)
    found = match(style, content, (None, half))  # type: ignore[operator]
    assert torch.allclose(found, match(style, twice), atol=2e-4)  # type: ignore[operator]


def test_gaussian_of_weighted_colours() -> None:
    mean, covariance = color.gaussian(torch.tensor([[[0.0, 1.0, 9.0]]]), torch.tensor([[[1.0, 3.0, 0.0]]]))
    assert mean.item() == pytest.approx(0.75)
    assert covariance.item() == pytest.approx(0.1875)  # ¼·0.75² + ¾·0.25²
