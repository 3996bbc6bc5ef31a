"""What is hidden, by alpha, counts in no loss and no statistic; what is soft counts softly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import plain
from impasto.network.encoder import Encoder
from impasto.network.regions import ALL, Regions
from impasto.network.tiles import WHOLE, Plan
from impasto.paint import scene
from impasto.paint.objective import Objective, compared
from impasto.paint.run import stylize
from impasto.pictures import color
from impasto.recipe import Recipe

CONTENT, STYLE, X = plain.picture(48, 64), plain.picture(44, 60, 1), plain.picture(48, 64, 3)
QUICK: dict[str, Any] = {"size": 64, "levels": 2, "iterations": 5, "precision": "float32"}
LOSSES = ["gram", "moments", "neighbours", "patches"]
EVERY = {"palette_weight": 0.3, "tv_weight": 0.1, "laplacian": ("1:0.1", "2:0.1"), "content_weight": 1.0}
SEEN = torch.zeros(1, 48, 64)
SEEN[:, 8:40, 16:48] = 1
SOFT = SEEN * torch.linspace(0.2, 1, 64)


def cut_out(picture: Tensor, alpha: Tensor) -> np.ndarray:
    return torch.cat([picture, alpha]).permute(1, 2, 0).numpy()


def objective(visible: Regions, plan: Plan = WHOLE, content: Tensor = CONTENT, **options: Any) -> Objective:
    """One painting, and what of the photo is visible, in double precision."""
    layers = {
        "style_layer": ("relu1_1", "relu2_1"),
        "content_layer": ("relu2_2",),
        "match_layer": ("relu1_1", "relu2_1"),
    }
    recipe = Recipe(**{**layers, "patch_layer": "relu2_1", "match_every": 1000, **options})
    encoder = Encoder(plain.weights(), border=16, dtype=torch.float64)
    masks = Regions({0: visible.masks[0].double()}) if visible else ALL
    return compared(recipe, encoder, content.double(), [STYLE.double()], plan=plan, regions=masks, visible=masks)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_is_the_slope_of_the_value(loss: str) -> None:
    function = objective(Regions({0: SOFT}), style_loss=loss, **EVERY)
    x, step = X.double(), 1e-5 * plain.picture(48, 64, 8).double()
    here = function(x)
    ahead, behind = function(x + step), function(x - step)
    assert (ahead.value - behind.value) / 2 == pytest.approx((here.gradient * step).sum().item(), rel=1e-3)


@pytest.mark.parametrize("loss", LOSSES)
def test_strips_change_nothing(loss: str) -> None:
    whole, strips = (
        objective(Regions({0: SOFT}), plan, style_loss=loss, **EVERY)(X.double())
        for plan in (WHOLE, Plan(16, frozenset({2})))
    )
    assert strips.terms == pytest.approx(whole.terms, rel=1e-6)
    assert (strips.gradient - whole.gradient).norm() <= 1e-5 * whole.gradient.norm()


@pytest.mark.parametrize("units", ["relative", "paper", "report-code"])
@pytest.mark.parametrize("loss", LOSSES)
def test_where_all_is_visible_it_is_what_it_was(loss: str, units: str) -> None:
    options = {"style_loss": loss, "units": units, **EVERY}
    one, other = (objective(seen, **options)(X.double()) for seen in (ALL, Regions({0: torch.ones(1, 48, 64)})))
    assert one.terms == pytest.approx(other.terms, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_lies_far_in_the_hidden_part_changes_no_term(loss: str) -> None:
    """Beyond what a layer's positions at the edge can see; the last block looked at is the second."""
    options = {"style_loss": loss, **EVERY}
    near = torch.nn.functional.max_pool2d(SEEN, 25, 1, 12)  # what visible positions of relu2_2 look at, and more
    other_x = torch.where(near > 0, X, 1 - X)
    other_content = torch.where(near > 0, CONTENT, 1 - CONTENT)
    function = objective(Regions({0: SEEN}), **options)
    assert function(other_x.double()).terms == pytest.approx(function(X.double()).terms, rel=1e-9)
    changed = objective(Regions({0: SEEN}), content=other_content, **options)
    assert changed(X.double()).terms == pytest.approx(function(X.double()).terms, rel=1e-9)
    assert (function(X.double()).gradient * (1 - near)).abs().max() < 1e-12


def test_half_visible_all_over_is_as_wholly_visible() -> None:
    """In relative units, where each term is divided by what it compares against."""
    half = objective(Regions({0: torch.full((1, 48, 64), 0.5)}), style_loss="gram", **EVERY)(X.double())
    assert half.terms == pytest.approx(objective(ALL, style_loss="gram", **EVERY)(X.double()).terms, rel=1e-5)


def test_a_cut_out_is_painted_as_strongly_as_a_whole_photo() -> None:
    """The style counts fully where a quarter is visible, as the content does, and with masks in their parts."""
    from impasto.losses.terms import Seen

    def shares(regions: Regions, region: tuple[int, ...], visible: Regions) -> list[float]:
        blend = (1 / len(region),) * len(region)
        nothing: Any = ({},) * len(region)
        seen = Seen(
            Recipe(), CONTENT, (), {}, nothing, {}, blend, 1.0, regions, region, (ALL,) * len(region), visible=visible
        )
        return [share for _, _, share in seen.shares("relu1_1")]

    own = Regions({0: SEEN})
    assert shares(own, (0,), own) == [1.0]
    left = SEEN * (torch.arange(64) < 24)
    assert shares(Regions({1: left, 2: SEEN - left}), (1, 2), own) == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("mode", ["luminance", "match", "histogram"])
def test_colours_are_those_of_what_is_visible(mode: str) -> None:
    """Photo and painting each cut out: the painting becomes as it would if only these parts had ever been there."""
    part = torch.zeros(1, 44, 60)
    part[:, 4:40, 10:50] = 1
    recipe = Recipe(size=64, color=mode, style_scale=40 / 64, style_trim=False)
    hidden = scene.prepare(cut_out(CONTENT, SEEN), cut_out(STYLE, part), recipe)
    there, own = CONTENT[:, 8:40, 16:48], STYLE[:, 4:40, 10:50]
    _, [expected] = color.prepare(mode, there, [own])
    assert hidden.styles[0].shape == expected.shape
    assert torch.allclose(hidden.styles[0], expected, atol=3e-4)


@pytest.mark.parametrize("trim", [True, False])
def test_a_painting_in_a_transparent_surround_is_the_painting(trim: bool, thin_path: str) -> None:
    """To the last bit, whatever the size of the surround and the colours behind it."""
    wide = torch.rand(3, 90, 100)
    wide[:, 20:64, 30:90] = STYLE
    alpha = torch.zeros(1, 90, 100)
    alpha[:, 20:64, 30:90] = 1
    options = {**QUICK, "net": thin_path, "style_trim": trim, "style_loss": "gram,neighbours"}
    assert torch.equal(
        stylize(CONTENT, STYLE, **options).image, stylize(CONTENT, cut_out(wide, alpha), **options).image
    )


def test_a_photo_s_hidden_colours_change_nothing(thin_path: str) -> None:
    other = torch.where(SEEN > 0, CONTENT, torch.rand(3, 48, 64))
    for mode in ("style", "luminance", "match", "histogram"):
        one, two = (stylize(cut_out(p, SEEN), STYLE, **QUICK, net=thin_path, color=mode) for p in (CONTENT, other))
        assert torch.equal(one.image * SEEN, two.image * SEEN)


@pytest.mark.parametrize("color_mode", ["style", "luminance", "match", "histogram", "swap"])
@pytest.mark.parametrize("loss", LOSSES)
def test_nothing_or_one_pixel_visible_is_still_a_picture(loss: str, color_mode: str, thin_path: str) -> None:
    dot = torch.zeros(1, 48, 64)
    dot[:, 20, 30] = 1
    for content, style in ((dot, None), (torch.zeros(1, 48, 64), None), (None, torch.zeros(1, 44, 60))):
        made = stylize(
            CONTENT if content is None else cut_out(CONTENT, content),
            STYLE if style is None else cut_out(STYLE, style),
            **{**QUICK, **EVERY, "iterations": 2, "net": thin_path, "style_loss": loss, "color": color_mode},
        )
        assert torch.isfinite(made.image).all()
        assert all(np.isfinite(value) for value in made.losses.values())


def test_with_masks_each_region_has_its_own_colours() -> None:
    """A bright left half and a dark right one: each painting becomes as bright as the half that it paints."""
    left = np.zeros((48, 64), dtype=np.float32)
    left[:, :32] = 1
    photo = torch.where(torch.from_numpy(left) > 0, 0.7 + 0.2 * CONTENT, 0.1 + 0.2 * CONTENT)
    files = {"left": left}
    for mode in ("luminance", "match", "histogram"):
        made = scene.prepare(photo, [STYLE, STYLE], Recipe(size=64, color=mode, mask=("left", "rest")), files)
        halves = photo[:, :, :32], photo[:, :, 32:]
        for painting, half in zip(made.styles, halves, strict=True):
            expected = color.luminance(half) if mode == "luminance" else half
            assert torch.allclose(painting.mean((1, 2)), expected.mean((1, 2)), atol=2e-3)
        kept = scene.prepare(photo, STYLE, Recipe(size=64, color=mode, keep="left"), files)
        expected = color.luminance(halves[1]) if mode == "luminance" else halves[1]
        assert torch.allclose(kept.styles[0].mean((1, 2)), expected.mean((1, 2)), atol=2e-3)
