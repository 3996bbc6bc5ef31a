"""Where a transfer begins, and what is said of pictures that it begins badly with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import plain
from impasto.errors import OptionError
from impasto.paint import scene
from impasto.paint.run import stylize
from impasto.pictures import color
from impasto.recipe import Recipe

CONTENT, STYLE, OTHER = plain.picture(96, 128), plain.picture(80, 100, 1), plain.picture(90, 70, 2)
GREY = STYLE.mean(0, keepdim=True).expand(3, -1, -1)


def prepared(content: Any = CONTENT, styles: Any = STYLE, files: Any = None, **options: Any) -> scene.Scene:
    return scene.prepare(content, styles, Recipe(**{"size": 128, **options}), files)


def steps(picture: Tensor) -> float:
    """Mean difference of neighbouring pixels' chroma."""
    return color.to_yuv(picture)[1:].diff(dim=2).abs().mean().item()


def test_noise_has_the_mean_and_covariance_of_the_painting() -> None:
    muted = 0.4 + 0.2 * STYLE  # so that nothing is clipped
    start = prepared(styles=muted, init="noise", levels=1).start
    (mean, C), (wanted, D) = color.gaussian(start), color.gaussian(prepared(styles=muted).styles[0])
    assert torch.allclose(mean, wanted, atol=5e-3)
    assert torch.allclose(C, D, atol=0.1 * D.diagonal().max().item())


def test_noise_of_several_paintings_is_each_in_its_part() -> None:
    left = np.zeros((96, 128), dtype=np.float32)
    left[:, :64] = 1
    red, blue = torch.full((3, 80, 100), 0.2), torch.full((3, 80, 100), 0.2)
    red[0] += 0.5 * STYLE[0]
    blue[2] += 0.5 * STYLE[2]
    start = prepared(styles=[red, blue], init="noise", mask=("left", "rest"), files={"left": left}).start
    assert start[0, :, :60].mean() > start[2, :, :60].mean() + 0.1
    assert start[2, :, 68:].mean() > start[0, :, 68:].mean() + 0.1
    both = prepared(styles=[red, blue], init="noise", blend=(1, 3)).start.mean((1, 2))
    apart = [prepared(styles=one, init="noise").start.mean((1, 2)) for one in (red, blue)]
    assert torch.allclose(both, 0.25 * apart[0] + 0.75 * apart[1], atol=5e-3)


def test_noise_of_a_grey_painting_is_grey_and_noise_is_smooth() -> None:
    grey = prepared(styles=GREY, init="noise").start
    assert (grey - grey[:1]).abs().max() < 1e-5
    everything = prepared(content=CONTENT.mean(0, keepdim=True).expand(3, -1, -1), styles=GREY, init="noise")
    assert everything.start.shape == (1, 96, 128)
    finished = everything.finished(everything.start)
    assert torch.equal(finished, everything.start.expand(3, -1, -1))
    assert prepared(color="luminance", init="noise").start.shape == (1, 96, 128)
    noise = prepared(styles=0.4 + 0.2 * STYLE, init="noise", levels=1).start
    shuffled = noise.flatten(1)[:, torch.randperm(noise[0].numel())].view_as(noise)
    # after a Gaussian of 1.5 px neighbours are correlated by exp(−1/(4·1.5²)); steps are √(1 − that) of what they were
    assert steps(noise) / steps(shuffled) == pytest.approx((1 - math.exp(-1 / 9)) ** 0.5, rel=0.1)


def test_the_seed_is_the_noise() -> None:
    one, again, other = (prepared(init="noise", seed=seed).start for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 3), (2, 9)])
def test_noise_of_the_smallest_pictures(size: tuple[int, int]) -> None:
    start = prepared(torch.rand(3, *size), torch.rand(3, *size), init="noise").start
    assert torch.isfinite(start).all()


def test_a_start_of_another_shape_is_cropped_and_not_squashed() -> None:
    """A disc stays a disc, and a notice says what is lost."""
    y, x = torch.arange(180)[:, None] - 90, torch.arange(60)[None] - 30
    disc = ((y.square() + x.square()) < 400).float().expand(3, -1, -1)
    made = prepared(init="disc", files={"disc": disc})
    tall, wide = (int((made.start[0] > 0.5).any(dim).sum()) for dim in (1, 0))
    assert abs(tall - wide) <= 2
    assert "init array: has another shape than the content and is not squashed" in " ".join(made.notices)
    assert "top and bottom are cut off, 75 % in all" in " ".join(made.notices)
    same = prepared(init="same", files={"same": plain.picture(48, 64)})
    assert not same.notices


def test_where_a_start_is_hidden_the_content_is() -> None:
    rgba = np.ones((96, 128, 4), dtype=np.float32)
    rgba[:, 64:, 3] = 0
    start = prepared(init="half", files={"half": rgba}).start
    assert torch.equal(start[:, :, 64:], CONTENT[:, :, 64:])
    assert start[:, :, :64].min() == 1


@pytest.mark.parametrize("loss", ["gram", "neighbours", "moments", "patches"])
def test_a_photo_of_one_colour_begins_from_noise(loss: str, thin_path: str) -> None:
    """So that its places differ; it is painted with contrast, and a notice says so."""
    one = torch.full((3, 48, 64), 0.5)
    result = stylize(one, STYLE, size=64, iterations=20, levels=2, net=thin_path, style_loss=loss, precision="float32")
    assert any("has one colour, with nothing in it to keep" in notice for notice in result.notices)
    assert "content" not in result.losses
    assert result.image.std(dim=(1, 2)).max() > 0.05
    fitted = prepared(one, color="luminance")
    assert any("--color luminance gives the paintings its contrast" in notice for notice in fitted.notices)


def test_a_scale_for_each_painting_or_one_for_all() -> None:
    sizes = [s.shape[1:] for s in prepared(styles=[STYLE, OTHER], style_scale=(0.5, 1)).styles]
    assert sizes == [(51, 64), (128, 100)]
    sizes = [s.shape[1:] for s in prepared(styles=[STYLE, OTHER], style_scale=0.5).styles]
    assert sizes == [(51, 64), (64, 50)]
    with pytest.raises(OptionError, match="style_scale: 3 numbers for 2 style pictures; give one for all, or one each"):
        prepared(styles=[STYLE, OTHER], style_scale=(1, 1, 1))


def test_an_old_recipe_with_one_scale_is_read() -> None:
    assert Recipe.from_text("style_scale = 0.5").style_scale == (0.5,)
    assert Recipe.from_text('{"style_scale": 2}').style_scale == (2.0,)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"init": "random"}, "init 'random': neither a file nor one of content, style, noise"),
        ({"mask": "ret"}, "mask 'ret': neither a file nor rest"),
        ({"style_mask": "all"}, "style mask 'all': neither a file nor none"),
    ],
)
def test_a_word_that_is_none_names_those_there_are(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        prepared(**options)


def test_small_pictures_are_noted_once_each() -> None:
    notices = prepared(plain.picture(17, 23), plain.picture(13, 17, 1)).notices
    assert [notice.partition(":")[0] for notice in notices] == ["content array", "style array"]
    assert "17×13 pixels" in notices[1]
    assert not prepared(plain.picture(48, 64), plain.picture(64, 48)).notices  # twice as large


def test_bars_of_a_photo_are_noted_and_stay() -> None:
    boxed = torch.zeros(3, 120, 128)
    boxed[:, 12:108] = 0.2 + 0.6 * CONTENT
    made = prepared(boxed)
    assert made.size == (120, 128)
    assert [notice for notice in made.notices if "plain bars at its edge (top 11 %, bottom 11 %)" in notice]


def test_a_laplacian_coarser_than_the_picture_is_noted() -> None:
    said = "laplacian 40 changes nothing: 128×96 pixels are too few for so coarse a pooling; 32 is the largest"
    assert said in prepared(laplacian="40:1").notices
    assert not prepared(laplacian="32:1").notices
    assert any("none fits" in notice for notice in prepared(plain.picture(2, 128), laplacian="1:1").notices)
