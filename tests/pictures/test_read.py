"""Reading pictures: every format and mode, odd sources, and files that mean harm (tests/hostile.py makes them)."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import socket
import subprocess
import threading
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

import hostile
from impasto.errors import ImageReadError, OutputError
from impasto.pictures import decode
from impasto.pictures import formats as files
from impasto.pictures import read as reading
from impasto.pictures.encode import to_array
from impasto.pictures.read import read
from impasto.pictures.resize import fit, resize

GREY = torch.linspace(0, 255, 256).round() / 255


def stored(folder: Path, data: bytes, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def refusal(source: object, *words: str) -> str:
    """The message of the refusal: one printable line that says all of `words`."""
    with pytest.raises(ImageReadError) as caught:
        read(source)
    message = str(caught.value)
    assert message.isprintable()
    for word in words:
        assert word in message
    return message


# --- formats ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", hostile.samples())
def test_every_format_is_read(tmp_path: Path, name: str) -> None:
    data = hostile.samples()[name]
    picture = read(stored(tmp_path, data, "no suffix"))
    assert picture.size == ((32, 24) if name == "jpeg" else (24, 32))  # that one is stored turned
    assert picture.rgb.dtype == torch.float32
    assert picture.rgb.is_contiguous()
    assert 0 <= picture.rgb.min() < 0.3
    assert 0.7 < picture.rgb.max() <= 1
    assert picture.name == "no suffix"
    said = {name: "only the first" for name in hostile.samples() if name.endswith(("apng", "-animated", "-pages"))}
    said |= {"tiff-float": "float32 samples, taken as 0…1", "tiff-int16": "int16 samples, taken as 0…32767"}
    assert len(picture.notices) == (name in said)
    assert said.get(name, "") in "".join(picture.notices)


LOSSLESS = ["png", "apng", "webp", "webp-animated"]
LOSSLESS += ["tiff" + kind for kind in ("", "-lzw", "-pages", "-deep", "-deep-lzw", "-float", "-thumbnail")]


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_the_samples(tmp_path: Path, name: str) -> None:
    data = hostile.samples()[name] if name != "png" else hostile.encode(hostile.photo(), "PNG")
    expected = torch.from_numpy(hostile.photo()).permute(2, 0, 1) / 255
    assert (read(stored(tmp_path, data)).rgb - expected).abs().max() < 1e-6


@pytest.mark.parametrize("name", hostile.samples())
def test_a_cut_file_is_refused_or_wholly_there(tmp_path: Path, name: str) -> None:
    """Where only a trailer is missing every pixel can still be read; a half picture never is."""
    data = hostile.samples()[name]
    whole = read(stored(tmp_path, data)).rgb
    refused = 0
    for index, part in enumerate(hostile.cuts(data)):
        try:
            assert torch.equal(read(stored(tmp_path, part)).rgb, whole)
            assert index > 1
        except ImageReadError:
            refused += 1
    assert refused >= 2


FUZZ = """
import json, resource, time, warnings
from pathlib import Path
import hostile, torch
from impasto.pictures import read as reading
from impasto.errors import ImageReadError
torch.set_num_threads(1)
reading.MAX_PIXELS = 4_000_000  # a header may claim as many: that much time and memory is granted
path, count = Path(sys.argv[1]), int(sys.argv[2])
reading.read(torch.zeros(3, 2000, 2000))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
worst, tally = (0.0, ""), {}
for seed, (name, data) in enumerate(hostile.samples().items()):
    counted = 0
    family = [other for other in hostile.samples() if hostile.family(other) == hostile.family(name)]
    share = -(-count // len(family) // 2)
    swaps, edits = hostile.chunk_swaps(data, share // 2, seed), hostile.length_edits(data, share // 2, seed)
    for changed in (*hostile.mutations(data, share, seed), *swaps, *edits):
        changed = hostile.png_checksums(changed) if hostile.family(name) == "png" else changed
        path.write_bytes(changed)
        start = time.perf_counter()
        try:
            picture = reading.read(path)
            counted += 1
            assert picture.rgb.shape[0] == 3 and 0 <= picture.rgb.min() and picture.rgb.max() <= 1, name
            assert all(n.isprintable() for n in picture.notices), picture.notices
        except ImageReadError as error:
            assert str(error).isprintable(), error
        except BaseException:
            Path(str(path) + ".bad").write_bytes(changed)
            raise
        worst = max(worst, (time.perf_counter() - start, name))
    tally[name] = counted
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"worst": worst, "grown_mb": (after - before) / 1024, "read": tally}))
"""


def test_mutated_files_give_a_picture_or_our_error(tmp_path: Path) -> None:
    count = int(os.environ.get("IMPASTO_FUZZ", "500"))
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))\n"
    done = hostile.child(limit + FUZZ, str(tmp_path / "mutant"), str(count), seconds=600)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert report["worst"][0] < 2
    assert report["grown_mb"] < 300
    assert sum(report["read"].values()) > count  # else the mutations would test nothing but the headers


# --- bombs and strangers ------------------------------------------------------------------------------------------

BOMBS = {
    "png header": hostile.png_bomb,
    "bmp header": hostile.bmp_bomb,
    "gif second frame": hostile.gif_frame_bomb,
    "png text": hostile.png_text_bomb,
    "png international text": lambda: hostile.png_text_bomb(b"iTXt"),
    "png profile": lambda: hostile.png_text_bomb(b"iCCP"),
    "tiff strip": hostile.tiff_strip_bomb,
}

BOMB = """
import resource, time
from pathlib import Path
import hostile, torch
from impasto.pictures.read import read
from impasto.errors import ImageReadError
import tifffile
read(torch.zeros(3, 8, 8))
for path in sorted(Path(sys.argv[1]).iterdir()):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    try:
        assert read(path).size == ((1, 1) if path.name.startswith("png") else (4, 4))
        said = "read"
    except ImageReadError as error:
        said = "refused"
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 64 and seconds < 1, (path.name, grown, seconds)
    print(path.name + ": " + said)
"""


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    for name, make in BOMBS.items():
        stored(tmp_path, make(), name)
    done = hostile.child(BOMB, str(tmp_path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert sorted(done.stdout.splitlines()) == sorted(
        f"{name}: {'refused' if name.endswith(('header', 'strip')) else 'read'}" for name in BOMBS
    )


def test_the_pixel_limit_is_ours_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_PIXELS", 24 * 32 - 1)
    path = stored(tmp_path, hostile.samples()["png"])
    for source in (path, opened(path.read_bytes()), hostile.photo(), torch.zeros(3, 24, 32), hostile.photo()[..., 0]):
        refusal(source, "32×24", "768", "767")
    monkeypatch.setattr(reading, "MAX_PIXELS", 24 * 32)
    assert read(path).size == (24, 32)


def test_pillow_s_own_limit_neither_refuses_nor_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path, hostile.samples()["png"])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert read(path).notices == ()
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("name", hostile.foreign())
def test_other_formats_are_refused_by_content(tmp_path: Path, name: str) -> None:
    named = {"film": "film", "eps": "PostScript", "svg": "SVG", "html": "web page", "psd": "Photoshop", "pdf": "PDF"}
    data = hostile.foreign()[name]
    refusal(stored(tmp_path, data, "picture.png"), "picture.png", "is not JPEG, PNG", named.get(name, ""))


def test_postscript_starts_no_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = tmp_path / "started"
    fake = stored(tmp_path, f"#!/bin/sh\ntouch {marker}\n".encode(), "gs")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    subprocess.run(["gs"], check=True)
    assert marker.exists()
    marker.unlink()
    refusal(stored(tmp_path, hostile.foreign()["eps"], "a.png"))
    assert not marker.exists()


# --- modes --------------------------------------------------------------------------------------------------------


def grey_sources() -> dict[str, Image.Image | np.ndarray]:
    """The ramp 0…255 in every mode that can hold it, and in every type of array."""
    ramp = hostile.ramp()
    grey = Image.fromarray(ramp)
    deep = ramp.astype(np.uint16) * 257
    lab = ImageCms.createProfile("LAB")
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    palette = Image.frombytes("P", (256, 2), ramp.tobytes())
    palette.putpalette([level for level in range(256) for _ in range(3)])
    opaque = Image.new("L", grey.size, 255)
    big_endian = Image.frombytes("I;16B", grey.size, deep.astype(">u2").tobytes())
    return {
        "L": grey,
        "LA": Image.merge("LA", (grey, opaque)),
        "P": palette,
        "PA": palette.convert("PA"),
        "RGB": grey.convert("RGB"),
        "RGBA": grey.convert("RGBA"),
        "RGBa": grey.convert("RGBA").convert("RGBa"),
        "RGBX": grey.convert("RGB").convert("RGBX"),
        "CMYK": grey.convert("RGB").convert("CMYK"),
        "YCbCr": grey.convert("RGB").convert("YCbCr"),
        "HSV": grey.convert("RGB").convert("HSV"),
        "LAB": to_lab.apply(grey.convert("RGB")),
        "I": grey.convert("I"),
        "I of 16 bits": Image.fromarray(deep.astype(np.int32)),
        "I of 31 bits": Image.fromarray((ramp.astype(np.int64) * (2**31 - 1) // 255).astype(np.int32)),
        "I;16": Image.fromarray(deep),
        "I;16B": big_endian,
        "F": grey.convert("F"),
        "F of 0…1": Image.fromarray(ramp.astype(np.float32) / 255),
        "array uint8": ramp,
        "array uint16": deep,
        "array big-endian": deep.astype(">u2"),
        "array float16": (ramp / 255).astype(np.float16),
        "array float32": (ramp / 255).astype(np.float32),
        "array float64": ramp / 255,
        "array RGB": np.repeat(ramp[..., None], 3, axis=2),
        "array turned": np.asfortranarray(ramp[::-1]),
    }


@pytest.mark.parametrize("name", grey_sources())
def test_a_ramp_of_greys_survives_every_mode(name: str) -> None:
    picture = read(grey_sources()[name])
    assert picture.size == (2, 256)
    assert picture.alpha is None
    error = 2 if name == "LAB" else 1  # 255 steps of L* are coarser than those of sRGB in the darks
    assert (picture.rgb - GREY).abs().max() <= error / 255 + 1e-6
    assert len(picture.notices) == (name[0] in "IF" and ";" not in name)


def test_bilevel_is_black_and_white() -> None:
    bits = np.array([[True, False, True], [False, False, True]])
    assert torch.equal(read(Image.fromarray(bits)).rgb[0], torch.from_numpy(bits).float())


@pytest.mark.parametrize(
    ("form", "mode"),
    [
        *[("TIFF", mode) for mode in ["1", "L", "LA", "P", "CMYK", "LAB", "I;16", "I;16B", "I", "F", "RGBX"]],
        *[("PNG", mode) for mode in ["1", "L", "LA", "P", "I;16"]],
        *[("JPEG", "CMYK"), ("BMP", "1"), ("BMP", "P"), ("GIF", "L"), ("WEBP", "RGBA")],
    ],
)
def test_a_ramp_of_greys_survives_the_files(tmp_path: Path, form: str, mode: str) -> None:
    image = grey_sources()[mode] if mode != "1" else Image.fromarray(hostile.ramp()).convert("1")
    options = {"JPEG": {"quality": 100}, "WEBP": {"lossless": True}}.get(form, {})
    picture = read(stored(tmp_path, hostile.encode(image, form, **options)))
    expected = torch.from_numpy(np.asarray(image).astype(np.float32)) if mode == "1" else GREY
    assert (picture.rgb - expected).abs().max() <= (2 if form == "JPEG" or mode == "LAB" else 1) / 255 + 1e-6


def test_sixteen_bits_stay_sixteen(tmp_path: Path) -> None:
    deep = np.arange(3 * 8 * 16, dtype=np.uint16).reshape(8, 16, 3) * 150 + 7
    expected = torch.from_numpy(deep.astype(np.float32) / 65_535).permute(2, 0, 1)
    alpha = np.concatenate([deep, np.full((8, 16, 1), 30_000, np.uint16)], axis=2)
    ways = {
        "array": deep,
        "png": hostile.encode(Image.fromarray(deep[..., 0]), "PNG"),
        "tiff": hostile.tiff16(deep, photometric="rgb"),
        "big-endian": hostile.tiff16(deep, photometric="rgb", byteorder=">"),
        "deflate": hostile.tiff16(deep, photometric="rgb", compression="zlib", predictor=True),
        "planar": hostile.tiff16(np.moveaxis(deep, 2, 0).copy(), photometric="rgb", planarconfig="separate"),
        "tiles": hostile.tiff16(deep, photometric="rgb", tile=(16, 16), compression="zlib"),
        "alpha": hostile.tiff16(alpha, photometric="rgb", extrasamples=["unassalpha"]),
        "srgb": hostile.tiff16(deep, photometric="rgb", iccprofile=hostile.srgb()),
        "grey": hostile.tiff16(deep[..., 0], photometric="minisblack"),
        "white is zero": hostile.tiff16(65_535 - deep[..., 0], photometric="miniswhite"),
    }
    for name, way in ways.items():
        picture = read(stored(tmp_path, way) if isinstance(way, bytes) else way)
        wanted = expected[:1].expand(3, -1, -1) if name in ("png", "grey", "white is zero") else expected
        assert (picture.rgb - wanted).abs().max() < 1e-6, name
        assert (picture.alpha is not None) == (name == "alpha")
        assert picture.notices == (), name


def test_premultiplied_sixteen_bit_tiff(tmp_path: Path) -> None:
    colour = np.array([40_000, 20_000, 10_000, 40_000], np.uint16)  # 1, ½, ¼ under alpha 40,000
    values = np.tile(colour, (4, 4, 1))
    picture = read(stored(tmp_path, hostile.tiff16(values, photometric="rgb", extrasamples=["assocalpha"])))
    assert picture.rgb[:, 0, 0].tolist() == pytest.approx([1, 0.5, 0.25], abs=1e-4)
    assert float(picture.alpha[0, 0, 0]) == pytest.approx(40_000 / 65_535)


def test_what_is_read_at_eight_bits_says_so(tmp_path: Path) -> None:
    deep = hostile.photo().astype(np.uint16) * 257
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in deep)
    for data, word in (
        (hostile.png(32, 24, 16, 2, rows), "16-bit colour PNG"),
        (
            hostile.tiff16(deep, photometric="rgb", iccprofile=hostile.matrix_profile(hostile.P3)),
            "other colours than sRGB",
        ),
    ):
        picture = read(stored(tmp_path, data))
        assert len(picture.notices) == 1
        assert word in picture.notices[0]
        assert (picture.rgb - torch.from_numpy(hostile.photo()).permute(2, 0, 1) / 255).abs().max() < 0.25


def test_twelve_bit_tiff_reaches_white(tmp_path: Path) -> None:
    strip = bytes([0xFF, 0xF0, 0x00, 0x80, 0x0F, 0xFF])  # 4095, 0, 2048, 4095
    tags = {256: 4, 257: 1, 258: (12,), 259: 1, 262: 1, 277: 1, 278: 1}
    picture = read(stored(tmp_path, hostile.tiff(tags, strip)))
    assert picture.rgb[0, 0].tolist() == pytest.approx([1, 0, 2048 / 4095, 1], abs=1e-4)


def test_float_pictures_out_of_any_range_are_refused() -> None:
    refusal(Image.fromarray(np.array([[0, np.nan]], np.float32)), "NaN")
    refusal(Image.fromarray(np.array([[0, 1e9]], np.float32)), "1e+09", "0…1")


# --- alpha --------------------------------------------------------------------------------------------------------


def test_colours_under_full_transparency_become_the_mean_of_the_visible() -> None:
    values = np.zeros((1, 4, 4), np.uint8)
    values[0] = [[255, 0, 0, 255], [0, 0, 255, 128], [9, 200, 7, 0], [77, 1, 1, 0]]
    picture = read(values)
    expected = torch.tensor([[1, 0, 0], [0, 0, 1], [0.5, 0, 0.5], [0.5, 0, 0.5]])
    assert torch.allclose(picture.rgb[:, 0].T, expected)
    assert torch.allclose(picture.alpha[0, 0], torch.tensor([255, 128, 0, 0]) / 255)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA", "P", "1", "L", "RGB", "I;16"])
def test_every_kind_of_transparency(tmp_path: Path, mode: str) -> None:
    """White left, black right; the right half is transparent."""
    grey = np.repeat(np.array([[255, 255, 0, 0]], np.uint8), 2, axis=0)
    image = Image.fromarray(grey)
    keys = {"P": 0, "1": 0, "L": 0, "RGB": (0, 0, 0), "I;16": 0}
    if mode in ("LA", "RGBA", "PA"):
        source: object = Image.merge("LA", (image, image)).convert("RGBA" if mode == "RGBA" else "LA")
        if mode == "PA":
            source = image.convert("P")
            source.putalpha(image)
        assert source.mode == mode
    else:
        image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
        key = image.getpixel((3, 0)) if mode == "P" else keys[mode]
        source = stored(tmp_path, hostile.encode(image, "PNG", transparency=key))
    picture = read(source)
    assert torch.equal(picture.alpha[0], torch.from_numpy(grey).float() / 255)
    assert picture.rgb.min() == 1  # hidden black replaced by the mean of the visible, white


def test_opaque_alpha_is_none_and_a_wholly_transparent_picture_is_grey() -> None:
    values = np.full((2, 2, 4), 255, np.uint8)
    assert read(values).alpha is None
    values[..., 3] = 0
    picture = read(values)
    assert torch.equal(picture.rgb, torch.full((3, 2, 2), 0.5))
    assert "wholly transparent" in picture.notices[0]


# --- orientation and EXIF -----------------------------------------------------------------------------------------

STORED = {  # how a camera stores an upright picture under each orientation, by numpy
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.T,
    6: np.rot90,
    7: lambda a: a[::-1, ::-1].T,
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP", "JPEG", "deep TIFF", "Pillow image"])
@pytest.mark.parametrize("orientation", STORED)
def test_orientation_comes_out_upright(tmp_path: Path, form: str, orientation: int) -> None:
    upright = hostile.letter_f()
    turned = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright))).convert("RGB")
    block = hostile.exif(orientation)
    if form == "deep TIFF":
        deep = np.asarray(turned).astype(np.uint16) * 257
        data = hostile.tiff16(deep, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
        source: object = stored(tmp_path, data)
    elif form == "Pillow image":
        source = opened(hostile.encode(turned, "PNG", exif=block))
    else:
        lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}.get(form, {})
        source = stored(tmp_path, hostile.encode(turned, form, exif=block, **lossless))
    assert np.array_equal(read(source).rgb[0].numpy() > 0.5, upright > 0)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_malformed_exif_does_not_stop_a_picture(tmp_path: Path, form: str) -> None:
    broken = [hostile.broken_exif(), b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
    for block in broken:
        picture = read(stored(tmp_path, hostile.encode(hostile.photo(), form, exif=block)))
        assert picture.size == (24, 32)
        assert all(notice.isprintable() for notice in picture.notices)


# --- colour profiles ----------------------------------------------------------------------------------------------


def p3_to_srgb(pixel: tuple[int, int, int], gamma: float = 2.2) -> np.ndarray:
    """The sRGB 0…255 of a pixel in hostile.P3, by the definitions of both spaces (matrices relative to D50)."""
    srgb = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    linear = np.linalg.solve(srgb, hostile.P3 @ (np.array(pixel) / 255) ** gamma).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_wide_gamut_profile_is_converted(tmp_path: Path, form: str) -> None:
    profile = hostile.matrix_profile(hostile.P3)
    for pixel in ((200, 100, 50), (60, 180, 90), (255, 0, 0)):
        image = Image.new("RGB", (16, 16), pixel)
        options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
        picture = read(stored(tmp_path, hostile.encode(image, form, icc_profile=profile, **options)))
        assert picture.rgb[:, 0, 0].numpy() * 255 == pytest.approx(p3_to_srgb(pixel), abs=2)
        assert picture.notices == ()
    assert abs(p3_to_srgb((200, 100, 50)) - [200, 100, 50]).max() > 10  # the profile matters


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "1"])
def test_a_profile_with_any_mode(mode: str) -> None:
    image = Image.new("RGBA", (4, 4), (150, 150, 150, 100))
    image = image.convert("RGB").convert("P") if mode == "P" else image.convert(mode)
    plain = read(image)
    image.info["icc_profile"] = hostile.matrix_profile(hostile.P3, gamma=1.8)
    picture = read(image)
    assert picture.notices == ()
    assert (picture.alpha is None) == (mode in ("L", "P", "1"))
    assert torch.all(picture.rgb - plain.rgb > 0.02) == (mode != "1")  # gamma 1.8 is brighter than sRGB


def test_a_grey_profile_at_eight_and_sixteen_bits() -> None:
    profile = hostile.matrix_profile(None, gamma=1.0)
    deep = np.array([[0, 14_000, 14_020, 65_535]], np.uint16)
    expected = 1.055 * (deep[0] / 65_535) ** (1 / 2.4) - 0.055
    expected[0] = 0
    for source in (Image.fromarray(deep), Image.fromarray((deep // 257).astype(np.uint8))):
        source.info["icc_profile"] = profile
        assert read(source).rgb[0, 0].numpy() == pytest.approx(expected, abs=0.004)
    source = Image.fromarray(deep)
    source.info["icc_profile"] = profile
    first, second = read(source).rgb[0, 0, 1:3]
    assert 0 < second - first < 1 / 255  # still finer than 8 bits


def test_srgb_under_any_name_changes_nothing() -> None:
    image = Image.fromarray(hostile.photo())
    plain = read(image).rgb
    image.info["icc_profile"] = hostile.srgb()
    assert torch.equal(read(image).rgb, plain)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "CMYK", "I;16", "P"])
@pytest.mark.parametrize("profile", [b"garbage", hostile.srgb()[:200], bytes(4000)])
def test_a_broken_profile_is_a_notice(mode: str, profile: bytes) -> None:
    image = Image.fromarray(hostile.photo()).convert("RGBA" if mode == "LA" else "L" if mode == "I;16" else mode)
    image = image.convert(mode) if image.mode != mode else image
    plain = read(image).rgb
    image.info["icc_profile"] = profile
    picture = read(image)
    assert torch.equal(picture.rgb, plain)
    assert len(picture.notices) == 1
    assert "profile" in picture.notices[0]


def test_a_profile_for_another_kind_of_picture_is_a_notice() -> None:
    for mode, profile in (("CMYK", hostile.srgb()), ("RGB", hostile.matrix_profile(None))):
        image = Image.fromarray(hostile.photo()).convert(mode)
        image.info["icc_profile"] = profile
        assert "profile" in read(image).notices[0]


# --- sizes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (15, 15), (16, 16), (3, 10_000), (10_000, 3)])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_tiny_and_thin(tmp_path: Path, size: tuple[int, int], form: str) -> None:
    data = hostile.encode(Image.new("RGB", (size[1], size[0]), (10, 200, 30)), form)
    assert read(stored(tmp_path, data)).size == size


def test_fit() -> None:
    assert fit((600, 800), 512) == (384, 512)
    assert fit((800, 600), 512) == (512, 384)
    assert fit((3, 10_000), 100) == (1, 100)
    assert fit((10_000, 3), 1) == (1, 1)
    assert fit((5, 2), 5) == (5, 2)
    assert fit((2, 4), 1) == (1, 1)  # 0.5 rounds up, never to 0
    assert fit((7, 9), 0) == (7, 9)
    for height in range(1, 40):
        for longer in range(1, 40):
            exact = Fraction(height * longer, max(height, 17))
            assert abs(fit((height, 17), longer)[0] - max(exact, 1)) <= Fraction(1, 2)


def test_resize() -> None:
    picture = read(hostile.photo()).rgb
    assert resize(picture, (24, 32)) is picture
    for size in ((1, 1), (7, 3), (100, 1), (240, 320)):
        resized = resize(picture, size)
        assert tuple(resized.shape) == (3, *size)
        assert resized.min() >= 0
        assert resized.max() <= 1
    assert torch.allclose(resize(torch.full((2, 9, 9), 0.3), (4, 20)), torch.tensor(0.3), atol=1e-6)
    assert torch.allclose(resize(picture, (1, 1))[:, 0, 0], picture.mean(dim=(1, 2)), atol=0.05)


def test_resize_does_not_alias() -> None:
    """A grating finer than the new pixels becomes its mean, not a coarser grating."""
    grating = torch.zeros(1, 64, 64)
    grating[..., ::2] = 1
    assert (resize(grating, (16, 16))[..., 2:-2] - 0.5).abs().max() < 0.02


def test_to_array() -> None:
    rgb = torch.tensor([-1.0, 0.4999 / 255, 0.5001 / 255, 127.6 / 255, 1.0, 7.0]).reshape(3, 1, 2)
    assert to_array(rgb).reshape(-1, 3).T.ravel().tolist() == [0, 0, 1, 128, 255, 255]
    assert to_array(rgb, bits=16).max() == 65_535
    values = np.random.default_rng(0).integers(0, 65_536, (5, 6, 4), dtype=np.uint16)
    values[..., 3] |= 1
    picture = read(values)
    assert np.array_equal(to_array(picture.rgb, picture.alpha, bits=16), values)
    with pytest.raises(OutputError, match="NaN"):
        to_array(torch.full((3, 1, 1), torch.nan))


# --- arrays, tensors, Pillow images -------------------------------------------------------------------------------


def test_tensors() -> None:
    rgb = torch.rand(3, 5, 7)
    for source in (rgb, rgb[None], rgb.double(), rgb.clone().requires_grad_(), rgb.permute(0, 2, 1).contiguous().mT):
        assert torch.allclose(read(source).rgb, rgb, atol=1e-7)
    for kind in (torch.float16, torch.bfloat16):
        assert torch.allclose(read(rgb.to(kind)).rgb, rgb, atol=0.01)
    assert torch.equal(read((rgb * 255).byte()).rgb, (rgb * 255).byte() / 255)


def test_a_picture_never_shares_memory_with_its_source() -> None:
    for source in (torch.zeros(3, 4, 4), np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.float32)):
        picture = read(source)
        picture.rgb.fill_(1)
        assert float(source.max()) == 0


def test_a_read_only_array_is_read() -> None:
    values = hostile.photo()
    values.flags.writeable = False
    assert read(values).size == (24, 32)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((4, 4, 2)), ["(4, 4, 2)"]),
        (np.zeros(5), ["(5,)"]),
        (np.zeros((1, 3, 4, 4)), ["(1, 3, 4, 4)"]),
        (np.zeros((0, 4, 3)), ["no pixels"]),
        (np.zeros((4, 4, 3), np.int32), ["int32"]),
        (np.zeros((4, 4, 3), complex), ["complex128"]),
        (np.array([["a"]], object), ["object"]),
        (np.full((4, 4, 3), np.nan), ["NaN"]),
        (np.full((4, 4), np.inf, np.float16), ["infinite"]),
        (np.full((4, 4, 3), 1e300), ["1e+300"]),
        (np.full((4, 4, 3), 200.0), ["200", "0…1"]),
        (np.full((4, 4, 3), -3.0), ["-3", "0…1"]),
        (torch.zeros(4, 4), ["(4, 4)"]),
        (torch.zeros(2, 3, 4, 4), ["(2, 3, 4, 4)"]),
        (torch.zeros(4, 4, 3), ["(4, 4, 3)", "3×H×W"]),
        (torch.zeros(3, 4, 4, dtype=torch.int64), ["int64"]),
        (torch.full((3, 4, 4), torch.nan), ["NaN"]),
        (torch.zeros(3, 4, 4, device="meta"), ["dense"]),
        (torch.zeros(3, 4, 4).to_sparse(), ["dense"]),
        (None, ["NoneType"]),
        (b"bytes", ["bytes"]),
        ([1, 2], ["list"]),
    ],
)
def test_unusable_values_are_named(source: object, words: list[str]) -> None:
    refusal(source, *words)


def test_a_closed_pillow_image_is_refused() -> None:
    image = opened(hostile.samples()["png"])
    image.close()
    refusal(image)


def test_hashes_tell_pictures_apart(tmp_path: Path) -> None:
    data = hostile.samples()["png"]
    assert read(stored(tmp_path, data)).sha256 == hashlib.sha256(data).hexdigest()
    values = np.zeros((2, 6, 3), np.uint8)
    hashes = [read(v).sha256 for v in (values, values.reshape(6, 2, 3), values.astype(np.uint16), values + 1)]
    assert len(set(hashes)) == 4
    assert read(values.astype(">u2")).sha256 == hashes[2]
    assert read(np.asfortranarray(values)).sha256 == hashes[0]


# --- names and files that are none --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "a b.png",
        "a\nb.png",
        "\x1b[2J.png",
        "-rf.png",
        "x" * 251 + ".png",
        "A.JPG",
        "a.jpeg.png",
        "é\u202egnp.jpg",
        ".png",
    ],
)
def test_odd_names(tmp_path: Path, name: str) -> None:
    path = stored(tmp_path, hostile.samples()["bmp"], name)
    picture = read(path)
    assert picture.name.isprintable()
    assert picture.name == files.shown(name)
    path.write_bytes(b"text")
    assert files.shown(name) in refusal(path)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.png")
    try:
        path.write_bytes(hostile.samples()["bmp"])
    except OSError:
        pytest.skip("this file system takes no such names")
    assert read(path).name == "\\udcff\\udcfe.png"
    refusal("nul\0.png", "nul\\x00.png")
    refusal("y" * 5000)
    refusal("https://example.org/a.png", "download it first")


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    refusal(tmp_path, "folder")
    refusal("/dev/zero", "device")
    refusal(tmp_path / "missing.png", "no such file")
    refusal(stored(tmp_path, b"", "empty.png"), "empty")
    refusal(stored(tmp_path, b"x", "file") / "below.png", "cannot be opened")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    refusal(tmp_path / "link", "leads nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refusal(tmp_path / "loop", "cannot be opened")
    os.mkfifo(tmp_path / "pipe")
    refusal(tmp_path / "pipe", "named pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))  # a relative name, since a socket's is short
        refusal(tmp_path / "socket", "socket")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(3 * 10**9)
    refusal(tmp_path / "sparse", "3,000,000,000 bytes")


def test_a_good_link_is_followed(tmp_path: Path) -> None:
    stored(tmp_path, hostile.samples()["bmp"])
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read(str(tmp_path / "link")).name == "link"


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path, hostile.samples()["bmp"])

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    refusal(path, "Permission denied", "rights")


# --- manners ------------------------------------------------------------------------------------------------------


def test_the_role_is_named() -> None:
    with pytest.raises(ImageReadError, match=r"^content no\.png: no such file"):
        read("no.png", role="content")


def test_reading_leaves_warnings_and_loggers_as_they_were(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = stored(tmp_path, hostile.samples()["jpeg"])
    before = (warnings.filters[:], warnings.showwarning, logging.getLogger("PIL").handlers[:])
    threads = [threading.Thread(target=read, args=(path,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refusal(stored(tmp_path, hostile.samples()["jpeg"][:200]))
    assert (warnings.filters[:], warnings.showwarning, logging.getLogger("PIL").handlers[:]) == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), OverflowError("big\nnumber"), SyntaxError("")]
)
def test_whatever_a_decoder_raises_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(decode, "_samples", fail)
    refusal(
        stored(tmp_path, hostile.samples()["png"]), "memory" if isinstance(error, MemoryError) else "cannot be decoded"
    )


def test_an_interrupt_is_not_swallowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decode, "_samples", interrupt)
    with pytest.raises(KeyboardInterrupt):
        read(stored(tmp_path, hostile.samples()["png"]))
    monkeypatch.undo()
    assert read(tmp_path / "file").size == (24, 32)  # and the lock is free again


def test_decoding_needs_no_torch() -> None:
    done = hostile.child(
        "import impasto.pictures.decode, impasto.pictures.metadata\nassert 'torch' not in sys.modules\n"
    )
    assert done.returncode == 0, done.stderr
