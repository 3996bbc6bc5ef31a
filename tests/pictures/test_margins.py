from __future__ import annotations

import pytest
import torch
from PIL import Image

import impasto
from impasto.pictures.margins import margins, trim


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
    assert any("plain margin" in notice for notice in transfer.notices)
    kept = impasto.Transfer(framed, framed, impasto.Recipe(**options, style_trim=False))
    assert torch.equal(kept.scene.styles[0], kept.scene.content)
    assert not kept.notices


def test_a_framed_style_paints_like_the_same_style_without_its_frame() -> None:
    framed, bare = with_margin(4, 4, 4, 4), with_margin(4, 4, 4, 4)[:, 5:-5, 5:-5]
    content = Image.new("RGB", (32, 24), (90, 120, 150))
    pictures = [
        impasto.stylize(content, style, size=32, iterations=2, levels=1, style_scale=2).image
        for style in (framed, bare)
    ]
    assert torch.equal(*pictures)
