"""Models for paintings: that learning helps, stops and goes on; and their files, also those of ill will."""

from __future__ import annotations

import json
import signal
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load, save
from torch import Tensor

import impasto
from commands import Command, child
from hostile import photo
from impasto.errors import OptionError, WeightsError
from impasto.onepass import models
from impasto.onepass.decoder import LEVELS
from impasto.train import photos as sources
from impasto.train.fitting import adain
from impasto.train.run import Training


def pictures(count: int) -> list[Tensor]:
    return [torch.from_numpy(photo(96, 120, seed=seed)).permute(2, 0, 1).contiguous() for seed in range(count)]


RED = photo(64, 64) // np.array([1, 3, 9], np.uint8)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps of a few milliseconds."""
    for name, value in {"SIDE": 48, "LONGER": 64, "BATCH": 2, "EVERY": 0.0}.items():
        monkeypatch.setattr(f"impasto.train.run.{name}", value)


def trained(steps: int, training: Training) -> Training:
    for turn in training.steps():
        if turn.step == steps:
            break
    return training


def test_learning_brings_results_nearer_to_the_painting() -> None:
    training = Training([RED], pictures(4))
    turns = training.steps()
    first = next(turns)
    for turn in turns:
        if turn.step == 25:
            break
    assert turn.best < 0.95 * first.best
    assert turn.losses.style < first.losses.style


def test_a_model_paints_each_of_its_paintings_and_their_blend(tmp_path: Path) -> None:
    path = tmp_path / "two.impasto"
    path.write_bytes(trained(6, Training([RED, RED[..., ::-1].copy()], pictures(3))).model())
    content = photo(40, 56, seed=9)
    red, blue, both = (
        impasto.instant(content, path, size=0, blend=blend).image.mean((1, 2)) for blend in ((1, 0), (0, 1), (1, 1))
    )
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert min(red[0], blue[0]) < both[0] < max(red[0], blue[0])


def test_what_a_model_cannot_do_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.impasto"
    path.write_bytes(trained(1, Training([RED], pictures(2))).model())
    for options, words in (
        ({"color": "match"}, "recolours the painting itself"),
        ({"transform": "swap"}, "adain only"),
    ):
        with pytest.raises(OptionError, match=words):
            impasto.instant(photo(), path, **options)
    assert impasto.instant(photo(), path, color="luminance", size=0).notices == ()


def test_a_training_goes_on_as_it_would_have(tmp_path: Path) -> None:
    whole = trained(4, Training([RED], pictures(3), minutes=1000))
    half = trained(2, Training([RED], pictures(3), minutes=1000))
    torch.save(half.state(), tmp_path / "state")
    again = Training([RED], pictures(3), minutes=1000)
    again.restore(torch.load(tmp_path / "state", weights_only=True))
    trained(4, again)
    for key, tensor in whole.fitter.tensors.items():  # the rate follows the clock
        torch.testing.assert_close(again.fitter.tensors[key], tensor, rtol=1e-3, atol=1e-3)
    other = Training([255 - RED], pictures(3))
    with pytest.raises(OptionError, match="of other paintings"):
        other.restore(torch.load(tmp_path / "state", weights_only=True))


def test_no_photos_no_training() -> None:
    with pytest.raises(OptionError, match="at least two photos"):
        Training([RED], pictures(1))


def test_photos_that_scikit_image_carries() -> None:
    found = sources.carried()
    assert len(found) >= 5
    assert all(one.dtype == torch.uint8 and min(one.shape[1:]) <= sources.SHORTER for one in found)
    crops = sources.Crops(found, 32, torch.Generator().manual_seed(0)).draw(6)
    assert crops.shape == (6, 3, 32, 32)
    assert 0 <= crops.min() < crops.max() <= 1


def test_adain_in_batches() -> None:
    maps, style = torch.randn(2, 4, 9, 9), 3 * torch.randn(2, 4, 8, 8) + 1
    var, mean = torch.var_mean(style, (2, 3), correction=0)
    own, middle = torch.var_mean(adain(maps, mean, var.sqrt()), (2, 3), correction=0)
    torch.testing.assert_close(middle, mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(own, var, rtol=0.01, atol=0.01)


# ---- files ----


@pytest.fixture(scope="module")
def model() -> bytes:
    generator = torch.Generator().manual_seed(0)
    moments = {
        level: (torch.rand(models.WIDTHS[level], generator=generator), torch.rand(models.WIDTHS[level]))
        for level in LEVELS
    }
    portrait = models.Portrait("red", torch.from_numpy(RED), moments)
    return models.encode(models.embedded().tensors, models.embedded().net, [portrait], {})


def read(data: bytes) -> models.Model:
    return models.read(impasto.Blob.of("some.impasto", data))


def changed(data: bytes, tensors: dict[str, Tensor | None], **about: object) -> bytes:
    """A model's file with other tensors and another header, its checksum right."""
    stored = {**load(data), **tensors}
    kept = {key: tensor for key, tensor in stored.items() if tensor is not None}
    size = struct.unpack("<Q", data[:8])[0]
    says = json.loads(json.loads(data[8 : 8 + size])["__metadata__"]["impasto"])
    return save(kept, {"impasto": json.dumps({**says, "checksum": models.checksum(kept), **about})})


def test_a_model_s_file_gives_back_what_was_put_in(model: bytes) -> None:
    found = read(model)
    assert [one.name for one in found.paintings] == ["red"]
    assert torch.equal(found.paintings[0].picture, torch.from_numpy(RED))
    for key, tensor in models.embedded().tensors.items():
        torch.testing.assert_close(found.tensors[key], tensor.half().float())


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_a_cut_file(model: bytes, share: float) -> None:
    with pytest.raises(WeightsError, match="is damaged or no model of impasto"):
        read(model[: int(share * len(model))])


def test_a_changed_byte(model: bytes) -> None:
    for place in (len(model) // 2, len(model) - 1):
        with pytest.raises(WeightsError, match="checksum is wrong"):
            read(model[:place] + bytes([model[place] ^ 1]) + model[place + 1 :])


def test_files_of_ill_will(model: bytes) -> None:
    bad: list[tuple[dict[str, Tensor | None], str]] = [
        ({"rgb.bias": None}, r"rgb\.bias has the shape None"),
        ({"rgb.weight": torch.zeros(3, 9999, 3, 3)}, r"rgb\.weight has the shape \(3, 9999, 3, 3\)"),
        ({"rgb.bias": torch.tensor([0, torch.nan, 0])}, "NaN or infinite"),
        ({"relu3_1.down.weight": torch.zeros(600, 512, 3, 3)}, "relu3_1 has rank 600"),
        ({"painting.0.relu4_1.mean": torch.zeros(3)}, "painting 1 has no numbers of relu4_1"),
        ({"painting.0.picture": torch.zeros(5, 5, 3)}, "painting 1 has no picture"),
        ({"painting.0.picture": torch.zeros(1, 4000, 3, dtype=torch.uint8)}, "of another size"),
    ]
    for tensors, words in bad:
        with pytest.raises(WeightsError, match=words):
            read(changed(model, tensors))
    with pytest.raises(WeightsError, match="is damaged or no model"):
        read(changed(model, {}, paintings=["a"] * 1000))
    with pytest.raises(WeightsError, match="is damaged or no model"):
        read(changed(model, {}, format="another"))
    read(changed(model, {}))


def test_a_model_of_another_network_is_refused(model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "old.impasto"
    path.write_bytes(changed(model, {}, net="0" * 64))
    with pytest.raises(WeightsError, match="made for another version of the network"):
        impasto.instant(photo(), path)


# ---- the command ----


def test_train_paint_and_list(impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RED).save("red.png")
    (folder / "photos").mkdir()
    for number, one in enumerate(pictures(3)):
        Image.fromarray(one.permute(1, 2, 0).numpy()).save(f"photos/{number}.png")
    (folder / "photos" / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    before = {path.name for path in folder.iterdir()}
    done = impasto("train", "red.png", "-o", "red.impasto", "--minutes", "0.03", "--photos", "photos")
    assert done.status == 0, done.err
    assert "bad.png" in done.err
    assert "learnt red.impasto" in done.err
    assert impasto("photo.png", "red.impasto", "--instant", "-o", "out.png").status == 0
    with Image.open("out.png") as picture:
        assert picture.size == (512, 341)
    monkeypatch.setenv("IMPASTO_MODELS", str(folder))
    listed = impasto("models").out
    assert "red" in listed
    assert str(folder) in listed
    assert impasto("photo.png", "red", "--instant", "-o", "again.png").status == 0
    assert {path.name for path in folder.iterdir()} == {*before, "red.impasto", "out.png", "again.png"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("one.png", "-o", "there.impasto"), "exists already"),
        (("one.png", "-o", "red.png"), "a model's name ends in .impasto; use red.impasto"),
        (("one.png", "-o", "a.impasto", "--minutes", "0"), "0 is not a time to learn"),
        (("one.png", "-o", "a.impasto", "--resume"), "leave --resume out to begin"),
        (("one.png", "-o", "stopped.impasto"), "--resume goes on, --overwrite begins anew"),
        (("one.png", "-o", "stopped.impasto", "--resume"), "is damaged"),
        (("none.png", "-o", "a.impasto"), "no such file"),
        (("one.png", "-o", "a.impasto", "--photos", "empty"), "holds no pictures"),
    ],
)
def test_what_cannot_be_learnt_is_refused(impasto: Command, folder: Path, arguments: tuple[str], words: str) -> None:
    (folder / "there.impasto").write_bytes(b"")
    (folder / "stopped.impasto.checkpoint").write_bytes(b"no checkpoint")
    (folder / "empty").mkdir()
    before = {path.name for path in folder.iterdir()}
    run = impasto("train", *arguments)
    assert run.status not in (0, 1)
    assert words in run.line
    assert {path.name for path in folder.iterdir()} == before


def test_an_interrupted_training_keeps_the_best_and_goes_on(tmp_path: Path) -> None:
    Image.fromarray(RED).save(tmp_path / "red.png")
    with child("train", "red.png", "-o", "red.impasto", "--minutes", "2", cwd=tmp_path) as running:
        assert running.stderr is not None
        for said in running.stderr:
            if "step" in said:
                running.send_signal(signal.SIGINT)
                break
        rest = running.stderr.read()
        assert running.wait(60) == 130
    assert "--resume --overwrite goes on" in rest
    assert models.read(tmp_path / "red.impasto").paintings[0].name == "red"
    assert (tmp_path / "red.impasto.checkpoint").is_file()
