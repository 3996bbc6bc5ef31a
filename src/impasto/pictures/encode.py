"""Pictures out: a file's bytes, or the file itself."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from impasto import files
from impasto.errors import OptionError, OutputError
from impasto.files import SUFFIXES
from impasto.pictures.decode import Samples
from impasto.pictures.exif import About, block, completed, with_tags
from impasto.pictures.metadata import KEY, MAX_METADATA
from impasto.pictures.profiles import srgb_profile
from impasto.text import shown

__all__ = ["as_shown", "check_format", "check_target", "encode", "to_array", "write", "write_image"]

NOTHING = About()
LONGEST = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}  # pixels a side that the format can hold


def check_target(
    path: str | os.PathLike[str],
    *,
    overwrite: bool,
    inputs: Iterable[str | os.PathLike[str]] = (),
    size: tuple[int, int] | None = None,
    suffix: str = "",
) -> Path:
    """The path of a result, after making sure that it can be written; meant to be called before any work.

    `size` (height, width), if known, is checked against what the format can hold, that of `suffix` where it is not the
    path's own. Raises OutputError.
    """
    check_format(path, size, suffix)
    return files.check_place(path, overwrite=overwrite, inputs=inputs)


def write(
    path: str | os.PathLike[str],
    rgb: Tensor,
    alpha: Tensor | None = None,
    *,
    metadata: dict[str, Any] | None = None,
    overwrite: bool = False,
    bits: Literal[8, 16] | None = None,
    suffix: str = "",
    about: About = NOTHING,
) -> Path:
    """Write a picture by the suffix of its path, or by `suffix`, atomically, as `encode` makes it; returns the path."""
    target = check_target(path, overwrite=overwrite, size=(rgb.shape[1], rgb.shape[2]), suffix=suffix)
    files.write(target, encode(rgb, alpha, path, metadata=metadata, bits=bits, suffix=suffix, about=about))
    return target


def write_image(path: Path, image: Image.Image, metadata: dict[str, Any]) -> None:
    """Write a Pillow image of 8 bits in place of what was there, as `write` does."""
    rgb = torch.from_numpy(np.array(image.convert("RGB"), dtype=np.float32)).permute(2, 0, 1) / 255
    write(path, rgb, metadata=metadata, overwrite=True)


def encode(
    rgb: Tensor,
    alpha: Tensor | None = None,
    name: str | os.PathLike[str] = "picture.png",
    *,
    metadata: dict[str, Any] | None = None,
    bits: Literal[8, 16] | None = None,
    suffix: str = "",
    about: About = NOTHING,
) -> bytes:
    """A file of float RGB 3×H×W (and alpha 1×H×W) 0…1 as bytes: PNG, JPEG, WebP or TIFF by the suffix of `name`.

    `suffix` is for a name that has none.

    PNG has 8 bits; TIFF has 16 unless `bits` = 8; JPEG has quality 95, 4:4:4, and shows alpha over white; WebP is
    lossless, because its lossy form always halves the colour resolution, which smears the strokes of a painting.
    All carry the sRGB profile, and what `about` says of the photo: its resolution and EXIF, by default none. `metadata`
    goes into PNG (iTXt "impasto") and TIFF (ImageDescription).
    Raises OutputError for what cannot be written, OptionError for metadata that is no JSON and for impossible bits.
    """
    suffix = check_format(name, (rgb.shape[1], rgb.shape[2]), suffix)
    tiff = suffix in (".tif", ".tiff")
    if bits == 16 and not tiff:
        raise OptionError(f"{shown(name)}: 16 bits are written to .tif only, not to {suffix}")
    text = None if metadata is None else _to_json(metadata)
    rgb, alpha = as_shown(rgb, alpha, suffix)
    values = to_array(rgb, alpha, bits or (16 if tiff else 8))
    try:
        return _encode_tiff(values, text, about) if tiff else _encode(values, suffix, text, about)
    except (OSError, ValueError, MemoryError) as error:
        raise OutputError(f"{shown(name)}: cannot be encoded ({shown(error) or type(error).__name__})") from error


def as_shown(rgb: Tensor, alpha: Tensor | None, suffix: str) -> tuple[Tensor, Tensor | None]:
    """A picture 3×H×W and its alpha 1×H×W as a format can hold them: JPEG has no alpha and shows it over white."""
    if alpha is not None and suffix.lower() in (".jpg", ".jpeg"):
        return rgb * alpha + (1 - alpha), None
    return rgb, alpha


def to_array(rgb: Tensor, alpha: Tensor | None = None, bits: int = 8) -> Samples:
    """H×W×3, or ×4 with alpha, in uint8 or (`bits` = 16) uint16, clipped and rounded to the nearest.

    >>> to_array(torch.tensor([0.0, 0.5, 2.0]).reshape(3, 1, 1))
    array([[[  0, 128, 255]]], dtype=uint8)
    """
    planes = rgb if alpha is None else torch.cat([rgb, alpha.to(rgb)])
    planes = planes.detach().to("cpu", torch.float32)
    if torch.isnan(planes).any():
        raise OutputError("the picture holds NaN values and was not written")
    kind = np.uint8 if bits == 8 else np.uint16
    values = planes.clamp(0, 1).mul_(2**bits - 1).add_(0.5).floor_().numpy()
    return np.ascontiguousarray(values.transpose(1, 2, 0).astype(kind))


def check_format(path: str | os.PathLike[str], size: tuple[int, int] | None, suffix: str = "") -> str:
    """The suffix, in lower case, of a format that can hold a picture of `size` (height, width); raises OutputError."""
    suffix = suffix or Path(path).suffix
    kind = suffix.lower()
    if kind not in SUFFIXES:
        raise OutputError(f"{shown(path)}: unknown suffix {shown(suffix)!r}; use one of {' '.join(SUFFIXES)}")
    if size is not None and max(size) > LONGEST.get(kind, max(size)):
        limit = f"{kind}'s {LONGEST[kind]:,} pixels a side"
        raise OutputError(f"{shown(path)}: {size[1]}×{size[0]} is above {limit}; use .png or .tif")
    return kind


def _to_json(metadata: dict[str, Any]) -> str:
    try:
        text = json.dumps(metadata, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(f"metadata: cannot be written as JSON ({shown(error)[:100]})") from None
    if len(text) > MAX_METADATA:
        raise OptionError(f"metadata: {len(text):,} characters are too many (at most {MAX_METADATA:,})")
    return text


def _encode(values: Samples, suffix: str, text: str | None, about: About) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(values)
    common: dict[str, Any] = {"icc_profile": srgb_profile()}
    if about.dpi is not None and suffix != ".webp":
        common["dpi"] = about.dpi
    if about.tags or (about.dpi is not None and suffix == ".webp"):  # which says it there only
        common["exif"] = block(about)
    if suffix == ".png":
        notes = PngImagePlugin.PngInfo()
        if text is not None:
            notes.add_itxt(KEY, text)
        picture.save(buffer, "PNG", pnginfo=notes, **common)
    elif suffix == ".webp":
        picture.save(buffer, "WEBP", lossless=True, exact=True, **common)
    else:
        picture.save(buffer, "JPEG", quality=95, subsampling=0, **common)
    return buffer.getvalue()


def _encode_tiff(values: Samples, text: str | None, about: About) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        values,
        photometric="rgb",
        extrasamples=["unassalpha"] if values.shape[2] == 4 else None,
        compression="zlib",
        predictor=True,
        software=KEY,
        description=text,
        metadata=None,
        iccprofile=srgb_profile(),
        resolution=about.dpi,
        resolutionunit=None if about.dpi is None else "INCH",
        extratags=with_tags(about),
    )
    return completed(buffer.getvalue(), about)
