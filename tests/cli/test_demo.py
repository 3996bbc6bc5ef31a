"""The demo, at a size of a few pixels."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.__main__ import main
from impasto.cli import demo, runner
from impasto.cli.console import Console


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_the_demo_and_the_command_that_it_prints_make_the_same_picture(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--size", "24", "--out", "a folder/inside"]) == 0
    said, command = capsys.readouterr().out.splitlines()
    home = folder / "a folder" / "inside"
    assert {path.name for path in home.iterdir()} == {"photo.png", "painting.png", "result.png", "sheet.png"}
    assert said.startswith("a folder/inside/sheet.png shows ")
    assert command == (
        "impasto 'a folder/inside/photo.png' 'a folder/inside/painting.png' -o 'a folder/inside/again.png' --size 24"
    )
    assert max(pixels(home / "result.png").shape) == 24
    assert main(shlex.split(command)[1:]) == 0
    assert np.array_equal(pixels(home / "again.png"), pixels(home / "result.png"))


def test_a_second_demo_replaces_the_files_of_the_first_and_no_others(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    carry_out = runner.run

    def quick(job: runner.Job, console: Console) -> object:
        recipe = job.recipe.replace(iterations=(1,), levels=1)
        return carry_out(runner.Job(job.content, job.styles, recipe, job.output, overwrite=job.overwrite), console)

    monkeypatch.setattr(runner, "run", quick)
    for _ in range(2):
        assert main(["demo", "--size", "24"]) == 0
    home = folder / "impasto-demo"
    written = {path.name: path.read_bytes() for path in home.iterdir()}
    for name, ours in written.items():
        Image.new("RGB", (3, 3)).save(home / name)
        own = (home / name).read_bytes()
        capsys.readouterr()
        assert main(["demo", "--size", "24"]) == 6
        err = capsys.readouterr().err
        assert err == f"impasto: impasto-demo/{name}: exists and is not of a demo; choose another folder with --out\n"
        assert {path.name: path.read_bytes() for path in home.iterdir()} == {**written, name: own}
        (home / name).write_bytes(ours)


@pytest.mark.parametrize("kind", ["file", "below a file"])
def test_a_folder_that_cannot_be_made(kind: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "taken").write_bytes(b"mine")
    name = {"file": "taken", "below a file": "taken/demo"}[kind]
    assert main(["demo", "--out", name]) == 6
    assert f"impasto: {name}: cannot be made (" in capsys.readouterr().err
    assert (folder / "taken").read_bytes() == b"mine"


def test_the_sheet_shows_three_pictures_at_one_height_on_one_ground() -> None:
    colours = {"photo": (255, 0, 0), "painting": (0, 255, 0), "result": (0, 0, 255)}
    sizes = {"photo": (60, 40), "painting": (100, 100), "result": (300, 200)}
    sheet = np.asarray(demo.sheet({name: Image.new("RGB", sizes[name], colours[name]) for name in colours}))
    # At the result's 200 px: margin 12, gap 8, letters 7; widths 300, 200 and 300.
    assert sheet.shape == (200 + 2 * 12 + 7, 2 * 12 + 300 + 8 + 200 + 8 + 300, 3)
    for left, width, name in ((12, 300, "photo"), (320, 200, "painting"), (528, 300, "result")):
        assert (sheet[12:212, left : left + width] == colours[name]).all()
        below = sheet[212:, left : left + width]
        assert (below != demo.GROUND).any()  # its name
    assert (sheet[:12] == demo.GROUND).all()
    assert (sheet[:212, 312:320] == demo.GROUND).all()
