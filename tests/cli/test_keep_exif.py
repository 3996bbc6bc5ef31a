"""What results take over from their photos, on the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

import impasto as package
from commands import Command, pixels

QUICK = ("--size", "24", "--iterations", "2", "--levels", "1")
TEXTS = {271: "Maker", 272: "Model 1", 306: "2024:01:02 03:04:05", 315: "Me", 33432: "Me 2024"}


@pytest.fixture
def beach(folder: Path) -> Path:
    """A photo of 300 DPI that says a good deal."""
    exif = Image.Exif()
    for tag, text in TEXTS.items():
        exif[tag] = text
    exif[274] = 6
    exif.get_ifd(0x8769)[36867] = "2023:12:31 23:59:59"
    exif.get_ifd(0x8825)[29] = "2023:12:31"
    Image.fromarray(pixels(folder / "photo.png")).save(folder / "beach.jpg", exif=exif, dpi=(300, 300))
    return folder


def said(path: Path) -> tuple[dict[int, object], dict[int, object], object]:
    """The tags of EXIF, those of its own directory, and the resolution."""
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        exif = picture.getexif()
        resolution = picture.info.get("dpi", (exif.get(282), exif.get(283)))
        return {tag: exif[tag] for tag in (*TEXTS, 274, 0x8825) if tag in exif}, exif.get_ifd(0x8769), resolution


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.webp", "x.tif"])
def test_a_picture_takes_over_what_is_wished(name: str, impasto: Command, beach: Path) -> None:
    assert impasto("beach.jpg", "one.png", "-o", name, *QUICK).status == 0
    tags, own, dpi = said(beach / name)
    assert (tags, own, dpi) == ({}, {}, pytest.approx((300, 300), abs=1e-3))
    run = impasto("beach.jpg", "one.png", "-o", name, "--keep-exif", "--overwrite", *QUICK)
    assert (run.status, "note:" in run.err) == (0, False)
    tags, own, dpi = said(beach / name)
    assert (tags, own, dpi) == (TEXTS, {36867: "2023:12:31 23:59:59"}, pytest.approx((300, 300), abs=1e-3))
    assert pixels(beach / name).shape == (24, 16, 3)  # upright


def test_a_photo_that_says_nothing_is_noted(impasto: Command, folder: Path) -> None:
    run = impasto("photo.png", "one.png", "-o", "x.png", "--keep-exif", *QUICK)
    assert run.status == 0
    assert "note: --keep-exif: the photo says neither date nor camera nor author; there is nothing to keep" in run.err
    assert impasto("photo.png", "one.png", "-o", "y.png", *QUICK).status == 0
    assert (folder / "x.png").read_bytes() == (folder / "y.png").read_bytes()


def test_a_stopped_run_keeps_it_too(impasto: Command, beach: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.paint import checkpoint

    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    held: list[bytes] = []
    remove = checkpoint.Keeper.remove

    def watched(self: checkpoint.Keeper) -> None:
        if self.path is not None and self.path.exists():
            held.append(self.path.read_bytes())
        remove(self)

    monkeypatch.setattr(checkpoint.Keeper, "remove", watched)
    kept = ("--keep-exif", "--checkpoint", "run.checkpoint")
    assert impasto("beach.jpg", "one.png", "-o", "x.png", *kept, *QUICK).status == 0
    first = (beach / "x.png").read_bytes()
    (beach / "x.png").unlink()
    (beach / "run.checkpoint").write_bytes(held[0])
    assert impasto("resume", "run.checkpoint").status == 0
    assert (beach / "x.png").read_bytes() == first
    assert said(beach / "x.png")[0] == TEXTS


def test_a_batch_keeps_it_under_another_key(impasto: Command, beach: Path) -> None:
    command = ("batch", "beach.jpg", "--style", "one.png", "--out", "out", "--format", "jpeg", *QUICK)
    for more in ((), ("--keep-exif",), ("--keep-exif",)):
        assert impasto(*command, *more).status == 0
    lines = [json.loads(line) for line in (beach / "out" / "manifest.jsonl").read_text().splitlines()]
    assert len(lines) == 2
    assert [said(beach / "out" / line["file"])[0] for line in lines] == [{}, TEXTS]


def test_in_python(beach: Path) -> None:
    result = package.stylize("beach.jpg", "one.png", size=24, iterations=2, levels=1)
    result.save("x.webp", keep_exif=True)
    assert said(beach / "x.webp")[0] == TEXTS
    (beach / "y.tif").write_bytes(result.encode(".tif", keep_exif=True))
    assert said(beach / "y.tif")[0] == TEXTS
    result.save("z", suffix=".jpg")
    assert said(beach / "z") == ({}, {}, (300, 300))
