"""Formats beyond the everyday ones: what phones and cameras write, samples of any kind, colours named by numbers."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
import torch
from PIL import Image, PngImagePlugin, features

import hostile
from impasto.errors import ImageReadError
from impasto.files import Blob
from impasto.pictures import jxl, quiet, signals
from impasto.pictures import read as reading
from impasto.pictures.metadata import says_recipe
from impasto.pictures.read import Picture, read

PHOTO = torch.from_numpy(hostile.photo()).permute(2, 0, 1) / 255


def parsed(data: bytes, name: str = "x") -> Picture:
    return read(Blob.of(name, data))


def refusal(data: bytes, name: str = "x") -> str:
    with pytest.raises(ImageReadError) as caught:
        parsed(data, name)
    assert str(caught.value).isprintable()
    return str(caught.value)


def flat(pixel: tuple[int, int, int]) -> np.ndarray:
    return np.tile(np.array(pixel, np.uint8), (16, 16, 1))


def encoded(linear: np.ndarray) -> np.ndarray:
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def decoded(signal: np.ndarray) -> np.ndarray:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


# The matrix from Display P3 to sRGB, both linear, as the CSS Color specification gives it.
P3_TO_SRGB = np.array([[1.2249402, -0.2249402, 0], [-0.0420570, 1.0420570, 0], [-0.0196376, -0.0786361, 1.0982735]])
PIXEL = (200, 100, 50)
P3_PIXEL = encoded(P3_TO_SRGB @ decoded(np.array(PIXEL) / 255))


# --- HEIC and AVIF ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("brand", ["heic", "heix", "hevc", "heim", "heis", "mif1", "msf1"])
def test_every_brand_of_heic(brand: str) -> None:
    data = hostile.heic(hostile.photo())
    picture = parsed(data[:8] + brand.encode() + data[12:])
    assert (picture.rgb - PHOTO).abs().max() < 0.06
    assert picture.notices == ()


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_container_turns_a_picture_once(form: str, orientation: int) -> None:
    """Their encoders write what EXIF says into the container, and may leave EXIF in."""
    upright = np.kron(hostile.letter_f(), np.ones((8, 8), np.uint8))
    turns = {1: lambda a: a, 2: np.fliplr, 3: lambda a: a[::-1, ::-1], 4: np.flipud, 5: np.transpose}
    turns |= {6: np.rot90, 7: lambda a: a[::-1, ::-1].T, 8: lambda a: np.rot90(a, -1)}
    stored = Image.fromarray(np.ascontiguousarray(turns[orientation](upright))).convert("RGB")
    if form == "HEIF":
        pillow_heif.register_heif_opener()
    data = hostile.encode(stored, form, quality=95, exif=hostile.exif(orientation))
    assert np.array_equal(parsed(data).rgb[0].numpy() > 0.5, upright > 0)


def test_exif_alone_turns_no_heic() -> None:
    data = hostile.heic(hostile.photo(), exif=hostile.exif(8))
    pillow_heif.register_heif_opener()
    with Image.open(io.BytesIO(data)) as image:
        size = image.size  # as libheif turns it
    assert parsed(data).size == size[::-1]


def test_display_p3_by_numbers_and_by_profile() -> None:
    named = {"color_primaries": 12, "transfer_characteristics": 13, "save_nclx_profile": True}
    assert abs(P3_PIXEL * 255 - PIXEL).max() > 10
    for data in (
        hostile.heic(flat(PIXEL), **named),
        hostile.heic(flat(PIXEL).astype(np.uint16) * 257, **named),
        avif_named(hostile.encode(flat(PIXEL), "AVIF", quality=100, subsampling="4:4:4"), 12, 13),
    ):
        picture = parsed(data)
        assert picture.rgb[:, 8, 8].numpy() == pytest.approx(P3_PIXEL, abs=0.015)
        assert picture.notices == ()
    profile = hostile.matrix_profile(hostile.P3)
    by_profile = parsed(hostile.heic(flat(PIXEL), icc_profile=profile)).rgb[:, 8, 8]
    image = Image.fromarray(flat(PIXEL))
    image.info["icc_profile"] = profile
    assert (by_profile - read(image).rgb[:, 8, 8]).abs().max() < 0.015
    deep = parsed(hostile.heic(flat(PIXEL).astype(np.uint16) * 257, icc_profile=profile))
    assert (deep.rgb[:, 8, 8] - by_profile).abs().max() < 0.015
    assert "10-bit HEIC in other colours than sRGB read at 8 bits" in deep.notices[0]


def avif_named(data: bytes, primaries: int, transfer: int) -> bytes:
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def test_ten_bits_of_a_heic_are_kept() -> None:
    ramp = np.linspace(20_000, 22_000, 64).astype(np.uint16)
    values = np.tile(ramp[None, :, None], (16, 1, 3))
    row = parsed(hostile.heic(values, quality=100)).rgb[1, 8]
    assert (row - torch.from_numpy(ramp.astype(np.float32)) / 65_535).abs().max() < 0.003
    assert len(row.unique()) > 16  # eight bits would leave nine steps


def test_the_primary_picture_of_several() -> None:
    file = pillow_heif.HeifFile()
    for level in (0, 255, 0):
        file.add_from_pillow(Image.new("RGB", (32, 32), (level,) * 3))
    buffer = io.BytesIO()
    file.save(buffer, primary_index=1)
    picture = parsed(buffer.getvalue())
    assert picture.rgb.min() > 0.98
    assert ["several" in notice for notice in picture.notices] == [True]


@pytest.mark.parametrize("form", ["heic", "AVIF"])
def test_alpha_of_heic_and_avif(form: str) -> None:
    values = np.concatenate([flat(PIXEL), np.full((16, 16, 1), 100, np.uint8)], axis=2)
    data = hostile.heic(values) if form == "heic" else hostile.encode(values, form, quality=100)
    picture = parsed(data)
    assert float(picture.alpha.mean()) == pytest.approx(100 / 255, abs=0.01)
    assert picture.rgb[:, 8, 8].numpy() * 255 == pytest.approx(PIXEL, abs=4)


def test_the_pixel_limit_comes_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("heic", "avif", "jxl", "dng", "tiff-float"):
        if name not in hostile.samples():
            continue
        monkeypatch.setattr(reading, "MAX_PIXELS", 24 * 32 - 1)
        assert "768 pixels are over the limit" in refusal(hostile.samples()[name])


def test_without_avif_in_pillow_a_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    data = hostile.samples()["avif"]
    monkeypatch.setattr(features, "check", lambda _: False)
    assert refusal(data).endswith("this Pillow cannot read; pip install --upgrade pillow, or save it as PNG")


def test_what_carries_no_recipe_says_so(tmp_path: Path) -> None:
    for name in ("heic", "avif", "jpeg"):
        (tmp_path / name).write_bytes(hostile.samples()[name])
        assert not says_recipe(tmp_path / name)


# --- JPEG XL ------------------------------------------------------------------------------------------------------


def test_jpeg_xl_is_read_to_the_bit() -> None:
    pytest.importorskip("pillow_jxl")
    picture = parsed(hostile.jxl(hostile.photo()))
    assert (picture.rgb - PHOTO).abs().max() < 1e-6
    assert picture.notices == ()
    lossy = parsed(hostile.jxl(hostile.photo(), lossless=False, quality=95, use_container=True))
    assert (lossy.rgb - PHOTO).abs().mean() < 0.03


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (256, 128), (257, 300), (4000, 3), (640, 360), (5, 9000)])
def test_the_header_of_jpeg_xl(size: tuple[int, int]) -> None:
    pytest.importorskip("pillow_jxl")
    image = Image.new("RGB", size)
    for options in ({}, {"lossless": False}, {"use_container": True}):
        assert jxl.header(hostile.jxl(image, **options)) == jxl.Header(size, 8, False)
    assert jxl.header(hostile.jxl(Image.new("I;16", size))).bits == 16


def test_a_jpeg_packed_as_jpeg_xl_is_still_turned_by_exif(tmp_path: Path) -> None:
    pytest.importorskip("pillow_jxl")
    (tmp_path / "a.jpg").write_bytes(hostile.encode(hostile.photo(), "JPEG", exif=hostile.exif(6)))
    with Image.open(tmp_path / "a.jpg") as image:
        packed = hostile.encode(image, "JXL", lossless_jpeg=True)
    assert torch.equal(parsed(packed).rgb, read(tmp_path / "a.jpg").rgb)
    assert parsed(hostile.jxl(hostile.photo(), exif=hostile.exif(6)[6:])).size in ((24, 32), (32, 24))


def test_without_the_extra_jpeg_xl_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    monkeypatch.setitem(sys.modules, "pillow_jxl.JpegXLImagePlugin", None)
    codestream = bytes.fromhex("ff0a0f0a8804080001006900")
    assert refusal(codestream, "a.jxl") == 'picture a.jxl: is a JPEG XL picture; pip install "impasto[jxl]"'


# --- camera RAW ---------------------------------------------------------------------------------------------------


def test_a_raw_file_is_developed_and_upright() -> None:
    pytest.importorskip("rawpy")
    smooth = np.array(Image.fromarray(hostile.photo(6, 8)).resize((64, 48), Image.Resampling.BICUBIC))
    picture = parsed(hostile.dng(smooth))
    assert picture.size == (48, 64)
    assert picture.notices == ()
    wanted = torch.from_numpy(smooth).permute(2, 0, 1) / 255
    for ours, theirs in zip(picture.rgb, wanted, strict=True):  # LibRaw brightens: the same picture up to a curve
        assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.95
    assert parsed(hostile.dng(smooth, orientation=6)).size == (64, 48)


def test_a_raw_file_s_thumbnail_is_never_taken_for_it() -> None:
    pytest.importorskip("rawpy")
    rgb = hostile.photo()
    white = np.full((6, 8, 3), 255, np.uint8)
    with_thumbnail = parsed(hostile.dng(rgb, thumbnail=white))
    assert with_thumbnail.size == (24, 32)
    assert torch.equal(with_thumbnail.rgb, parsed(hostile.dng(rgb)).rgb)


RAW_STARTS = {
    "x.raf": b"FUJIFILMCCD-RAW 0201",
    "x.rw2": b"IIU\0\x18\0\0\0",
    "x.orf": b"IIRO\x08\0\0\0",
    "y.orf": b"IIRS\x08\0\0\0",
    "x.cr3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "x.cr2": b"II*\0\x10\0\0\0CR\2\0",
}


@pytest.mark.parametrize("name", [*RAW_STARTS, "x.nef", "x.dng"])
def test_without_the_extra_raw_files_name_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    data = RAW_STARTS.get(name, b"") + bytes(300)
    if name not in RAW_STARTS:
        data = hostile.dng(hostile.photo(), thumbnail=hostile.photo(6, 8) if name == "x.nef" else None)
    monkeypatch.setitem(sys.modules, "rawpy", None)
    wanted = f'picture {name}: is a camera\'s RAW file; pip install "impasto[raw]"'
    assert refusal(data, name) == wanted


def test_a_raw_file_that_libraw_does_not_know() -> None:
    pytest.importorskip("rawpy")
    assert "develop it to TIFF or JPEG" in refusal(RAW_STARTS["x.raf"] + bytes(300))


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}])
def test_a_tiff_that_begins_with_a_thumbnail(options: dict[str, object]) -> None:
    white = np.full((6, 8, 3), 255, np.uint8)
    picture = parsed(hostile.thumbnail_first(hostile.photo(), white, **options))
    assert (picture.rgb - PHOTO).abs().max() < 1e-6
    assert picture.notices == ()


def test_a_thumbnail_alone_says_so() -> None:
    data = hostile.tiff16(hostile.photo(), photometric="rgb", subfiletype=1)
    assert "smaller copy of a picture, which is not found in the file" in parsed(data).notices[0]
    white = np.full((6, 8, 3), 255, np.uint8)
    beyond = hostile.thumbnail_first(hostile.photo(), white, bigtiff=True)  # whose SubIFDs Pillow does not know
    assert "smaller copy of a picture, which is not found in the file" in parsed(beyond).notices[0]


# --- sound files that decoders complain of ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"tEXt"])
def test_a_png_with_long_text(kind: bytes) -> None:
    text = os.urandom(800_000).hex().encode()  # 1.6 MB, over what Pillow bears
    heads = {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"tEXt": b"k\0"}
    chunk = hostile.png_chunk(kind, heads[kind] + (text if kind == b"tEXt" else zlib.compress(text)))
    data = hostile.png_with(hostile.encode(hostile.photo(), "PNG"), *[chunk] * 2)
    picture = parsed(data)
    assert (picture.rgb - PHOTO).abs().max() < 1e-6
    assert picture.notices == ()


def test_a_png_with_more_text_than_pillow_bears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PngImagePlugin, "MAX_TEXT_MEMORY", 10_000)
    chunk = hostile.png_chunk(b"tEXt", b"k\0" + b"x" * 4000)
    assert parsed(hostile.png_with(hostile.encode(hostile.photo(), "PNG"), *[chunk] * 9)).size == (24, 32)


def test_a_large_profile_is_used_and_a_huge_one_noted() -> None:
    profile = hostile.matrix_profile(hostile.P3)
    noise = os.urandom(1_600_000)
    padded = struct.pack(">I", len(profile) + len(noise)) + profile[4:] + noise
    plain = parsed(hostile.encode(flat(PIXEL), "PNG", icc_profile=profile))
    data = hostile.png_with(
        hostile.encode(flat(PIXEL), "PNG"), hostile.png_chunk(b"iCCP", b"k\0\0" + zlib.compress(padded))
    )
    picture = parsed(data)
    assert torch.equal(picture.rgb, plain.rgb)
    assert picture.notices == ()
    bomb = hostile.png_chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(50 << 20)))
    huge = parsed(hostile.png_with(hostile.encode(flat(PIXEL), "PNG"), bomb))
    assert huge.rgb[:, 0, 0].numpy() * 255 == pytest.approx(PIXEL)
    assert huge.notices == ("picture x: its colour profile has over 16,777,216 bytes and is ignored",)


def lossless_jpeg(bits: int) -> bytes:
    """8×8 grey without any difference from the middle, as a scan of process 14."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    frame = segment(0xC3, struct.pack(">BHHB", bits, 8, 8, 1) + bytes([1, 0x11, 0]))
    table = segment(0xC4, bytes([0, 1, *[0] * 15, 0]))
    return b"\xff\xd8" + frame + table + segment(0xDA, bytes([1, 1, 0, 1, 0, 0])) + bytes(8) + b"\xff\xd9"


def test_twelve_bits_and_lossless_jpeg() -> None:
    assert torch.equal(parsed(lossless_jpeg(8)).rgb, torch.full((3, 8, 8), 128 / 255))
    ordinary = hostile.encode(hostile.photo(), "JPEG")
    at = ordinary.index(b"\xff\xc0") + 4
    for data, bits in ((ordinary[:at] + b"\x0c" + ordinary[at + 1 :], 12), (lossless_jpeg(16), 16)):
        message = refusal(data)
        assert "damaged" not in message
        assert f"not supported (cannot handle {bits}-bit layers); save it as" in message


def test_further_pictures_inside_a_jpeg_are_no_news() -> None:
    for data in (hostile.samples()["mpo"], ultra_hdr()):
        picture = parsed(data)
        assert picture.notices == ()
        assert (picture.rgb - PHOTO).abs().mean() < 0.05


def ultra_hdr() -> bytes:
    """A JPEG with a gain map behind it, which its multi-picture index names."""
    return hostile.encode(hostile.photo(), "MPO", save_all=True, append_images=[Image.new("L", (8, 6), 99)])


# --- TIFF of any samples ------------------------------------------------------------------------------------------

UNIT = hostile.photo().astype(np.float64) / 255
KINDS = {
    "float16": (UNIT.astype(np.float16), 1, 2e-3),
    "float32": (UNIT.astype(np.float32), 1, 1e-6),
    "float64": (UNIT, 1, 1e-6),
    "int8": ((UNIT * 127).astype(np.int8), 127, 1e-6),
    "int16": ((UNIT * 32_767).astype(np.int16), 32_767, 1e-6),
    "int32": ((UNIT * (2**31 - 1)).astype(np.int32), 2**31 - 1, 1e-6),
    "uint32": ((UNIT * (2**32 - 1)).astype(np.uint32), 2**32 - 1, 1e-6),
}
LAYOUTS: dict[str, dict[str, object]] = {
    "plain": {},
    "big-endian": {"byteorder": ">"},
    "bigtiff": {"bigtiff": True},
    "deflate": {"compression": "zlib", "rowsperstrip": 7},
    "predictor": {"compression": "zlib", "predictor": 2},
    "big-endian predictor": {"compression": "zlib", "predictor": 2, "byteorder": ">"},
    "tiles": {"tile": (16, 16)},
    "packed tiles": {"tile": (16, 16), "compression": "zlib", "predictor": 2},
    "planes": {"planarconfig": "separate", "rowsperstrip": 5},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_of_any_samples(kind: str, layout: str) -> None:
    values, white, error = KINDS[kind]
    options = LAYOUTS[layout]
    if values.dtype.kind == "f" and options.get("predictor"):
        options = {**options, "predictor": False}
    stored = np.moveaxis(values, 2, 0).copy() if layout == "planes" else values
    picture = parsed(hostile.tiff16(stored, photometric="rgb", **options))
    wanted = torch.from_numpy(values.astype(np.float64) / white).permute(2, 0, 1)
    assert (picture.rgb - wanted).abs().max() < error
    assert picture.notices == (f"picture x: {kind} samples, taken as 0…{white}",)
    if layout != "planes":
        for photometric in ("minisblack", "miniswhite"):
            grey = values[..., 0] if photometric == "minisblack" else white - values[..., 0]
            data = hostile.tiff16(grey.astype(values.dtype), photometric=photometric, **options)
            assert (parsed(data).rgb - wanted[:1]).abs().max() < 2 * error


def test_alpha_of_floats_straight_and_multiplied() -> None:
    values = np.tile(np.array([0.4, 0.2, 0.1, 0.5], np.float32), (4, 4, 1))
    for kind, colours in (("unassalpha", [0.4, 0.2, 0.1]), ("assocalpha", [0.8, 0.4, 0.2])):
        picture = parsed(hostile.tiff16(values, photometric="rgb", extrasamples=[kind]))
        assert picture.rgb[:, 0, 0].tolist() == pytest.approx(colours)
        assert float(picture.alpha.mean()) == 0.5
    grey = np.tile(np.array([1000, 65_535 // 2], np.uint16), (4, 4, 1))
    picture = parsed(hostile.tiff16(grey, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]))
    assert picture.rgb[0, 0, 0] == 1000 / 65_535
    assert float(picture.alpha[0, 0, 0]) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("compression", [8, 5])
def test_floats_by_the_floating_point_predictor(compression: int) -> None:
    """Technical Note 3: bytes of a row by significance, highest first, then differences."""
    values = UNIT.astype(np.float32)
    rows = values.astype(">f4").view(np.uint8).reshape(24, 32 * 3, 4).swapaxes(1, 2).reshape(24, -1, 3)
    strip = np.diff(rows, axis=1, prepend=np.zeros((24, 1, 3), np.uint8)).astype(np.uint8).tobytes()
    if compression == 8:
        strip = zlib.compress(strip)
    else:
        row = Image.fromarray(np.frombuffer(strip, np.uint8)[None])
        strip = hostile.strip_of(hostile.encode(row, "TIFF", compression="tiff_lzw"))
    tags = {256: 32, 257: 24, 258: (32,) * 3, 259: compression, 262: 2, 277: 3, 278: 24, 317: 3, 339: (3, 3, 3)}
    assert (parsed(hostile.tiff(tags, strip)).rgb - PHOTO).abs().max() < 1e-6


def test_whites_that_cannot_be_known_are_refused() -> None:
    for values, words in (
        (np.full((4, 4, 3), 7.5, np.float32), "float32 values up to 7.5 have no known white"),
        (np.full((4, 4), np.nan, np.float32), "NaN"),
        (np.array([[-5, 9]], np.int16), "negative values, down to -5"),
    ):
        message = refusal(hostile.tiff16(values, photometric="rgb" if values.ndim == 3 else "minisblack"))
        assert words in message
        assert "damaged" not in message
    half = parsed(hostile.tiff16(np.array([[0, 100, 200]], np.int32)))
    assert half.rgb[0, 0].tolist() == pytest.approx([0, 100 / 255, 200 / 255])


def test_a_tiff_of_unknown_samples_is_not_called_damaged() -> None:
    for values in (np.zeros((4, 4), np.complex64), np.zeros((4, 4), np.uint64)):
        message = refusal(hostile.tiff16(values, photometric="minisblack"))
        assert "of a kind that is not supported" in message
        assert "damaged" not in message
    tags = {256: 4, 257: 4, 258: (32,) * 3, 259: 34887, 262: 2, 277: 3, 278: 4, 339: (3, 3, 3)}  # LERC
    message = refusal(hostile.tiff(tags, bytes(99)))
    assert "3 samples of 32 bits (format 3, compression 34887); save it as" in message


def test_floats_in_other_colours_go_through_their_profile() -> None:
    profile = hostile.matrix_profile(hostile.P3)
    image = Image.fromarray(flat(PIXEL))
    image.info["icc_profile"] = profile
    data = hostile.tiff16((flat(PIXEL) / 255).astype(np.float32), photometric="rgb", iccprofile=profile)
    picture = parsed(data)
    assert torch.equal(picture.rgb, read(image).rgb)
    assert "32-bit TIFF in other colours than sRGB read at 8 bits" in picture.notices[1]


def test_what_decoders_say_stays_off_the_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = hostile.samples()
    lzw = samples["tiff-lzw"]
    at = len(lzw) // 4
    damaged = [lzw[:at] + b"\xff" * 40 + lzw[at + 40 :], samples.get("dng", lzw)[:-200]]
    for data in damaged:
        assert "damaged" in refusal(data)
    monkeypatch.setattr(quiet, "_without_handler", lambda: False)
    for data in damaged:
        assert "damaged" in refusal(data)
    assert capfd.readouterr() == ("", "")


def test_lines_of_other_threads_are_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    def speak() -> None:
        os.write(2, b"TIFFFillStrip: Read error\nsomething else: of ours\n")

    with quiet.quiet() as said:
        thread = threading.Thread(target=speak)
        thread.start()
        thread.join()
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "something else: of ours\n"
    assert said == ["TIFFFillStrip: Read error"]


# --- colours named by numbers -------------------------------------------------------------------------------------


def png_said(values: np.ndarray, **chunks: bytes) -> Picture:
    more = [hostile.png_chunk(kind.encode(), body) for kind, body in chunks.items()]
    return parsed(hostile.png_with(hostile.encode(values, "PNG"), *more))


def gamma(value: float) -> bytes:
    return struct.pack(">I", round(value * 100_000))


def primaries(*numbers: float) -> bytes:
    return struct.pack(">8I", *(round(number * 100_000) for number in numbers))


P3 = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)


def test_a_png_s_gamma() -> None:
    values = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    picture = png_said(values, gAMA=gamma(1.0))
    assert picture.rgb[0, 0].numpy() == pytest.approx(encoded(np.arange(256) / 255), abs=1e-4)
    assert picture.notices == ()
    grey = png_said(values[..., 0], gAMA=gamma(0.55556))
    assert grey.rgb[0, 0].numpy() == pytest.approx(encoded((np.arange(256) / 255) ** 1.8), abs=1e-3)
    for same in (
        {"gAMA": gamma(0.45455)},
        {"gAMA": gamma(0.45455), "cHRM": primaries(*signals.SRGB)},
        {"gAMA": gamma(1.0), "sRGB": b"\0"},
    ):
        assert torch.equal(png_said(values, **same).rgb, read(values).rgb)
    odd = png_said(values, gAMA=gamma(0.001))
    assert torch.equal(odd.rgb, read(values).rgb)
    assert "gamma or primaries cannot be used" in odd.notices[0]


def test_a_profile_comes_before_gamma() -> None:
    data = hostile.encode(flat(PIXEL), "PNG", icc_profile=hostile.srgb())
    with_gamma = parsed(hostile.png_with(data, hostile.png_chunk(b"gAMA", gamma(1.0))))
    assert with_gamma.rgb[:, 0, 0].numpy() * 255 == pytest.approx(PIXEL)


def test_a_png_s_primaries_and_code_points() -> None:
    for chunks in ({"cICP": bytes([12, 13, 0, 1])}, {"gAMA": gamma(0.45455), "cHRM": primaries(*P3)}):
        picture = png_said(flat(PIXEL), **chunks)
        assert picture.rgb[:, 0, 0].numpy() == pytest.approx(P3_PIXEL, abs=1e-3)
        assert picture.notices == ()
    same = png_said(flat(PIXEL), cICP=bytes([1, 13, 0, 1]), gAMA=gamma(1.0))
    assert same.rgb[:, 0, 0].numpy() * 255 == pytest.approx(PIXEL)
    unknown = png_said(flat(PIXEL), cICP=bytes([77, 13, 0, 1]))
    assert unknown.rgb[:, 0, 0].numpy() * 255 == pytest.approx(PIXEL)
    assert "H.273 77/13" in unknown.notices[0]
    alpha = np.concatenate([flat(PIXEL), np.full((16, 16, 1), 51, np.uint8)], axis=2)
    seen = png_said(alpha, cICP=bytes([12, 13, 0, 1]))
    assert float(seen.alpha.mean()) == pytest.approx(0.2)


@pytest.mark.parametrize(("code", "paper", "name"), [(16, 148, "PQ"), (18, 191, "HLG")])
def test_hdr_is_rolled_off(code: int, paper: int, name: str) -> None:
    """Paper white is 58 % of PQ and 75 % of HLG (BT.2408); it comes out bright, below white, and greys stay grey."""
    values = np.array([[[0] * 3, [paper // 2] * 3, [paper] * 3, [255] * 3]], np.uint8)
    picture = png_said(values, cICP=bytes([9, code, 0, 1]))
    row = picture.rgb[:, 0]
    assert (row - row[:1]).abs().max() < 1e-3
    assert bool((row[0].diff() > 0.02).all())
    assert float(row[0, 0]) == pytest.approx(0, abs=1e-3)
    white = signals.KNEE + (1 - signals.KNEE) * (1 - np.exp(-1))
    assert float(row[0, 2]) == pytest.approx(encoded(np.array(white)), abs=0.01)
    assert f"is an HDR picture ({name})" in picture.notices[0]


def test_pillow_images_and_files_say_the_same() -> None:
    data = hostile.samples()["png-gamma"]
    with Image.open(io.BytesIO(data)) as image:
        assert torch.equal(read(image).rgb, parsed(data).rgb)


def test_an_everyday_picture_loads_no_library_of_another_format() -> None:
    code = "import impasto.pictures.decode as d, impasto.files as f\n"
    code += "d.decode_file(f.Blob.of('x', bytes.fromhex(sys.argv[1])), 'x', 99_999, [])\n"
    code += "assert not {'pillow_jxl', 'rawpy', 'tifffile'} & set(sys.modules), 'loaded'\n"
    done = hostile.child(code, hostile.samples()["jpeg"].hex())
    assert done.returncode == 0, done.stderr
