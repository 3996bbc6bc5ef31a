"""One pass, as a program calls it: what counts, what is said, and that the way of working changes no picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import impasto
from hostile import photo
from impasto.cli import demo
from impasto.errors import MemoryShortError, OptionError, WeightsError
from impasto.network.weights.loading import load
from impasto.onepass import models, painting, run
from impasto.pictures.resize import resize


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(photo(height, width, seed=seed)).permute(2, 0, 1).float() / 255


PHOTO, PAINTING, OTHER = picture(52, 70), picture(64, 48, 1).flip(0), picture(40, 40, 2).flip(1)
CAT, PAINTED = (resize(one.rgb, (96, 128)) for one in demo._pictures())
RED = PAINTING * torch.tensor([0.9, 0.3, 0.1]).view(3, 1, 1)


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 40), (33, 17)])
def test_a_result_has_the_size_of_its_photo(size: tuple[int, int]) -> None:
    result = impasto.instant(picture(*size), PAINTING, size=0)
    assert result.image.shape == (3, *size)
    assert torch.isfinite(result.image).all()
    assert 0 <= result.image.min() <= result.image.max() <= 1


def test_the_painting_counts() -> None:
    one, other = (impasto.instant(PHOTO, style, size=0).image for style in (PAINTING, RED))
    assert (one - other).abs().mean() > 0.05


@pytest.mark.parametrize("transform", ["adain", "whiten", "swap"])
def test_every_transform_gives_a_picture_of_its_own(transform: str) -> None:
    own = impasto.instant(PHOTO, PAINTING, size=0, transform=transform).image
    assert torch.equal(own, impasto.instant(PHOTO, PAINTING, size=0, transform=transform).image)
    if transform != "adain":
        assert (own - impasto.instant(PHOTO, PAINTING, size=0).image).abs().mean() > 0.005


def test_strength_leads_from_the_photo_to_the_painting() -> None:
    far = [
        (impasto.instant(CAT, PAINTED, size=0, strength=strength).image - CAT).abs().mean().item()
        for strength in (0.0, 0.5, 1.0)
    ]
    assert far == sorted(far)
    assert far[0] < 0.5 * far[2]


def test_two_paintings_are_blended_by_their_shares() -> None:
    both = [impasto.instant(PHOTO, [PAINTING, RED], size=0, blend=blend).image for blend in ((1, 0), (1, 1), (0, 1))]
    alone = [impasto.instant(PHOTO, style, size=0).image for style in (PAINTING, RED)]
    torch.testing.assert_close(both[0], alone[0], atol=0.02, rtol=0)
    torch.testing.assert_close(both[2], alone[1], atol=0.02, rtol=0)
    assert all((both[1] - one).abs().mean() > 0.01 for one in alone)


def test_each_painting_has_its_region() -> None:
    wide = picture(64, 160)
    left = np.zeros((64, 160), np.uint8)
    left[:, :80] = 255
    options = {"mask": ("left", "rest"), "files": {"left": left}}
    one = impasto.instant(wide, [PAINTING, OTHER], size=0, **options).image
    changed = impasto.instant(wide, [RED, OTHER], size=0, **options).image
    difference = (one - changed).abs().mean(0)
    assert difference[:, :60].mean() > 0.05
    assert difference[:, 112:].mean() < 0.1 * difference[:, :60].mean()  # its statistics see a little over the border


def test_what_is_kept_is_the_photo_to_the_bit() -> None:
    kept = np.zeros(PHOTO.shape[1:], np.uint8)
    kept[10:30, 10:30] = 255
    result = impasto.instant(PHOTO, PAINTING, size=0, keep="k", files={"k": kept})
    assert torch.equal(result.image[:, 10:30, 10:30], PHOTO[:, 10:30, 10:30])
    assert (result.image - PHOTO)[:, 40:].abs().mean() > 0.02


def test_hidden_pixels_count_for_nothing() -> None:
    shown = torch.cat([PAINTING, torch.ones(1, 64, 48)]).permute(1, 2, 0).numpy()
    other = shown.copy()
    shown[:, 24:, 3] = other[:, 24:, 3] = 0
    other[:, 24:, :3] = 0.9
    one, two = (impasto.instant(PHOTO, style, size=0).image for style in (shown, other))
    assert torch.equal(one, two)


@pytest.mark.parametrize("color", ["style", "luminance", "match", "histogram", "swap"])
def test_every_way_of_colour(color: str) -> None:
    result = impasto.instant(PHOTO, PAINTING, size=0, color=color)
    if color in ("luminance", "swap"):  # up to what is clipped
        own, photo = (impasto.color.to_yuv(one)[1:] for one in (result.image, PHOTO))
        assert (own - photo).abs().median() < 0.02
    assert torch.isfinite(result.image).all()


def test_grey_in_grey_out() -> None:
    grey, painting = PHOTO[:1].expand(3, -1, -1), PAINTING[:1].expand(3, -1, -1)
    image = impasto.instant(grey, painting, size=0).image
    torch.testing.assert_close(image[0], image[1])
    torch.testing.assert_close(image[0], image[2])


def test_little_memory_changes_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    tall = picture(400, 64)
    whole = impasto.instant(tall, PAINTING, size=0, precision="float32").image
    monkeypatch.setattr(run, "HELD", 0.0)
    monkeypatch.setattr(painting, "STRIP", 32)
    torch.testing.assert_close(
        impasto.instant(tall, PAINTING, size=0, precision="float32").image, whole, atol=2e-4, rtol=0
    )


def test_memory_that_cannot_do_is_refused() -> None:
    with pytest.raises(MemoryShortError, match=r"in one pass, 0\.1 GiB may be used; use a smaller --size"):
        impasto.instant(PHOTO, PAINTING, max_memory=0.1)


def test_pad_reflects_to_whole_positions() -> None:
    line = torch.arange(5.0).view(1, 1, 5)
    assert painting.padded(line)[0, 0].tolist() == [0, 1, 2, 3, 4, 3, 2, 1]
    assert painting.padded(line).shape == (1, 8, 8)


def test_another_network_is_refused() -> None:
    with pytest.raises(OptionError, match="leave --net out"):
        impasto.instant(PHOTO, PAINTING, net="vgg19")


def test_a_way_with_steps_has_no_one_pass() -> None:
    with pytest.raises(OptionError, match=r"call impasto\.instant"):
        impasto.stylize(PHOTO, PAINTING, instant=True)


def test_options_that_have_no_steps_to_work_on_are_noted() -> None:
    assert impasto.instant(PHOTO, PAINTING, size=64, iterations=3).notices == (
        "iterations (3,) changes nothing in one pass",
    )


def test_the_embedded_decoder_is_small_and_of_the_embedded_network() -> None:
    model = models.embedded()
    assert model.net == load("lite").sha256
    assert model.paintings == ()
    assert Path(models.__file__).parents[1].joinpath("data", models.EMBEDDED).stat().st_size <= 4_000_000


def test_a_start_from_one_pass() -> None:
    start = impasto.instant(CAT, PAINTED, size=0).image
    first = next(iter(impasto.steps(CAT, PAINTED, size=0, levels=1, init="instant", files={"instant": start})))
    plain = next(iter(impasto.steps(CAT, PAINTED, size=0, levels=1)))
    assert first.losses["style"] < plain.losses["style"]


def test_models_of_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.impasto"
    path.write_bytes(b"no model at all")
    with pytest.raises(WeightsError, match=r"bad\.impasto: is damaged or no model of impasto"):
        impasto.instant(PHOTO, str(path))
    with pytest.raises(WeightsError, match="no such file"):
        impasto.instant(PHOTO, str(tmp_path / "none.impasto"))
    with pytest.raises(OptionError, match="a model is given alone"):
        impasto.instant(PHOTO, [str(path), PAINTING])
