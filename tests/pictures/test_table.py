"""The table of docs/pictures.md says what is so: every cell of every row is tried on a file made for it."""

from __future__ import annotations

import io
import re
import struct
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hostile
from impasto.files import Blob
from impasto.pictures import formats
from impasto.pictures.read import Picture, read

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("Format", "Needs", "Bits kept", "Colours by", "Transparency", "Notes")
PIXEL = (190, 110, 90)
P3_PIXEL = (203, 105, 84)  # the same light in sRGB, by either way of naming Display P3, to within 4
STEPS = {8: (2, 10), 10: (12, 60), 16: (50, 64)}  # how many of 64 levels between 20,000 and 22,000 stay apart


def rows() -> dict[str, dict[str, str]]:
    """The table by format."""
    found = {}
    for line in (ROOT / "docs" / "pictures.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == len(COLUMNS) and cells[0] != "Format" and set(cells[0]) != {"-"}:
            found[cells[0]] = dict(zip(COLUMNS, cells, strict=True))
    return found


ROWS = rows()
PACKAGES = {"JPEG XL": "pillow_jxl", "RAW": "rawpy"}


def made(name: str, values: np.ndarray, profile: bytes | None = None) -> bytes:
    """A file of the format, of H×W×1, ×3 or ×4 at 16 bits, as deep as the format's writer can."""
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    eight = np.squeeze((values >> 8).astype(np.uint8))
    options = {"icc_profile": profile} if profile else {}
    match name:
        case "TIFF":
            more = {"extrasamples": ["unassalpha"]} if values.shape[2] == 4 else {}
            more |= {"iccprofile": profile} if profile else {}
            return hostile.tiff16(values, photometric="rgb", **more)
        case "HEIC":
            deep = not profile and values.shape[2] == 3
            return hostile.heic(values if deep else eight, quality=100, **options)
        case "RAW":
            return hostile.dng(values[..., :3] / 257)
        case "JPEG XL" if profile:  # the writer takes a profile only along with a JPEG
            return packed_jpeg(made("JPEG", values, profile))
        case "PNG" | "JPEG XL" if values.shape[2] == 1:
            image = Image.fromarray(values[..., 0])
            return hostile.jxl(image) if name == "JPEG XL" else hostile.encode(image, "PNG")
        case "JPEG XL":
            return hostile.jxl(eight)
        case "JPEG":
            return hostile.encode(eight[..., :3], name, quality=100, subsampling=0, **options)
        case "AVIF":
            return hostile.encode(eight, name, quality=100, subsampling="4:4:4", **options)
        case "WebP":
            return hostile.encode(eight, "WEBP", lossless=True, **options)
        case "GIF" if values.shape[2] == 4:
            image = Image.fromarray(eight[..., 0] // 255)
            return hostile.encode(image, name, transparency=0)
        case "BMP":
            return hostile.encode(eight[..., :3], name)
    return hostile.encode(eight, name, **options)


def packed_jpeg(data: bytes) -> bytes:
    """A JPEG inside a JPEG XL, to the bit."""
    import pillow_jxl

    image = Image.open(io.BytesIO(data))
    encoder = pillow_jxl.Encoder(mode=image.mode, lossless=True)
    return bytes(encoder(data, image.width, image.height, jpeg_encode=True))


def parsed(data: bytes) -> Picture:
    return read(Blob.of("x", data))


def flat(*pixel: int) -> np.ndarray:
    return np.tile(np.array(pixel, np.uint16) * 257, (32, 32, 1))


def test_the_table_has_every_format_and_every_extra() -> None:
    assert [{"HEIC": "HEIF", "JPEG XL": "JXL"}.get(name, name.upper()) for name in ROWS] == list(formats.FORMATS)
    for name in ROWS:
        assert name in formats.NAMES
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for name, row in ROWS.items():
        needs = re.findall(r"`impasto\[(\w+)\]`", row["Needs"])
        assert bool(needs) == (name in PACKAGES)
        assert all(extra in extras and extra in extras["all"][0] for extra in needs)


@pytest.mark.parametrize("name", ROWS)
def test_the_bits_are_kept(name: str) -> None:
    colour, _, grey = ROWS[name]["Bits kept"].partition("; grey ")
    ramp = np.linspace(20_000, 22_000, 64).round().astype(np.uint16)
    values = np.tile(ramp[None, :, None], (32, 1, 3))
    for depth, data in ((int(colour), values), (int(grey or 0), values[..., :1])):
        if depth:
            low, high = STEPS[depth]
            rgb = parsed(made(name, data)).rgb
            assert low <= len(rgb[0, 8].unique()) <= high, depth
            if name != "RAW" and not (name == "JPEG XL" and depth == 16):  # whose writer calls 16 bits linear light
                assert abs(float(rgb.mean()) - 21_000 / 65_535) < 0.01


@pytest.mark.parametrize("name", ROWS)
def test_colours_are_told_by_what_the_table_says(name: str) -> None:
    said = ROWS[name]["Colours by"]
    plain = parsed(made(name, flat(*PIXEL))).rgb[:, 8, 8].numpy() * 255
    if said == "the camera":
        assert plain[0] > 1.3 * plain[1] > 1.3 * plain[2]
        return
    assert plain == pytest.approx(PIXEL, abs=4)
    for way in filter(None, said.split(", ")):
        assert way in {"ICC", "nclx", "cICP", "gAMA", "cHRM"}
        rgb = parsed(coloured(name, way)).rgb[:, 8, 8].numpy() * 255
        wanted = (255 * (np.array(PIXEL) / 255) ** (1 / 2.2)) if way == "gAMA" else P3_PIXEL
        assert rgb == pytest.approx(wanted, abs=4), way


def coloured(name: str, way: str) -> bytes:
    """A flat picture in Display P3, or for gAMA in linear light, by one way of saying so."""
    p3 = [31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000]
    chunks = {
        "cICP": hostile.png_chunk(b"cICP", bytes([12, 13, 0, 1])),
        "gAMA": hostile.png_chunk(b"gAMA", struct.pack(">I", 100_000)),
        "cHRM": hostile.png_chunk(b"cHRM", struct.pack(">8I", *p3)),
    }
    if way == "ICC":
        return made(name, flat(*PIXEL), hostile.matrix_profile(hostile.P3))
    if way == "nclx" and name == "HEIC":
        return hostile.heic(np.uint8(flat(*PIXEL) >> 8), color_primaries=12, transfer_characteristics=13)
    if way == "nclx":
        data = made(name, flat(*PIXEL))
        at = data.index(b"colrnclx") + 8
        return data[:at] + struct.pack(">HH", 12, 13) + data[at + 4 :]
    return hostile.png_with(made(name, flat(*PIXEL)), chunks[way])


@pytest.mark.parametrize("name", ROWS)
def test_transparency_is_kept_where_the_table_says_so(name: str) -> None:
    values = flat(255, 255, 255, 255)
    values[:16] = 0
    alpha = parsed(made(name, values)).alpha
    assert (alpha is not None) == (ROWS[name]["Transparency"] == "yes")
    if alpha is not None:
        assert alpha[0, 2, 8] < 0.02
        assert alpha[0, 29, 8] > 0.98
