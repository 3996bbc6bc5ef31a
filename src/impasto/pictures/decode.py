"""Picture files and Pillow images to arrays of samples: formats, modes, profiles, orientation. Imports no torch.

The arrays are H×W×C with C = 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha), in uint8, uint16 or float 0…1.
"""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin

from impasto.files import Blob
from impasto.pictures import heif, jxl, profiles, raw, reduced, signals, tiff
from impasto.pictures.formats import check_size, guarded, open_header, told
from impasto.pictures.quiet import quiet_libtiff
from impasto.pictures.ranges import to_range
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
SEVERAL = "has several frames or pages; only the first is used"


def decode_file(blob: Blob, label: str, limit: int, notices: list[str], wanted: Wanted | None = None) -> Samples:
    """Decode a picture's file to samples, no larger than `wanted`; more than `limit` pixels are not decoded."""
    wanted = wanted or Wanted()
    with guarded(label, notices):
        match told(blob.data[:1024]):
            case "HEIF":
                return _heif(blob.data, label, limit, notices)
            case "JXL":
                return _jxl(blob.data, label, limit, notices)
            case "RAW":
                return raw.decode(blob.data, label, limit, notices)
            case "TIFF":
                return _tiff(blob.data, label, limit, notices)
        picture = open_header(io.BytesIO(blob.data), label, notices)
        check_size(picture.size, label, limit)
        reduced.draft(picture, wanted, label, len(blob.data))
        deep = picture.format == "PNG" and blob.data[24] == 16
        if picture.format == "AVIF":
            about, bits = heif.about(blob.data)
            picture.info.update(about)
            deep = bits > 8
        values = _samples(picture, label, notices, wanted)
        if deep and values.shape[2] >= 3:
            what = f"{bits}-bit AVIF" if picture.format == "AVIF" else "16-bit colour PNG"
            notices.append(f"{label}: {what} read at 8 bits a channel; a TIFF keeps 16")
        if picture.format != "JPEG" and _has_more_frames(picture):
            notices.append(f"{label}: {SEVERAL}")
        return values


def decode_image(picture: Image.Image, label: str, limit: int, notices: list[str]) -> Samples:
    """Decode the current frame of a Pillow image to samples."""
    with guarded(label, notices):
        check_size(picture.size, label, limit)
        with quiet_libtiff() if isinstance(picture, TiffImagePlugin.TiffImageFile) else nullcontext():
            return _samples(picture, label, notices)


def _samples(picture: Image.Image, label: str, notices: list[str], wanted: Wanted | None = None) -> Samples:
    picture.load()
    picture = reduced.reduce(picture, wanted or Wanted())
    if picture.mode.startswith("I;16"):
        values = _grey16(picture, label, notices)
    elif picture.mode in ("I", "F"):
        values = to_range(np.asarray(picture)[..., None], label, notices)
    else:
        values = _eight_bit(picture, label, notices)
    if signal := signals.declared(picture.info, label, notices):
        values = signals.to_srgb(values, signal, label, notices)
    return _upright(values, picture, label, notices)


def _eight_bit(picture: Image.Image, label: str, notices: list[str]) -> Samples:
    profile = None if picture.info.get("cicp") else picture.info.get("icc_profile")
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
    profile = None if picture.info.get("cicp") else picture.info.get("icc_profile")
    if profile:
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        curve = np.asarray(profiles.to_srgb(ramp, profile, label, notices).convert("L"))[0]
        if not np.array_equal(curve, np.arange(256)):  # the curve at 256 points, straight lines between: keeps 16 bits
            values = np.interp(values, np.arange(256) * 257, curve * 257.0).round().astype(np.uint16)
    return np.stack([values, *alpha], axis=2)


def _tiff(data: bytes, label: str, limit: int, notices: list[str]) -> Samples:
    """A TIFF by Pillow, or by our own reader where Pillow drops bits or takes samples for something else."""
    whole, page, pages = tiff.main_page(data)
    if tiff.is_raw(data, pages):
        return raw.decode(data, label, limit, notices)
    if page.is_reduced:
        notices.append(f"{label}: says that it is a smaller copy of a picture, which is not found in the file")
    if sum(not one.is_reduced for one in pages) > 1:
        notices.append(f"{label}: {SEVERAL}")
    values = tiff.decode(whole, page, label, limit) if page.is_deep else None
    if values is not None:
        return _turned(tiff.finished(values, page, label, notices), page.number(tiff.ORIENTATION, 1))
    picture = open_header(io.BytesIO(whole), label)
    check_size(picture.size, label, limit)
    with quiet_libtiff():
        values = _samples(picture, label, notices)
    if page.is_deep and values.dtype == np.uint8:
        notices.append(f"{label}: 16-bit TIFF in a rare layout read at 8 bits a channel")
    return values


def _heif(data: bytes, label: str, limit: int, notices: list[str]) -> Samples:
    first, count = heif.opened(data)
    check_size(first.size, label, limit)
    values = heif.decode(first, label, notices)
    if count > 1:
        notices.append(f"{label}: {SEVERAL}")
    return values


def _jxl(data: bytes, label: str, limit: int, notices: list[str]) -> Samples:
    header = jxl.header(data)
    check_size(header.size, label, limit)
    values = _samples(jxl.opened(data, label), label, notices)
    if header.bits > 8 and values.dtype == np.uint8:
        notices.append(f"{label}: {header.bits}-bit JPEG XL read at 8 bits a channel")
    if header.animated:
        notices.append(f"{label}: {SEVERAL}")
    return values


def _upright(values: Samples, picture: Image.Image, label: str, notices: list[str]) -> Samples:
    """Turn the samples as the EXIF orientation says; read after decoding, since Pillow itself turns a TIFF then."""
    try:
        return _turned(values, picture.getexif().get(0x0112, 1))
    except Exception as error:  # Pillow's parser raises anything on a damaged block
        why = shown(error)[:100] or type(error).__name__
        notices.append(f"{label}: its EXIF block is damaged and is ignored ({why})")
        return values


def _turned(values: Samples, orientation: int) -> Samples:
    transpose, rows, columns = UPRIGHT.get(orientation, (False, False, False))
    values = values.swapaxes(0, 1) if transpose else values
    return values[:: -1 if rows else 1, :: -1 if columns else 1]


def _has_more_frames(picture: ImageFile.ImageFile) -> bool:
    try:
        return bool(getattr(picture, "is_animated", False))
    except Exception:  # a damaged second frame concerns nobody
        return True
