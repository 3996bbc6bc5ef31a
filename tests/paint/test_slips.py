"""The eleven slips of the report's published program, each with a test that fails if it comes back here.

Its figures were made with them; docs/how-it-works.md tells what they did. The tests that need whole transfers use a
thin seeded network.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, JpegImagePlugin
from torch import Tensor

import plain
from impasto import errors, losses
from impasto.errors import ImageReadError
from impasto.network.encoder import Encoder
from impasto.paint import transfer
from impasto.paint.objective import Objective, compared
from impasto.paint.run import stylize
from impasto.paint.transfer import Transfer
from impasto.pictures import color
from impasto.pictures.encode import to_array, write
from impasto.pictures.read import read
from impasto.pictures.resize import resize
from impasto.recipe import Recipe

CONTENT, STYLE, OTHER = plain.picture(32, 40), plain.picture(36, 36, 1), plain.picture(30, 44, 2)
X = plain.picture(32, 40, 9)


def recipe(**options: Any) -> Recipe:
    fixed = {
        "style_loss": "gram",
        "device": "cpu",
        "precision": "float32",
        "size": 40,
        "levels": 1,
        "border": 16,
        "iterations": (4,),
        "style_trim": False,
    }
    return Recipe(**{**fixed, **options})


def objective(content: Tensor, styles: list[Tensor], blend: tuple[float, ...] = (1.0,), **options: Any) -> Objective:
    made = recipe(**options)
    encoder = Encoder(plain.weights(), border=made.border)
    return compared(made, encoder, content, styles, blend=blend)


def test_1_total_variation_is_of_the_result(thin_path: str) -> None:
    """Taken of a constant image of zeros, the term never did anything."""
    found = objective(CONTENT, [STYLE], tv_weight=1, units="paper")(X)
    assert found.terms["tv"] == pytest.approx(255 * losses.total_variation(X.double()).item(), rel=1e-5)
    assert objective(CONTENT, [STYLE], tv_weight=1)(torch.full_like(X, 0.5)).terms["tv"] == 0
    without, with_tv = (
        losses.total_variation(stylize(X, STYLE, recipe(net=thin_path, tv_weight=weight, iterations=12)).image).item()
        for weight in (0, 1e3)
    )
    assert with_tv < 0.5 * without


def test_2_blending_weighs_every_layer_alike() -> None:
    """Done inside the loop over layers, it scaled layer k of K by ratio^(K − k)."""
    names = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
    for name in names:  # each layer alone, then together: with the slip only the last would agree
        alone = {"style_layer": tuple(f"{other}:{int(other == name)}" for other in names)}
        options = {"content_weight": 0, "style_weight": 1, "units": "paper", **alone}
        both = objective(CONTENT, [STYLE, OTHER], (0.2, 0.8), **options)(X).value
        one, two = (objective(CONTENT, [style], **options)(X).value for style in (STYLE, OTHER))
        assert both == pytest.approx(0.2 * one + 0.8 * two, rel=1e-4), name


def test_3_laplacian_weight_counts_and_the_border_is_left_out() -> None:
    """50 was fixed in the program, and zeros around the picture tied its border to the content's absolute values."""
    options = {"content_weight": 0, "style_weight": 1e-9, "units": "paper"}
    ten, twenty = (objective(CONTENT, [STYLE], laplacian=f"1:{gamma}", **options)(X) for gamma in (10, 20))
    assert twenty.value == pytest.approx(2 * ten.value, rel=1e-4)
    assert torch.allclose(twenty.gradient, 2 * ten.gradient, rtol=1e-3, atol=1e-3)
    assert losses.laplacian(torch.ones(3, 8, 8)).abs().max() == 0  # with zero padding −1 or −2 along the border
    brighter = losses.laplacian_loss(CONTENT.double() + 0.5, CONTENT.double(), pool=2).item()
    assert brighter == pytest.approx(0, abs=1e-20)
    assert losses.laplacian_loss(X, CONTENT, pool=16).item() == 0  # pooled to 2×2: nothing fits, and no NaN


def test_4_content_loss_is_half_the_sum_unless_report_code_is_asked_for() -> None:
    """1/(2 √(N M)) stood for ½, so that a published α/β means another one in eq. 1."""
    options = {"content_weight": 1, "style_weight": 0, "content_layer": "conv2_1"}
    paper, code = (objective(CONTENT, [STYLE], units=units, **options)(X).value for units in ("paper", "report-code"))
    F, P = (Encoder(plain.weights())(p, ["conv2_1"])["conv2_1"] for p in (X, CONTENT))
    assert paper == pytest.approx(0.5 * (F - P).square().sum().item(), rel=1e-4)
    # conv2_1 has 8 filters in the thin network, and 16×20 positions
    assert code == pytest.approx(paper / math.sqrt(8 * 16 * 20), rel=1e-5)


@pytest.mark.parametrize("layer", ["conv2_1", "relu3_1"])
def test_5_a_layer_for_content_and_style_keeps_both_terms(layer: str) -> None:
    options = {"content_layer": layer, "units": "paper"}
    both = objective(CONTENT, [STYLE], style_layer=("relu1_1:0.5", f"{layer}:0.5"), **options)(X).terms
    apart = objective(CONTENT, [STYLE], style_layer=("relu1_1:0.5",), **options)(X).terms
    F, A = (Encoder(plain.weights())(p, [layer])[layer] for p in (X, STYLE))
    assert both["style"] == pytest.approx(apart["style"] + 0.5 * losses.style_loss(F, A).item(), rel=1e-4)
    assert both["style"] > 1.001 * apart["style"]
    assert both["content"] == apart["content"] > 0


def test_6_eq_7_uses_standard_deviations() -> None:
    # σ_S = 0.5, σ_C = 0.1: the ratio is 0.2; of variances it would be 0.04
    found = color.match_luminance(torch.tensor([0.0, 1.0]), torch.tensor([0.4, 0.6]))
    assert found.tolist() == pytest.approx([0.4, 0.6])


def test_6_eq_7_is_applied_to_the_style_before_the_transfer(thin_path: str) -> None:
    dark, bright = 0.2 * CONTENT, 0.6 + 0.4 * STYLE
    work = Transfer(dark, bright, recipe(net=thin_path, color="luminance"))
    [painting] = work.scene.styles
    Y = color.luminance(resize(dark, work.scene.size))
    assert painting.mean().item() == pytest.approx(Y.mean().item(), abs=1e-5)
    assert torch.equal(work.scene.content, Y)  # the result starts from it and is not matched again:
    assert torch.allclose(work.result().image, resize(dark, work.scene.size), atol=1e-5)


def test_6_the_mean_pixel_is_not_added_twice_and_highlights_stay(thin_path: str) -> None:
    white_block = CONTENT.clone()
    white_block[:, 4:12, 4:12] = 1
    for mode in ("style", "luminance", "swap"):
        image = Transfer(white_block, STYLE, recipe(net=thin_path, color=mode)).result().image
        assert torch.allclose(image, white_block, atol=1e-5)


def test_6_conversion_to_8_bits_clips(tmp_path: Path) -> None:
    """Without clipping 256 wraps to 0: black specks in white."""
    wild = torch.tensor([-0.1, 0.0, 1.0, 1.004, 2.0, 300.0]).expand(3, 1, 6)
    back = np.asarray(Image.open(write(tmp_path / "out.png", wild)))
    assert back[0, :, 0].tolist() == [0, 0, 255, 255, 255, 255]
    loud, grey = torch.ones(1, 4, 4) * 1.3, torch.full((3, 4, 4), 0.5)
    assert torch.allclose(color.restore("luminance", loud, grey), torch.ones(3, 4, 4))


def test_7_a_style_is_not_squashed(thin_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    class Watched(Encoder):
        def check(self, layers: Any, picture: Tensor) -> frozenset[str]:
            shapes.append(tuple(picture.shape[1:]))
            return super().check(layers, picture)

    monkeypatch.setattr(transfer, "Encoder", Watched)
    stylize(CONTENT, plain.picture(30, 60, 3), recipe(net=thin_path, iterations=1))
    assert shapes == [(32, 40), (20, 40), (32, 40)]  # content, the style at 2:1, one evaluation


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_8_pixels_stay_inside_so_that_clipping_changes_nothing(
    optimizer: str, thin_path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, extremes = Objective.__call__, []

    def watched(self: Objective, picture: Tensor) -> Any:
        extremes.append((picture.min().item(), picture.max().item()))
        return evaluate(self, picture)

    monkeypatch.setattr(Objective, "__call__", watched)
    made = recipe(net=thin_path, style_weight=1000, optimizer=optimizer, iterations=25, learning_rate=0.05)
    work = Transfer(CONTENT, STYLE, made)
    for _ in work.steps():
        pass
    assert min(low for low, _ in extremes) == 0  # it presses against both bounds, and stays
    assert max(high for _, high in extremes) == 1
    saved = read(work.result().save(tmp_path / "out.png")).rgb
    assert evaluate(work.objective(0), saved).value == pytest.approx(work.result().losses["total"], rel=0.02)


def test_9_jpeg_has_quality_95_and_whole_colours(tmp_path: Path) -> None:
    path = write(tmp_path / "out.jpg", CONTENT)
    with Image.open(path) as picture:
        assert isinstance(picture, JpegImagePlugin.JpegImageFile)
        assert JpegImagePlugin.get_sampling(picture) == 0  # 4:4:4
        # The standard's luminance table begins 16, 11, 10; quality 95 has a tenth of it: 2, 1, 1. Quality 75: 8, 6, 5.
        assert picture.quantization[0][:3] == [2, 1, 1]
    assert (read(path).rgb - CONTENT).abs().mean() < 5 / 255


def test_10_the_word_false_is_false() -> None:
    assert Recipe(laplacian_exact="False").laplacian_exact is False
    assert Recipe(laplacian_exact="true").laplacian_exact is True


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "1", "P"])
def test_10_grey_and_transparent_pictures_are_pictures(mode: str, thin_path: str) -> None:
    odd = Image.fromarray(to_array(CONTENT)).convert(mode)
    result = stylize(odd, odd.convert("RGBA"), recipe(net=thin_path, iterations=1))
    assert result.image.shape == (3, 32, 40)


@pytest.mark.parametrize(("suffix", "form"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("tif", "TIFF")])
def test_10_the_suffix_is_the_form(suffix: str, form: str, tmp_path: Path) -> None:
    with Image.open(write(tmp_path / f"out.{suffix}", CONTENT)) as picture:
        assert picture.format == form


def test_10_no_error_exits_with_0() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) >= 8
    assert all(kind.exit_status > 0 for kind in kinds)
    with pytest.raises(ImageReadError):
        stylize("none.jpg", STYLE)


def test_11_a_laplacian_weight_means_the_same_for_every_picture() -> None:
    """As a sum on 0…255 the term grew with size and contrast, and a γ between 0.1 and 1 already saturated it."""
    options = {"laplacian": "4:1", "content_weight": 0, "style_weight": 1e-9}

    def lost(content: Tensor, **units: str) -> float:
        return objective(content, [STYLE], **options, **units)(torch.full_like(content, 0.5)).terms["laplacian 4"]

    faint, large = 0.5 + 0.4 * (CONTENT - 0.5), plain.picture(128, 160)
    for content in (CONTENT, faint, large, large.tile(1, 2, 1)):
        assert lost(content) == pytest.approx(1, rel=1e-5)  # all edges lost is a loss of 1
    assert lost(CONTENT, units="paper") > 1e5
    assert lost(faint, units="paper") == pytest.approx(0.16 * lost(CONTENT, units="paper"), rel=1e-4)
