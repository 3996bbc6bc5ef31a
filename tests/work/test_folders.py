"""Which files are meant: told by content, in the order people count, patterns expanded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import hostile
from commands import Command, pixels
from impasto.cli import paint
from impasto.errors import ImageReadError
from impasto.work import batch, folders
from many import draw

QUICK = ("--size", "24", "--iterations", "2", "--levels", "1")


def fill(folder: Path, *names: str, data: bytes) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@pytest.mark.parametrize("name", hostile.samples())
def test_pictures_are_told_by_content(name: str, tmp_path: Path) -> None:
    fill(tmp_path, "without", "a.txt", data=hostile.samples()[name])
    assert folders.is_picture(tmp_path / "without")
    assert folders.is_picture(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (b"", False),
        (b"text", False),
        (b"<svg/>", False),
        (b"\xff\xd8\xffnonsense", True),
        (b"\x89PNG\r\n\x1a\nx", True),
    ],
)
def test_damaged_pictures_are_pictures_and_a_suffix_alone_is_none(data: bytes, is_one: bool, tmp_path: Path) -> None:
    fill(tmp_path, "photo.jpg", data=data)
    assert folders.is_picture(tmp_path / "photo.jpg") is is_one


def test_what_cannot_be_opened_is_what_its_name_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    assert folders.is_picture(tmp_path / "photo.JPG")
    assert not folders.is_picture(tmp_path / "notes.txt")


def test_a_folder_as_a_camera_and_its_computer_leave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    photo = hostile.samples()["jpeg"]
    fill(tmp_path / "in", "IMG_10.JPG", "IMG_9.jpg", "img_2.jpeg", "scan", "day 2/1.jpg", "day 10/1.jpg", data=photo)
    silent = ("Thumbs.db", "desktop.ini", ".DS_Store", "._IMG_9.jpg", ".hidden.jpg", "manifest.jsonl", "ab.checkpoint")
    fill(tmp_path / "in", *silent, data=photo)
    other = ("a.txt", "b.csv", "c.TXT", "d.mp4", "e.MOV", "f.wav", "g.xmp", "h.xmp", "Makefile", "i.png", "day 2/j.zip")
    fill(tmp_path / "in", *other, data=b"no picture")
    said: list[str] = []
    found = batch.find(["in"], Path("out"), said.append)
    assert [Path(path).relative_to("in").as_posix() for path, _ in found] == [
        "img_2.jpeg",
        "IMG_9.jpg",
        "IMG_10.JPG",
        "scan",
        "day 2/1.jpg",
        "day 10/1.jpg",
    ]
    assert [below for _, below in found][-2:] == [("day 2",), ("day 10",)]
    assert said == [
        "11 other files left out: 3 text, 2 video, 2 xmp, 1 audio, 1 png that is no picture, 2 of other kinds"
    ]


def test_one_notice_for_all_folders_and_none_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b", "c"):
        draw(tmp_path / name / "1.png", 1)
    said: list[str] = []
    batch.find(["a"], Path("out"), said.append)
    assert said == []
    fill(tmp_path, "a/x", "b/y", data=b"text")
    batch.find(["a", "b", "c"], Path("out"), said.append)
    assert said == ["2 other files left out: 2 without suffix"]
    (tmp_path / "b/y").unlink()
    batch.find(["a", "b", "c"], Path("out"), said.append)
    assert said[1:] == ["1 other file left out: 1 without suffix"]


def test_kinds() -> None:
    assert folders.kinds(Counter()) == ""
    assert folders.kinds(Counter("aabbbc")) == "3 b, 2 a, 1 c"
    assert folders.kinds(Counter("abcdefgg")) == "2 g, 1 a, 1 b, 1 c, 1 d, 2 of other kinds"


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, "b10.jpg", "b9.jpg", "a[1].jpg", "in/c.jpg", ".d.jpg", data=b"")
    assert folders.expanded(["*.jpg", "x.png"], "style") == ["a[1].jpg", "b9.jpg", "b10.jpg", "x.png"]
    assert folders.expanded(["a[1].jpg", "b?.jpg"], "style") == [
        "a[1].jpg",
        "b9.jpg",
    ]  # one that is there is no pattern
    assert folders.expanded([str(tmp_path / "**" / "c.*")], "style") == [str(tmp_path / "in" / "c.jpg")]
    assert folders.one("b[9].jpg", "content") == "b9.jpg"
    assert folders.one("none.jpg", "content") == "none.jpg"
    (tmp_path / "gone[1]").symlink_to("nowhere")
    assert folders.expanded(["gone[1]"], "style") == ["gone[1]"]
    for name in ("*.tif", "nul\0*"):
        with pytest.raises(ImageReadError) as caught:
            folders.expanded(["b9.jpg", name], "style")
        shown = name.replace("\0", "\\x00")
        assert str(caught.value) == f"style {shown}: no such file, and none that matches it; check the name"
    with pytest.raises(ImageReadError, match=r"^content \*\.jpg: matches 3 files \(a\[1\]\.jpg, b9\.jpg, b10\.jpg…\)"):
        folders.one("*.jpg", "content")


def test_patterns_on_the_command_line(impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[paint.Paths] = []
    monkeypatch.setattr(paint, "run", lambda paths, recipe, console: caught.append(paths))
    for name in ("b10.jpg", "b9.jpg"):
        Image.new("RGB", (20, 20)).save(folder / name)
    assert impasto("ph*.png", "b*.jpg", "-o", ".").status == 0
    assert (caught[0].content, caught[0].styles) == ("photo.png", ("b9.jpg", "b10.jpg"))
    assert caught[0].output == Path("photo-b9+b10.png")
    run = impasto("photo.png", "*.tif", "-o", "x.png")
    assert (run.status, run.line) == (
        3,
        "impasto: style *.tif: no such file, and none that matches it; check the name",
    )
    run = impasto("*.png", "one.png", "-o", "x.png")
    assert (run.status, run.line.partition(" (")[0]) == (3, "impasto: content *.png: matches 3 files")


def test_a_batch_and_a_sweep_of_patterns(impasto: Command, folder: Path) -> None:
    (folder / "in").mkdir()
    (folder / "in" / "notes.txt").write_text("text")
    (folder / "photo.png").rename(folder / "in" / "photo")
    run = impasto("batch", "in", "t*.png", "--style", "on?.png", "--out", "out", *QUICK)
    assert run.status == 0
    assert run.err.startswith("note: 1 other file left out: 1 text\npainting 2 pictures into out\n")
    assert sorted(path.name.rpartition("-")[0] for path in (folder / "out").glob("*.png")) == ["photo-one", "two-one"]
    run = impasto("sweep", "in/p*", "o*.png", "--vary", "seed=1,2", "-o", "sheet.png", "--no-inputs", *QUICK)
    assert run.status == 0
    assert pixels(folder / "sheet.png").size
    assert impasto("sweep", "in/p*", "*.tif", "--vary", "seed=1", "-o", "other.png", *QUICK).status == 3
