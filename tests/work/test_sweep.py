"""Sweeps: axes from text, every combination once, sheets, page and folder, and what happens when a cell fails."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.cli import app as cli
from impasto.cli.batch import report
from impasto.cli.console import Console
from impasto.errors import OptionError, OutputError, SomeFailedError
from impasto.pictures.metadata import read_metadata
from impasto.recipe import Recipe
from impasto.work import sweep
from impasto.work.axes import Axis, axis, cells, worded
from impasto.work.job import Job
from impasto.work.sweep import Sweep, run

QUIET = Console(quiet=True)


@pytest.fixture
def recipe(thin_path: str) -> Recipe:
    return Recipe(net=thin_path, size=32, iterations=1, levels=1, precision="float32", style_trim=False)


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[str, list[str]]:
    paths = []
    for name, shape, colour in (("photo", (40, 30), "olive"), ("one", (30, 30), "navy"), ("two", (24, 36), "gold")):
        picture = Image.new("RGB", shape, colour)
        picture.paste("white", (4, 4, 12, 20))
        picture.save(tmp_path / f"{name}.png")
        paths.append(str(tmp_path / f"{name}.png"))
    return paths[0], paths[1:]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("style_weight", "must be FIELD=VALUE"),
        ("style_wieght=1,2", "did you mean style_weight"),
        ("size=", "a value is missing"),
        ("size=32,,64", "a value is missing"),
    ],
)
def test_what_is_no_axis_is_refused(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        axis(text)


def test_an_axis_may_be_written_like_a_flag() -> None:
    assert axis("--style-weight= 1 , 2e1") == Axis("style_weight", ("1", "2e1"))


def test_every_combination_once_the_last_axis_fastest() -> None:
    found = cells([axis("size=32,48"), axis("blend=1e-1+0.9,none")], Recipe())
    assert [values for values, _ in found] == [(32, (0.1, 0.9)), (32, ()), (48, (0.1, 0.9)), (48, ())]
    assert [(recipe.size, recipe.blend) for _, recipe in found] == [values for values, _ in found]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["size=32,-1"], "--vary: size: .* greater than or equal to 0"),
        (["size=32,huge"], "--vary: size: .*huge"),
        (["size=32", "size=64"], "given twice"),
        (["tv_weight=1,1.0"], "a value is given twice"),
        (["size=32", "seed=1", "border=0", "levels=1"], "4 axes"),
        (["seed=" + ",".join(map(str, range(21))), "size=" + ",".join(map(str, range(20)))], "420 pictures"),
        ([], "0 axes"),
    ],
)
def test_impossible_axes_are_refused_before_any_work(texts: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        cells([axis(text) for text in texts], Recipe())


def test_values_as_one_would_type_them() -> None:
    assert [worded(v) for v in (1e-4, 20.0, 512, "conv4_2", ("4:10",), False)] == [
        "0.0001",
        "20",
        "512",
        "conv4_2",
        "4:10",
        "no",
    ]
    assert worded(1234567.0) == "1234567.0"  # what would look like another value is written out


def made(pictures: tuple[str, list[str]], recipe: Recipe, output: Path, *texts: str, **options: Any) -> Sweep:
    axes = [axis(text) for text in texts]
    return run(*pictures, axes, recipe, output, **options)


def test_a_grid_its_folder_and_its_page(pictures: tuple[str, list[str]], recipe: Recipe, tmp_path: Path) -> None:
    output = tmp_path / "sheet.png"
    found = made(pictures, recipe, output, "style_weight=1,100", "content_layer=conv1_2,conv2_2,conv3_1")
    assert found.sheets == (output,)
    assert [entry.status for entry in found.entries] == ["done"] * 6
    for entry in found.entries:
        assert entry.file is not None
        assert entry.file.parent == tmp_path / "sheet"
        assert entry.file.with_suffix(".jsonl").read_text().count("\n") == 2
        assert Recipe.from_file(entry.file.with_suffix(".toml")) == entry.job.recipe
    assert found.entries[4].job.recipe.style_weight == 100
    assert found.entries[4].job.recipe.content_layer == ("conv2_2",)
    with Image.open(output) as picture:
        assert picture.width > 3 * 32
    page = found.page.read_text(encoding="utf-8")
    assert "style weight 100, content layer conv2_2" in page
    assert list(read_metadata(output) or {}) == ["sweep"]


def test_the_command_of_a_cell_paints_the_same_picture(
    pictures: tuple[str, list[str]], recipe: Recipe, tmp_path: Path
) -> None:
    found = made(pictures, recipe, tmp_path / "s.png", "blend=0.2+0.8,1+0", "style_trim=true,false")
    entry = found.entries[1]
    assert entry.file is not None
    words = shlex.split(sweep._command(entry.job, str(tmp_path / "again.png")))
    assert cli.run([*words[1:], "--quiet"]) == 0
    with Image.open(entry.file) as one, Image.open(tmp_path / "again.png") as other:
        assert one.tobytes() == other.tobytes()


def test_a_blend_for_another_number_of_styles_is_refused_before_any_work(
    pictures: tuple[str, list[str]], recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match="blend: 3 weights for 2 style pictures"):
        made(pictures, recipe, tmp_path / "s.png", "blend=1+0,1+0+0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "photo.png", "two.png"]


@pytest.mark.parametrize("name", ["-p.png", "demo"])
def test_the_command_of_a_cell_bears_any_name(name: str) -> None:
    command = sweep._command(Job(name, ("folder/a b.png",), Recipe(), "x"), "x.png")
    assert shlex.split(command) == ["impasto", f"./{name}", "folder/a b.png", "-o", "x.png"]


def test_three_axes_are_a_sheet_for_each_value_of_the_first(
    pictures: tuple[str, list[str]], recipe: Recipe, tmp_path: Path
) -> None:
    found = made(pictures, recipe, tmp_path / "s.png", "color=style,luminance", "seed=1,2", "style_weight=1,2")
    assert [path.name for path in found.sheets] == ["s-color-style.png", "s-color-luminance.png"]
    assert len(found.entries) == 8
    assert all(path.is_file() for path in [*found.sheets, tmp_path / "s.html"])


def test_a_second_run_paints_only_what_is_missing(
    pictures: tuple[str, list[str]], recipe: Recipe, tmp_path: Path
) -> None:
    output = tmp_path / "s.png"
    first = made(pictures, recipe, output, "style_weight=1,2")
    assert [one.status for one in made(pictures, recipe, output, "style_weight=1,2").entries] == ["kept", "kept"]
    with pytest.raises(OutputError, match="exists already"):
        made(pictures, recipe, output, "style_weight=1,2,3")
    assert first.entries[1].file is not None
    first.entries[1].file.unlink()
    again = made(pictures, recipe, output, "style_weight=1,2,3", overwrite=True)
    assert [entry.status for entry in again.entries] == ["kept", "done", "done"]


def test_a_failed_cell_is_drawn_and_reported(pictures: tuple[str, list[str]], recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    axes = [Axis("init", ("content", str(tmp_path / "broken.png")))]
    found = run(*pictures, axes, recipe, tmp_path / "s.png")
    assert [entry.status for entry in found.entries] == ["done", "failed"]
    assert "broken.png" in found.page.read_text(encoding="utf-8")
    with pytest.raises(SomeFailedError, match=r"broken\.png"):
        report(found.entries, QUIET)


def test_targets_are_computed_once_for_all_cells(
    pictures: tuple[str, list[str]], recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.paint import targets

    looks = []
    look = targets.observe
    monkeypatch.setattr(targets, "observe", lambda *args: looks.append(args[2]) or look(*args))
    made(pictures, recipe, tmp_path / "s.png", "style_weight=1,2,3", "seed=1,2")
    assert len(looks) == 3  # the content and two styles


def test_from_the_command_line(
    pictures: tuple[str, list[str]], thin_path: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content, styles = pictures
    flags = ["--net", thin_path, "--size", "32", "--iterations", "1", "--levels", "1"]
    command = ["sweep", content, styles[0], "--vary", "style_weight=1,2", *flags, "--no-inputs"]
    assert cli.run([*command, "-o", str(tmp_path / "s.png"), "--cell", "64"]) == 0
    assert "2 painted, 0 there already, 0 failed" in capfd.readouterr().err
    manifest = [json.loads(line) for line in (tmp_path / "s" / "manifest.jsonl").read_text().splitlines()]
    assert len([line for line in manifest if "file" in line]) == 2
    assert cli.run([*command, "-o", str(tmp_path / "t.png"), "--cell", "7"]) == 2
    assert "--cell: 7" in capfd.readouterr().err
    assert cli.run(["sweep", content, styles[0], "--vary", "size=1", "-o", str(tmp_path / "t")]) != 0
    assert "unknown suffix" in capfd.readouterr().err


def test_a_content_that_cannot_be_read_fails_every_cell(recipe: Recipe, tmp_path: Path) -> None:
    missing = str(tmp_path / "no.png")
    found = run(missing, [missing], [axis("seed=1,2")], recipe, tmp_path / "s.png")
    assert [entry.status for entry in found.entries] == ["failed", "failed"]
    with Image.open(found.sheets[0]) as picture:
        assert picture.width > 100


@pytest.mark.parametrize("name", ["photo.png", "one.png"])
def test_a_sheet_takes_the_place_of_no_input(
    name: str, pictures: tuple[str, list[str]], recipe: Recipe, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match=f"{name}: would be the sheet {name}, and is the (content|style)"):
        made(pictures, recipe, tmp_path / name, "seed=1,2", overwrite=True)
    (tmp_path / "s.html").hardlink_to(recipe.net)
    with pytest.raises(OutputError, match=r"s\.html: would be the page, and is the network of this run"):
        made(pictures, recipe, tmp_path / "s.png", "seed=1,2", overwrite=True)
    (tmp_path / "s.html").unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
