"""Odd, bad and malicious pictures, all built in memory; nothing here was taken from a file."""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pillow_heif
import tifffile
from PIL import Image, ImageCms

MARK = b"made by tests/hostile.py"
CUTS = (0.01, 0.1, 0.5, 0.9, 0.99)


# --- ordinary pictures --------------------------------------------------------------------------------------------


def photo(height: int = 24, width: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    """A smooth picture with a little grain, uint8."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [128 + 90 * np.sin(rows / (5 + c) + c) * np.cos(columns / (7 - c)) for c in range(channels)]
    grain = np.random.default_rng(seed).normal(0, 6, (height, width, channels))
    return np.clip(np.stack(waves, axis=-1) + grain, 0, 255).astype(np.uint8)


def ramp(width: int = 256, height: int = 2) -> np.ndarray:
    """The greys 0 to 255 from left to right, uint8 H×W."""
    return np.repeat(np.linspace(0, 255, width).round().astype(np.uint8)[None], height, axis=0)


def letter_f() -> np.ndarray:
    """A white F on black, 7×5: no flip or turn of it looks like another."""
    rows = ("#####", "#....", "#....", "####.", "#....", "#....", "#....")
    return np.array([[255 if c == "#" else 0 for c in row] for row in rows], dtype=np.uint8)


def encode(picture: Image.Image | np.ndarray, form: str, **options: object) -> bytes:
    """The bytes of a picture in one of Pillow's formats."""
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, form, **options)
    return buffer.getvalue()


def tiff16(values: np.ndarray, **options: object) -> bytes:
    """A TIFF by tifffile, for what Pillow cannot write."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, metadata=None, **options)
    return buffer.getvalue()


def heic(values: np.ndarray, **options: object) -> bytes:
    """A HEIC picture of H×W×3 or ×4, uint8 or uint16 (kept at 10 bits), nearly without loss."""
    mode = "RGBA"[: values.shape[2]] + ";16" * (values.dtype == np.uint16)
    file = pillow_heif.from_bytes(mode, values.shape[1::-1], np.ascontiguousarray(values).tobytes())
    buffer = io.BytesIO()
    file.save(buffer, **{"quality": 98, "chroma": 444, **options})
    return buffer.getvalue()


def jxl(picture: Image.Image | np.ndarray, **options: object) -> bytes:
    """A JPEG XL picture; raises ImportError where the extra is missing."""
    import pillow_jxl  # noqa: F401

    return encode(picture, "JXL", **{"lossless": True, **options})


DNG = (50706, 1, 4, bytes([1, 4, 0, 0]), True)


def dng(rgb: np.ndarray, orientation: int = 1, thumbnail: np.ndarray | None = None) -> bytes:
    """A camera's RAW file: one colour a pixel behind a Bayer filter, linear, a neutral camera under daylight."""
    linear = np.clip(rgb / 255, 0, 1) ** 2.2 * 65_535
    mosaic = linear[..., 1].copy()
    mosaic[::2, ::2], mosaic[1::2, 1::2] = linear[::2, ::2, 0], linear[1::2, 1::2, 2]

    def rational(*numbers: float) -> list[int]:
        return [part for number in numbers for part in (round(number * 10_000), 10_000)]

    matrix = rational(3.2405, -1.5371, -0.4985, -0.9693, 1.8760, 0.0416, 0.0556, -0.2040, 1.0572)  # XYZ to sRGB
    tags = [
        (274, 3, 1, orientation, True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),
        DNG,
        (50708, 2, 0, "made by tests", True),
        (50717, 4, 1, 65_535, True),
        (50721, 10, 9, matrix, True),
        (50728, 5, 3, rational(1, 1, 1), True),
        (50778, 3, 1, 21, True),
    ]
    options = {"photometric": 32803, "metadata": None, "extratags": tags}
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as tiff:
        if thumbnail is not None:
            tiff.write(thumbnail, photometric="rgb", metadata=None, subfiletype=1, subifds=1, extratags=[DNG])
        tiff.write(mosaic.astype(np.uint16), **options)
    return buffer.getvalue()


def thumbnail_first(rgb: np.ndarray, thumbnail: np.ndarray, **options: object) -> bytes:
    """A TIFF whose first page is a smaller copy of the picture, which lies in a SubIFD."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(
        buffer, bigtiff=bool(options.pop("bigtiff", False)), byteorder=options.pop("byteorder", "<")
    ) as tiff:
        tiff.write(thumbnail, photometric="rgb", metadata=None, subfiletype=1, subifds=1)
        tiff.write(rgb, photometric="rgb", metadata=None, **options)
    return buffer.getvalue()


def samples() -> dict[str, bytes]:
    """One good file of every format and of the ways in that have code of their own."""
    rgb = photo()
    deep = rgb.astype(np.uint16) * 257
    indexed = Image.fromarray(rgb).quantize(16)
    optional = {}
    with suppress(ImportError):
        optional |= {"jxl": jxl(rgb), "jxl-alpha": jxl(photo(channels=4))}
    with suppress(ImportError):
        import rawpy  # noqa: F401

        optional |= {"dng": dng(rgb), "dng-thumbnail": dng(rgb, thumbnail=rgb[::4, ::4])}
    return {
        "jpeg": encode(rgb, "JPEG", quality=90, exif=exif(6)),
        "jpeg-progressive": encode(rgb, "JPEG", progressive=True),
        "jpeg-cmyk": encode(Image.fromarray(rgb).convert("CMYK"), "JPEG"),
        "mpo": encode(rgb, "MPO", save_all=True, append_images=[Image.fromarray(255 - rgb)]),
        "png": encode(rgb, "PNG", icc_profile=matrix_profile(P3)),
        "png-grey16": encode(Image.fromarray(deep[..., 0]), "PNG"),
        "png-palette": encode(indexed, "PNG", transparency=3),
        "apng": encode(rgb, "PNG", save_all=True, append_images=[Image.fromarray(255 - rgb)]),
        "webp": encode(rgb, "WEBP", lossless=True),
        "webp-lossy": encode(photo(channels=4), "WEBP", quality=60),
        "webp-animated": encode(rgb, "WEBP", lossless=True, save_all=True, append_images=[Image.fromarray(255 - rgb)]),
        "png-gamma": png_with(encode(rgb, "PNG"), png_chunk(b"gAMA", struct.pack(">I", 55_556))),
        "png-cicp": png_with(encode(rgb, "PNG"), png_chunk(b"cICP", bytes([12, 13, 0, 1]))),
        "heic": heic(rgb),
        "heic-deep": heic(photo(channels=4).astype(np.uint16) * 257),
        "avif": encode(rgb, "AVIF", quality=90),
        "avif-animated": encode(rgb, "AVIF", save_all=True, append_images=[Image.fromarray(255 - rgb)]),
        **optional,
        "tiff": encode(rgb, "TIFF"),
        "tiff-lzw": encode(rgb, "TIFF", compression="tiff_lzw"),
        "tiff-jpeg": encode(rgb, "TIFF", compression="jpeg"),
        "tiff-pages": encode(rgb, "TIFF", save_all=True, append_images=[Image.fromarray(255 - rgb)]),
        "tiff-deep": tiff16(deep, photometric="rgb"),
        "tiff-deep-deflate": tiff16(deep, photometric="rgb", compression="zlib", predictor=True),
        "tiff-deep-lzw": lzw_tiff(deep),
        "tiff-float": tiff16((rgb / 255).astype(np.float32), photometric="rgb", tile=(16, 16)),
        "tiff-int16": tiff16((deep[..., 0] // 2).astype(np.int16), compression="zlib", predictor=2),
        "tiff-thumbnail": thumbnail_first(rgb, rgb[::4, ::4]),
        "bmp": encode(rgb, "BMP"),
        "bmp-palette": encode(indexed, "BMP"),
        "gif": encode(indexed, "GIF"),
        "gif-animated": encode(indexed, "GIF", save_all=True, append_images=[Image.fromarray(255 - rgb).quantize(16)]),
    }


def family(name: str) -> str:
    """The format of one of `samples`."""
    return {"mpo": "jpeg", "apng": "png"}.get(name, name.partition("-")[0])


# --- damage -------------------------------------------------------------------------------------------------------


def chunk_swaps(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Two stretches of up to 64 bytes change places."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        length = int(random.integers(1, 65))
        first, second = sorted(int(at) for at in random.integers(0, max(1, len(data) - 2 * length), 2))
        second = max(second, first + length)
        ends = (first, first + length, second, second + length)
        parts = [data[a:b] for a, b in itertools.pairwise((0, *ends, len(data)))]
        yield parts[0] + parts[3] + parts[2] + parts[1] + parts[4]


def length_edits(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Four aligned bytes become a number that a length or an offset may not be, or a stretch is cut out or doubled."""
    random = np.random.default_rng(seed)
    numbers = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(data), len(data) * 2)
    for index in range(count):
        at, length = int(random.integers(0, len(data))), int(random.integers(1, 40))
        if index % 3 == 0:
            yield data[:at] + data[at + length :]
        elif index % 3 == 1:
            yield data[: at + length] + data[at:]
        else:
            at = int(random.integers(0, min(len(data), 400))) // 2 * 2
            yield data[:at] + struct.pack(">I" if random.integers(2) else "<I", random.choice(numbers)) + data[at + 4 :]


def cuts(data: bytes) -> Iterator[bytes]:
    """The file cut short at several places, last of all by one byte."""
    for share in CUTS:
        yield data[: max(1, int(len(data) * share))]
    yield data[:-1]


def mutations(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Seeded changes of one to eight bytes, half of them among the first 200, where the headers are."""
    random = np.random.default_rng(seed)
    for index in range(count):
        changed = bytearray(data)
        reach = min(len(data), 200) if index % 2 else len(data)
        for position in random.integers(0, reach, size=random.integers(1, 9)):
            changed[position] = random.choice([0, 255, int(random.integers(256)), changed[position] ^ 1])
        yield bytes(changed)


# --- PNG by hand --------------------------------------------------------------------------------------------------


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_with(data: bytes, *extra: bytes) -> bytes:
    """A PNG with more chunks after its header."""
    return data[:33] + b"".join(extra) + data[33:]


def png_checksums(data: bytes) -> bytes:
    """The file with right check sums, as far as its chunks can be followed: a mutation must not stop at them."""
    fixed, at = bytearray(data), 8
    while at + 12 <= len(fixed):
        end = at + 8 + int.from_bytes(fixed[at : at + 4], "big")
        if end + 4 > len(fixed):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(fixed[at + 4 : end]))
        at = end + 4
    return bytes(fixed)


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG whose header says what it is told; `rows` are the filtered rows before deflate."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = b"".join(extra) + png_chunk(b"IDAT", zlib.compress(rows, 9)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body


def png_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    """A header of 3.6 billion pixels and a kilobyte of data."""
    return png(width, height, 8, 2, bytes(1024))


def png_text_bomb(kind: bytes = b"zTXt", megabytes: int = 50) -> bytes:
    """A 1×1 PNG with a text or profile chunk that unpacks to many megabytes."""
    packed = zlib.compress(bytes(megabytes << 20), 9)
    heads = {b"zTXt": b"k\0\0", b"iCCP": b"k\0\0", b"iTXt": b"k\0\1\0\0\0"}
    return png(1, 1, 8, 2, bytes(4), png_chunk(kind, heads[kind] + packed))


# --- TIFF, BMP, GIF by hand ---------------------------------------------------------------------------------------


def tiff(tags: dict[int, int | bytes | tuple[int, ...]], strip: bytes) -> bytes:
    """A little-endian TIFF of one strip; ints become LONGs, tuples SHORTs, bytes ASCII; 273 and 279 are filled in."""
    entries = {**tags, 273: 8, 279: len(strip)}
    body, table = b"II*\0" + struct.pack("<I", 8 + len(strip)) + strip, b""
    spill_at, spill = 8 + len(strip) + 2 + 12 * len(entries) + 4, b""
    for tag, value in sorted(entries.items()):
        if isinstance(value, int):
            kind, count, data = 4, 1, struct.pack("<I", value)
        elif isinstance(value, bytes):
            kind, count, data = 2, len(value), value
        else:
            kind, count, data = 3, len(value), struct.pack(f"<{len(value)}H", *value)
        if len(data) > 4:
            data, spill = struct.pack("<I", spill_at + len(spill)), spill + data + bytes(len(data) % 2)
        table += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
    return body + struct.pack("<H", len(entries)) + table + bytes(4) + spill


def strip_of(data: bytes) -> bytes:
    """The only strip of a TIFF, as it is packed."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        (offset,), (length,) = file.pages[0].dataoffsets, file.pages[0].databytecounts
    return data[offset : offset + length]


def lzw_tiff(values: np.ndarray) -> bytes:
    """A 16-bit RGB TIFF of one LZW strip, packed by Pillow as if it were one row of grey."""
    row = Image.fromarray(np.frombuffer(values.astype("<u2").tobytes(), np.uint8)[None])
    strip = strip_of(encode(row, "TIFF", compression="tiff_lzw"))
    height, width, count = values.shape
    depths = (16,) * count
    return tiff({256: width, 257: height, 258: depths, 259: 5, 262: 2, 277: count, 278: height}, strip)


def tiff_strip_bomb(megabytes: int = 400) -> bytes:
    """A 16-bit RGB TIFF of 16×16 pixels whose deflated strip unpacks to many megabytes."""
    packer = zlib.compressobj(9)
    strip = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    return tiff({256: 16, 257: 16, 258: (16, 16, 16), 259: 8, 262: 2, 277: 3, 278: 16}, strip)


def bmp_bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + header + bytes(64)


def gif_frame_bomb() -> bytes:
    """A good first frame of 4×4 and a second one that claims 65,535×65,535."""
    first = encode(Image.new("P", (4, 4)), "GIF")
    second = b"," + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0) + b"\2\2\x4c\1\0"
    return first[:-1] + second + b";"


# --- EXIF and ICC -------------------------------------------------------------------------------------------------


def exif(orientation: int, gps: bool = False) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    if gps:
        block[0x010E] = MARK.decode()
        block.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    return block.tobytes()


def broken_exif() -> bytes:
    """A block whose resolution divides by zero and whose entries point beyond its end."""
    entries = struct.pack("<HHII", 0x011A, 5, 1, 50) + struct.pack("<HHII", 0x0112, 3, 4_000_000, 0xFFFFFF00)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4) + struct.pack("<IIII", 1, 0, 0, 0)


# Columns are the primaries in XYZ under D50, as a matrix profile stores them.
P3 = np.array([[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])


def matrix_profile(primaries: np.ndarray | None, gamma: float = 2.2) -> bytes:
    """An ICC v2 profile of three primaries and one gamma; without primaries, a grey one."""

    def fixed(numbers: np.ndarray) -> bytes:
        return np.round(np.asarray(numbers) * 65_536).astype(">i4").tobytes()

    curve = b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(gamma * 256))
    white = b"XYZ " + bytes(4) + fixed([0.9642, 1.0, 0.8249])
    name = MARK + b"\0"
    text = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {b"desc": text, b"cprt": b"text" + bytes(4) + b"none\0", b"wtpt": white}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        for index, letter in enumerate(b"rgb"):
            tags[bytes([letter]) + b"XYZ"] = b"XYZ " + bytes(4) + fixed(primaries[:, index])
            tags[bytes([letter]) + b"TRC"] = curve
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, data in tags.items():
        table += tag + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    space = b"GRAY" if primaries is None else b"RGB "
    head = bytes(4) + b"none" + bytes.fromhex("02100000") + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    head += fixed([0.9642, 1.0, 0.8249])
    profile = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(profile)) + profile[4:]


def srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


# --- not pictures at all ------------------------------------------------------------------------------------------


def foreign() -> dict[str, bytes]:
    """The beginnings of formats that are not allowed, long enough to be told apart."""
    return {
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n" + bytes(200),
        "pdf": b"%PDF-1.4\n1 0 obj\n" + bytes(200),
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>" + bytes(200),
        "html": b"<!doctype html><title>404</title>" + bytes(200),
        "psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 10, 10, 8, 3) + bytes(200),
        "fits": b"SIMPLE  =                    T" + b" " * 2850,
        "ppm": b"P6 4 4 255\n" + bytes(48),
        "film": struct.pack(">I", 24) + b"ftypisom" + bytes(200),
        "zip": b"PK\3\4" + bytes(200),
        "text": b"This is no picture.\n" * 10,
        "one byte": b"\xff",
    }


# --- a process of its own -----------------------------------------------------------------------------------------


def child(code: str, *arguments: str, seconds: float = 60, **options: object) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh process that finds this file and the package; no crash of it reaches the tests."""
    here = Path(__file__).parent
    paths = [str(here), str(here.parent / "src")]
    start = f"import sys; sys.path[:0] = {paths!r}\n"
    command = [sys.executable, "-W", "error", "-c", start + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **options)
