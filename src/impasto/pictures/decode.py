"""Picture files and Pillow images to arrays of samples: formats, modes, profiles, orientation. Imports no torch.

The arrays are H×W×C with C = 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha), in uint8, uint16 or float 0…1.
"""

from __future__ import annotations

import io
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin

from impasto.errors import ImageReadError
from impasto.files import Blob
from impasto.pictures import profiles, reduced
from impasto.pictures.formats import guarded, open_header
from impasto.pictures.reduced import Wanted
from impasto.text import shown

__all__ = ["Samples", "check_size", "decode_file", "decode_image"]

Samples = NDArray[Any]

# The orientation tag of EXIF: how to turn the stored rows and columns upright (transpose, flip rows, flip columns).
UPRIGHT = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
WHITES = {"I": (255, 65_535, 2**31 - 1), "F": (1, 255, 65_535)}  # 32-bit modes carry no range of their own


def decode_file(blob: Blob, label: str, limit: int, notices: list[str], wanted: Wanted | None = None) -> Samples:
    """Decode a picture's file to samples, no larger than `wanted`; more than `limit` pixels are not decoded."""
    wanted = wanted or Wanted()
    file = io.BytesIO(blob.data)
    with guarded(label, notices):
        picture = open_header(file, label)
        check_size(picture.size, label, limit)
        reduced.draft(picture, wanted, label, len(blob.data))
        values = _deep_tiff(file, picture, label, limit, notices)
        if values is None:
            values = _samples(picture, label, notices, wanted)
        if isinstance(picture, PngImagePlugin.PngImageFile) and blob.data[24] == 16 and values.dtype == np.uint8:
            notices.append(f"{label}: 16-bit colour PNG read at 8 bits a channel; a TIFF keeps 16")
        if _has_more_frames(picture):
            notices.append(f"{label}: has several frames or pages; only the first is used")
        return values


def decode_image(picture: Image.Image, label: str, limit: int, notices: list[str]) -> Samples:
    """Decode the current frame of a Pillow image to samples."""
    with guarded(label, notices):
        check_size(picture.size, label, limit)
        return _samples(picture, label, notices)


def check_size(size: tuple[int, int], label: str, limit: int) -> None:
    """Raise ImageReadError for a picture of no pixels or of more than `limit`; `size` is (width, height)."""
    width, height = size
    if width < 1 or height < 1:
        raise ImageReadError(f"{label}: has no pixels ({width}×{height})")
    if width * height > limit:
        raise ImageReadError(
            f"{label}: {width}×{height} = {width * height:,} pixels are over the limit of {limit:,}; shrink it first"
        )


def _samples(picture: Image.Image, label: str, notices: list[str], wanted: Wanted | None = None) -> Samples:
    picture.load()
    picture = reduced.reduce(picture, wanted or Wanted())
    if picture.mode.startswith("I;16"):
        values = _grey16(picture, label, notices)
    elif picture.mode in WHITES:
        values = _grey32(picture, label, notices)
    else:
        values = _eight_bit(picture, label, notices)
    return _upright(values, picture, label, notices)


def _eight_bit(picture: Image.Image, label: str, notices: list[str]) -> Samples:
    profile = picture.info.get("icc_profile")
    planes = []
    if picture.has_transparency_data:
        picture = picture.convert("LA" if picture.mode in ("1", "L", "LA", "La") else "RGBA")
        planes = [np.asarray(picture.getchannel("A"))[..., None]]
    if picture.mode == "LAB":
        picture, profile = profiles.lab_to_srgb(picture), None
    elif picture.mode in ("1", "LA"):
        picture = picture.convert("L")
    elif picture.mode not in ("L", "CMYK"):
        picture = picture.convert("RGB")
    if profile:
        picture = profiles.to_srgb(picture, profile, label, notices)
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
    return np.concatenate([np.atleast_3d(np.asarray(picture)), *planes], axis=2)


def _grey16(picture: Image.Image, label: str, notices: list[str]) -> Samples:
    values: Samples = np.asarray(picture).astype(np.uint16)
    transparent = picture.info.get("transparency")
    alpha = [np.where(values == transparent, 0, 65_535).astype(np.uint16)] if isinstance(transparent, int) else []
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        if picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE) == (12,):
            values = (values * (65_535 / 4095) + 0.5).astype(np.uint16)
        if picture.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:  # 0 is white; Pillow leaves that to us
            values = 65_535 - values
    if profile := picture.info.get("icc_profile"):
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        curve = np.asarray(profiles.to_srgb(ramp, profile, label, notices).convert("L"))[0]
        if not np.array_equal(curve, np.arange(256)):  # the curve at 256 points, straight lines between: keeps 16 bits
            values = np.interp(values, np.arange(256) * 257, curve * 257.0).round().astype(np.uint16)
    return np.stack([values, *alpha], axis=2)


def _grey32(picture: Image.Image, label: str, notices: list[str]) -> Samples:
    values = np.asarray(picture, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ImageReadError(f"{label}: holds NaN or infinite values")
    peak = float(values.max())
    white = next((w for w in WHITES[picture.mode] if peak <= 1.5 * w), None)  # half as much again: overshoot, clipped
    if white is None:
        raise ImageReadError(f"{label}: 32-bit values up to {peak:g} have no known white; scale them to 0…1 first")
    notices.append(f"{label}: 32-bit grey, taken as 0…{white}")
    return np.clip(values / white, 0, 1).astype(np.float32)[..., None]


def _deep_tiff(
    file: BinaryIO, picture: ImageFile.ImageFile, label: str, limit: int, notices: list[str]
) -> Samples | None:
    """RGB or RGBA of a 16-bit TIFF by tifffile, which keeps the bits that Pillow drops; None for other pictures."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return None
    bits = picture.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    if set(bits) != {16} or picture.mode not in ("RGB", "RGBA"):
        return None
    profile = picture.info.get("icc_profile")
    if profile and not profiles.is_srgb(profile):
        notices.append(f"{label}: 16-bit TIFF in other colours than sRGB read at 8 bits a channel")
        return None
    import tifffile  # a quarter of a second that only these files need

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page: Any = tiff.pages[0]
        if page.compression not in (1, 8, 32946):  # none or deflate; the others need a further package
            notices.append(f"{label}: 16-bit TIFF with {page.compression.name} compression read at 8 bits a channel")
            return None
        check_size((page.imagewidth, page.imagelength), label, limit)
        segment = int(np.prod(page.chunks)) * 2
        if page.dtype != np.uint16 or segment * len(page.dataoffsets) > limit * 8 or page.samplesperpixel > 8:
            raise ValueError("unknown layout of 16-bit samples")
        if page.compression != 1:
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
                file.seek(offset)
                unpacker = zlib.decompressobj()  # tifffile unpacks without a bound, so look first
                if len(unpacker.decompress(file.read(count), segment + 1)) > segment:
                    raise ValueError("a strip unpacks to more than it should")
        values: Samples = page.asarray()
        if page.planarconfig == 2:
            values = np.moveaxis(values, 0, -1)
    if values.shape[:2] != (page.imagelength, page.imagewidth):
        raise ValueError(f"unknown layout of 16-bit samples {values.shape}")
    extra = page.extrasamples[0] if page.extrasamples else 2 if page.samplesperpixel == 4 else 0
    if extra == 1:  # colours multiplied by alpha: divide it out again
        alpha = values[..., 3:4].astype(np.float32)
        colours = np.minimum(values[..., :3] / np.maximum(alpha, 1), 1)
        values = np.concatenate([colours, alpha / 65_535], axis=2)
    return _upright(values[..., : 4 if extra in (1, 2) else 3], picture, label, notices)


def _upright(values: Samples, picture: Image.Image, label: str, notices: list[str]) -> Samples:
    """Turn the samples as the EXIF orientation says; read after decoding, since Pillow itself turns a TIFF then."""
    try:
        orientation = picture.getexif().get(0x0112, 1)
        transpose, rows, columns = UPRIGHT.get(orientation, (False, False, False))
    except Exception as error:  # Pillow's parser raises anything on a damaged block
        why = shown(error)[:100] or type(error).__name__
        notices.append(f"{label}: its EXIF block is damaged and is ignored ({why})")
        return values
    values = values.swapaxes(0, 1) if transpose else values
    return values[:: -1 if rows else 1, :: -1 if columns else 1]


def _has_more_frames(picture: ImageFile.ImageFile) -> bool:
    try:
        return bool(getattr(picture, "is_animated", False))
    except Exception:  # a damaged second frame concerns nobody
        return True
