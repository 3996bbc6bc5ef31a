"""The benchmarks' own judge and reference: the numbers that impasto's speed is measured by."""

from __future__ import annotations

import doctest
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import plain
import thin
from impasto.network.encoder import Encoder
from impasto.paint.objective import compared
from impasto.pictures.encode import to_array
from impasto.recipe import Recipe

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import candidate
import common
import judge
import quality
import reference

GRAMS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A thin network as a Keras file, a photo of 44×33 and a painting of 30×40."""
    folder = tmp_path_factory.mktemp("benchmarks")
    paths = {name: folder / name for name in ("net.h5", "content.png", "style.png")}
    thin.write_keras(paths["net.h5"], {key: tensor.numpy() for key, tensor in plain.tensors().items()})
    Image.fromarray(to_array(plain.picture(33, 44, 1))).save(paths["content.png"])
    Image.fromarray(to_array(plain.picture(40, 30, 2))).save(paths["style.png"])
    return paths


@pytest.mark.parametrize("module", [candidate, common, judge, quality, reference])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0


def test_judge_equals_the_definition(files: dict[str, Path]) -> None:
    net, result = plain.tensors(), plain.picture(33, 44, 3)
    content = judge.pixels(files["content.png"])[0] / 255
    style = judge.pixels(files["style.png"], (33, 44))[0] / 255
    of = [plain.features(net, picture) for picture in (result, content, style)]
    F, P = of[0]["conv4_2"], of[1]["conv4_2"]
    distance = 0.0
    for name in GRAMS:
        G, A = (torch.einsum("ihw,jhw->ij", f[name], f[name]) / f[name][0].numel() for f in (of[0], of[2]))
        distance += ((G - A).square().sum() / A.square().sum()).item() / 5
    between = judge.between(judge.load(files["net.h5"]), files["content.png"], files["style.png"], (44, 33))
    found = [loss.item() for loss in between(255 * result[None])]
    assert found == pytest.approx([((F - P).square().sum() / P.square().sum()).item(), distance], rel=1e-4)


def test_judge_finds_nothing_to_blame_in_the_photo_itself(files: dict[str, Path]) -> None:
    photo = files["content.png"]
    between = judge.between(judge.load(files["net.h5"]), photo, photo, (44, 33))
    assert [loss.item() for loss in between(judge.pixels(photo))] == pytest.approx([0, 0], abs=1e-9)


def test_reference_and_impasto_minimise_the_same(files: dict[str, Path]) -> None:
    content = judge.pixels(files["content.png"])
    style = judge.pixels(files["style.png"], (33, 44))
    picture = 255 * plain.picture(33, 44, 3)[None].requires_grad_()
    picture.retain_grad()
    content_loss, style_loss = judge.Judge(judge.load(files["net.h5"]), content, style)(picture)
    total = content_loss + 30 * style_loss
    (expected,) = torch.autograd.grad(total, picture)

    recipe, encoder = Recipe(style_loss="gram", style_weight=30), Encoder(plain.weights(), border=0)
    found = compared(recipe, encoder, content[0] / 255, [style[0] / 255])(picture.detach()[0] / 255)
    assert found.value == pytest.approx(total.item(), rel=1e-4)
    difference = found.gradient / 255 - expected[0]  # ours is by pixels 0…1
    assert difference.norm() < 1e-3 * expected.norm()


def test_reference_takes_one_evaluation_a_step_and_falls() -> None:
    aim, values, steps = torch.tensor([3.0, -1.0]), [], []

    def objective(x: torch.Tensor) -> torch.Tensor:
        loss = ((x - aim).square() * torch.tensor([1.0, 5.0])).sum()
        values.append(loss.item())
        return loss

    ends: list[torch.Tensor] = []
    reference.optimise(objective, torch.zeros(2), 12, lambda step, x: (steps.append(step), ends.append(x.clone())))
    assert steps == list(range(1, 13))
    assert len(values) == 12
    assert torch.allclose(ends[-1], aim, atol=1e-3)


def test_a_checkpoint_pays_for_its_own_picture_only(tmp_path: Path) -> None:
    recorder = candidate.Recorder(tmp_path, time.monotonic())

    def slowly() -> torch.Tensor:
        time.sleep(0.2)
        return torch.tensor([-1.0, 0.5, 2.0]).reshape(3, 1, 1)

    recorder.keep(slowly)
    assert recorder.points[0]["seconds"] >= 0.2
    assert recorder.away >= 0.2
    assert recorder.now() == pytest.approx(time.monotonic() - recorder.begun - recorder.away, abs=0.05)
    assert judge.pixels(tmp_path / "0000.png").flatten().tolist() == [0, 128, 255]


def test_runs_are_measured_judged_and_compared(files: dict[str, Path], tmp_path: Path) -> None:
    shared = {"content": str(files["content.png"]), "style": str(files["style.png"]), "vgg19": str(files["net.h5"])}
    shared |= {"size": 44, "device": "cpu", "threads": 0, "beta": 30.0}
    recipe = {"size": 44, "style_weight": 30.0, "style_trim": False, "net": shared["vgg19"], "iterations": [4]}
    specs = [
        {**shared, "candidate": "reference", "kind": "reference", "steps": 3},
        {**shared, "candidate": "vgg19", "kind": "impasto", "schedule": "4", "recipe": recipe},
    ]
    net, runs = judge.load(files["net.h5"]), []
    for number, spec in enumerate(specs):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        run = candidate.run(folder, time.monotonic())
        quality.assess(run, spec, net, folder, keep=False)
        assert len(list(folder.glob("*.png"))) == 1
        runs.append({"settings": spec, "invocation": "now", **run})
    ends = [run["points"][-1] for run in runs]
    assert [run["sizes"][-1] for run in runs] == [[33, 44]] * 2
    assert [end["evaluations"] for end in ends] == [3, 4]
    assert all(run["points"][0]["seconds"] > run["start_up"]["ready"] for run in runs)
    answers = quality.answers(runs)
    assert [(row["factor"], row["candidate"], row["schedule"]) for row in answers] == [
        (factor, *who) for factor in (1, 1.5) for who in (("reference", None), ("vgg19", "4"), ("vgg19", "best"))
    ]
    assert answers[0]["total"] == ends[0]["total"]
    assert answers[0]["times_sooner"] == 1
    assert len(quality.as_table(runs, answers).splitlines()) == 4
