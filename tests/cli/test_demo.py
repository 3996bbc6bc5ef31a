"""The demo, at a size of a few pixels."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.__main__ import main
from impasto.cli import paint
from impasto.cli.console import Console
from impasto.recipe import Recipe


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step for every picture."""
    carry_out = paint.run

    def once(paths: paint.Paths, recipe: Recipe, console: Console) -> object:
        return carry_out(paths, recipe.replace(iterations=(1,), levels=1), console)

    monkeypatch.setattr(paint, "run", once)


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
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_the_sheet_is_wide_enough_for_three_pictures(folder: Path) -> None:
    assert main(["demo", "--size", "32", "--out", "d"]) == 0
    tall, wide = pixels(folder / "d" / "sheet.png").shape[:2]
    assert wide > 3 * 32
    assert 32 < tall < wide


def test_without_a_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no place for a cache either, the photo comes from the package."""

    def nobody(*_: object) -> None:
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for function in ("pwd.getpwuid", "pwd.getpwnam"):
        monkeypatch.setattr(function, nobody)
    assert main(["demo", "--size", "24", "--out", "d"]) == 0
