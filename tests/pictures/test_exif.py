"""What a result takes over from its photo: the resolution always, a few tags of EXIF where it is wished."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, TiffImagePlugin

import hostile
from impasto.files import Blob
from impasto.paint.scene import prepare
from impasto.pictures.encode import encode, write
from impasto.pictures.exif import About, about
from impasto.recipe import Recipe

TEXTS = {271: "Maker", 272: "Model 1", 306: "2024:01:02 03:04:05", 315: "Zo\xeb", 33432: "\xa9 Zo\xeb"}
OWN = {36867: "2023:12:31 23:59:59", 42036: "50mm F1.8"}
ALL = {**TEXTS, **OWN}
FORMS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "tiff": ".tif"}
SECRET = b"secret place"


def exif_of(orientation: int = 1, **resolution: Any) -> Image.Exif:
    """All that is handed on, and all that never is."""
    exif = Image.Exif()
    for tag, text in TEXTS.items():
        exif[tag] = text.encode("latin-1")
    exif[270] = exif[40092] = SECRET  # a description, and what Windows adds
    exif[274] = orientation
    own = exif.get_ifd(0x8769)
    own.update(OWN)
    own[37500] = own[37510] = SECRET  # the maker's note, the user's comment
    own[42033] = SECRET.decode()  # the camera's serial number
    exif.get_ifd(0x8825).update({1: "N", 2: (59.0, 21.0, 0.5), 29: SECRET.decode()})
    for name, value in resolution.items():
        exif[{"across": 282, "down": 283, "unit": 296}[name]] = value
    return exif


def photo(form: str = "jpeg", exif: Image.Exif | None = None, **options: Any) -> Blob:
    more = {} if exif is None else {"exif": exif.tobytes()}
    return Blob.of(f"photo.{form}", hostile.encode(hostile.photo(), form.upper(), **more, **options))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def rgb() -> torch.Tensor:
    return torch.from_numpy(hostile.photo()).permute(2, 0, 1) / 255


# ---- what a photo says ----


@pytest.mark.parametrize("form", FORMS)
def test_tags_are_read_from_every_format(form: str) -> None:
    said = about(photo(form, exif_of(6)), "content photo")
    letters = "ascii" if form == "tiff" else "latin-1"  # Pillow writes a TIFF so
    assert said == About(None, {tag: text.encode(letters, "replace").decode(letters) for tag, text in ALL.items()})
    scene = prepare(opened(photo(form, exif_of()).data), hostile.photo(), Recipe(size=24))
    assert scene.about == said
    assert not any("EXIF" in notice for notice in scene.notices)


def jfif(unit: int, across: int, down: int) -> Blob:
    data = bytearray(photo().data)
    at = data.index(b"JFIF\0") + 7
    data[at : at + 5] = bytes([unit]) + across.to_bytes(2, "big") + down.to_bytes(2, "big")
    return Blob.of("photo.jpg", bytes(data))


def tiff(resolution: tuple[float, float], unit: str) -> Blob:
    return Blob.of(
        "photo.tif", hostile.tiff16(hostile.photo(), photometric="rgb", resolution=resolution, resolutionunit=unit)
    )


def physical(across: int, down: int, unit: int) -> Blob:
    data, chunk = photo("png").data, across.to_bytes(4, "big") + down.to_bytes(4, "big") + bytes([unit])
    return Blob.of("photo.png", data[:33] + hostile.png_chunk(b"pHYs", chunk) + data[33:])  # behind the header


@pytest.mark.parametrize(
    ("source", "dpi"),
    [
        (photo("jpeg"), None),
        (photo("png"), None),
        (photo("webp"), None),
        (photo("tiff"), None),
        (photo("gif"), None),
        (jfif(0, 300, 300), None),  # a shape of pixels, no resolution
        (jfif(1, 300, 150), (300, 150)),
        (jfif(2, 100, 100), (254, 254)),
        (jfif(1, 0, 0), None),
        (physical(11811, 5906, 1), (300, 150)),
        (physical(2835, 2835, 1), (72, 72)),
        (physical(4000, 4000, 1), (101.6, 101.6)),
        (physical(2, 1, 0), None),
        (tiff((300, 299.5), "INCH"), (300, 299.5)),
        (tiff((100, 100), "CENTIMETER"), (254, 254)),
        (tiff((300, 300), "NONE"), None),
        (photo("bmp", dpi=(150, 150)), (150, 150)),
        (photo("webp", exif_of(across=240.0, down=240.0, unit=2)), (240, 240)),
        (photo("jpeg", exif_of(across=100.0, down=50.0, unit=3)), (254, 127)),
        (photo("jpeg", exif_of(across=240.0, down=240.0)), (240, 240)),  # inches, unless it says
        (photo("jpeg", exif_of(across=240.0, down=240.0, unit=1)), None),
        (photo("jpeg", exif_of()), None),  # where Pillow says 72
        (photo("jpeg", exif_of(6, across=300.0, down=150.0, unit=2)), (150, 300)),  # upright
        (photo("png", exif_of(across=0.0, down=0.0, unit=2)), None),
        (photo("png", exif_of(across=TiffImagePlugin.IFDRational(1, 0), unit=2)), None),
        (photo("png", exif_of(across=1e9, unit=2)), None),
        (hostile.photo(), None),
        (Blob.of("x", b"no picture"), None),
        (Image.new("RGB", (4, 4)), None),
    ],
)
def test_resolution(source: Any, dpi: tuple[float, float] | None) -> None:
    found = about(source, "content photo").dpi
    assert found is dpi is None or found == pytest.approx(dpi, abs=1e-3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("block", [hostile.broken_exif(), b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff"])
def test_damaged_exif_is_a_notice_once(form: str, block: bytes) -> None:
    blob = Blob.of(
        "photo", hostile.encode(hostile.photo(), form, exif=block, **({} if form == "WEBP" else {"dpi": (150, 150)}))
    )
    said = about(blob, "content photo")
    assert (said.tags, said.damaged) == ({}, True)
    scene = prepare(blob, hostile.photo(), Recipe(size=24))
    assert sum("EXIF" in notice for notice in scene.notices) == 1
    if form != "WEBP":
        assert scene.about.dpi == (150, 150)


@pytest.mark.parametrize(("tag", "value"), [(271, "x" * 1001), (315, 7), (272, (1.5, 2.5))])
def test_what_is_no_text_is_left_out(tag: int, value: Any) -> None:
    exif = exif_of()
    exif[tag] = value
    if tag == 272:
        exif = exif_of()
        exif.get_ifd(0x8769)[42036] = value
        tag = 42036
    said = about(photo("png", exif), "content photo")
    assert said.damaged is True or tag == 315  # a number is written as text
    assert {**said.tags, tag: ""} == {**TEXTS, **OWN, tag: ""}


# ---- what a result says ----


@pytest.mark.parametrize("suffix", FORMS.values())
def test_a_result_says_what_the_photo_said_and_no_more(suffix: str) -> None:
    said = about(photo("jpeg", exif_of(6, across=300.0, down=150.0, unit=2)), "content photo")
    data = encode(rgb(), None, f"x{suffix}", about=said, metadata={"a": 1})
    again = about(Blob.of("x", data), "x")
    assert again == said
    assert again.dpi == (150, 300)
    assert SECRET not in data
    exif = opened(data).getexif()
    assert 274 not in exif or exif[274] == 1
    assert (exif.get_ifd(0x8825), exif.get_ifd(0x8769).keys()) == ({}, OWN.keys())
    assert np.abs(np.asarray(opened(data).convert("RGB")).astype(int) - hostile.photo()).max() < 60


@pytest.mark.parametrize("suffix", FORMS.values())
def test_a_result_without_exif_has_the_resolution_alone(suffix: str) -> None:
    said = about(photo("png", exif_of(), dpi=(300, 300)), "content photo").bare
    data = encode(rgb(), None, f"x{suffix}", about=said)
    assert about(Blob.of("x", data), "x") == About((300, 300))
    assert b"Maker" not in data
    assert ("exif" in opened(data).info) is (suffix == ".webp")


@pytest.mark.parametrize("suffix", FORMS.values())
def test_of_a_photo_that_says_nothing_not_a_bit_is_another(suffix: str) -> None:
    assert encode(rgb(), None, f"x{suffix}", about=about(photo("png"), "x")) == encode(rgb(), None, f"x{suffix}")
    assert "dpi" not in opened(encode(rgb(), None, f"x{suffix}")).info


def test_deep_tiff_with_all_tags_stays_whole() -> None:
    alpha = torch.linspace(0, 1, 24 * 32).reshape(1, 24, 32)
    said = About((300.5, 150.25), ALL)
    data = encode(rgb(), alpha, "x.tif", about=said, metadata={"a": 1})
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert len(file.pages) == 1
        assert np.array_equal(page.asarray()[..., :3], hostile.photo().astype(np.uint16) * 257)  # type: ignore[union-attr]
        assert page.tags["Make"].value == "Maker"  # type: ignore[union-attr]
        assert page.tags["ExifTag"].value["DateTimeOriginal"] == OWN[36867]  # type: ignore[union-attr]
        assert 34_666 not in page.tags  # type: ignore[union-attr]
    assert about(Blob.of("x", data), "x") == said


def test_write_takes_it_likewise(tmp_path: Path) -> None:
    said = About((300, 300), ALL)
    path = write(tmp_path / "x.webp", rgb(), about=said)
    assert about(Blob.of("x", path.read_bytes()), "x") == said


@pytest.mark.parametrize("form", FORMS)
def test_damage_anywhere_costs_at_most_the_tags(form: str) -> None:
    data, counted = photo(form, exif_of(across=300.0, down=300.0, unit=2)).data, 0
    for changed in hostile.mutations(data, 300):
        said = about(Blob.of("x", changed), "x")
        counted += bool(said.tags)
        for suffix in FORMS.values() if said.damaged and said.tags else ():
            again = about(Blob.of("x", encode(rgb(), None, f"x{suffix}", about=said)), "x")
            assert again.tags.keys() == said.tags.keys()
    assert counted > 30


@pytest.mark.parametrize("suffix", FORMS.values())
def test_photographer_and_editor(suffix: str) -> None:
    said = About(tags={33432: "photographer\0editor", 42036: "a\x1b[2J\n"})
    assert about(Blob.of("x", encode(rgb(), None, f"x{suffix}", about=said)), "x").tags == said.tags
