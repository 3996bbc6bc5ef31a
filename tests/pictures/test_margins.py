from __future__ import annotations

import io

import pytest
import torch
from PIL import Image

import impasto
from impasto.pictures.margins import margins, trim, worded
from impasto.pictures.read import read


def painting(height: int, width: int) -> torch.Tensor:
    """A busy picture around mid-grey, so that no line of it is plain."""
    return 0.25 + 0.5 * torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


def with_margin(top: int, bottom: int, left: int, right: int) -> torch.Tensor:
    picture = torch.ones(3, 200, 300)
    picture[:, top : 200 - bottom, left : 300 - right] = painting(200 - top - bottom, 300 - left - right)
    return picture


@pytest.mark.parametrize("sides", [(3, 0, 0, 0), (0, 2, 0, 0), (0, 0, 5, 0), (0, 0, 0, 1), (4, 3, 3, 2)])
def test_white_margin_is_found_on_each_side_and_one_line_more_is_cut(sides: tuple[int, int, int, int]) -> None:
    assert margins(with_margin(*sides)) == tuple(side + 1 if side else 0 for side in sides)


def test_black_margin_is_cut_too() -> None:
    picture = painting(100, 100)
    picture[:, :2] = 0.0
    assert trim(picture).shape == (3, 97, 100)


@pytest.mark.parametrize("colour", [(1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.93, 0.9, 0.83)])
@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize(
    "sides",
    [
        (20, 20, 30, 30),
        (80, 80, 120, 120),
        (40, 40, 0, 0),
        (0, 0, 90, 90),
        (60, 12, 30, 90),
        (0, 40, 0, 40),
        (0, 9, 0, 0),
    ],
    ids=["10 %", "40 %", "letterbox", "pillarbox", "unequal", "in a corner", "one side"],
)
def test_margins_of_any_depth_and_colour_are_found(
    sides: tuple[int, int, int, int], noise: float, colour: tuple[float, float, float]
) -> None:
    picture = torch.tensor(colour)[:, None, None].repeat(1, 200, 300)
    top, bottom, left, right = sides
    picture[:, top : 200 - bottom, left : 300 - right] = painting(200 - top - bottom, 300 - left - right)
    grain = noise * torch.randn(3, 200, 300, generator=torch.Generator().manual_seed(1))
    found = margins((picture + grain).clamp(0, 1))
    assert all(side <= have <= side + 2 if side else have == 0 for side, have in zip(sides, found, strict=True))


@pytest.mark.parametrize("colour", [0, 255])
def test_a_margin_that_jpeg_has_blurred_is_cut_to_its_end(colour: int) -> None:
    picture = Image.new("RGB", (300, 203), (colour,) * 3)
    inside = (painting(150, 241) * 255).byte().permute(1, 2, 0).numpy()
    picture.paste(Image.fromarray(inside), (31, 27))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=60)
    found = margins(read(Image.open(stream)).rgb)
    assert all(side <= have <= side + 3 for side, have in zip((27, 26, 31, 28), found, strict=True))


def test_a_margin_inside_another_is_cut_as_well() -> None:
    """White paper around a black bar around the painting; and no more than 45 % of a side in all."""
    picture = with_margin(20, 20, 30, 30)
    black = torch.zeros(3, 220, 320)
    black[:, 10:210, 10:310] = picture
    assert margins(black) == (31, 31, 41, 41)
    assert margins(with_margin(95, 95, 0, 0)) == (0, 0, 0, 0)


def test_margins_in_words() -> None:
    assert worded((8, 0, 3, 0), (100, 200)) == "top 8 %, left 1.5 %"


def bust(ground: float) -> torch.Tensor:
    """Head and shoulders on a plain ground, touching the lower edge."""
    y, x = torch.linspace(0, 1, 200)[:, None], torch.linspace(-1, 1, 160)[None]
    figure = (((y - 0.4) / 0.25).square() + (x / 0.4).square() < 1) | (
        ((y - 1.05) / 0.45).square() + (x / 0.8).square() < 1
    )
    return torch.where(figure, painting(200, 160), torch.tensor(ground))


def oval() -> torch.Tensor:
    """A thing that floats on white."""
    y, x = torch.linspace(-1.2, 1.2, 200)[:, None], torch.linspace(-1.2, 1.2, 260)[None]
    return torch.where(y.square() + x.square() < 1, painting(200, 260), torch.tensor(1.0))


def grid() -> torch.Tensor:
    """White fields between black bars."""
    picture = torch.full((3, 200, 260), 0.95)
    for at in (40, 120, 170):
        picture[:, at : at + 8] = 0.05
        picture[:, :, at + 20 : at + 28] = 0.05
    return picture


def nested() -> torch.Tensor:
    """A plain square in a plain square."""
    picture = torch.full((3, 200, 200), 0.9)
    picture[:, 50:150, 50:150] = 0.1
    return picture


def stars() -> torch.Tensor:
    """A plain night over a row of roofs."""
    picture = torch.full((3, 200, 300), 0.05)
    for house in range(6):
        picture[:, 100 + 11 * (house % 3) :, 50 * house : 50 * house + 50] = painting(100 - 11 * (house % 3), 50)
    picture[:, 30, 40] = 1
    return picture


@pytest.mark.parametrize(
    "picture",
    [bust(1.0), bust(0.0), oval(), grid(), nested(), stars()],
    ids=["white", "black", "oval", "grid", "squares", "night"],
)
def test_a_subject_on_a_plain_ground_stays_whole(picture: torch.Tensor) -> None:
    assert margins(picture) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "picture",
    [
        painting(100, 100),
        torch.full((3, 100, 100), 0.5),
        torch.cat([torch.full((3, 30, 100), 0.9), painting(70, 100)], dim=1),
        torch.rand(3, 1, 1),
        torch.rand(3, 3, 500),
    ],
    ids=["busy", "one colour", "plain sky", "one pixel", "thin"],
)
def test_a_picture_without_margin_stays_whole(picture: torch.Tensor) -> None:
    assert margins(picture) == (0, 0, 0, 0)


def test_only_the_style_is_trimmed_and_the_user_is_told() -> None:
    framed = with_margin(4, 4, 4, 4)
    options = {"size": 32, "iterations": 1, "levels": 1, "precision": "float32"}
    transfer = impasto.Transfer(framed, framed, impasto.Recipe(**options))
    scene = transfer.scene
    assert scene.size == (21, 32)
    assert scene.styles[0].shape == (3, 21, 32)
    said = "a plain margin is cut off (top 2.5 %, bottom 2.5 %, left 1.7 %, right 1.7 %); --no-style-trim keeps it"
    assert f"style array: {said}" in transfer.notices
    kept = impasto.Transfer(framed, framed, impasto.Recipe(**options, style_trim=False))
    assert torch.equal(kept.scene.styles[0], kept.scene.content)
    assert kept.notices == transfer.notices[:1]  # of the photo's own margin, which stays


def test_a_framed_style_paints_like_the_same_style_without_its_frame() -> None:
    framed, bare = with_margin(4, 4, 4, 4), with_margin(4, 4, 4, 4)[:, 5:-5, 5:-5]
    content = Image.new("RGB", (32, 24), (90, 120, 150))
    pictures = [
        impasto.stylize(content, style, size=32, iterations=2, levels=1, style_scale=2).image
        for style in (framed, bare)
    ]
    assert torch.equal(*pictures)
