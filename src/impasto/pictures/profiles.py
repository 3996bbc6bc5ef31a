"""Colour profiles: anything with an ICC profile to sRGB, and the sRGB profile that results carry."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from impasto.text import shown

__all__ = ["is_srgb", "lab_to_srgb", "samples_to_srgb", "srgb_profile", "to_srgb"]

MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # colour space of a profile → Pillow mode it applies to
# What Pillow raises for profiles that are damaged or made for something else.
UNUSABLE = (ImageCms.PyCMSError, OSError, ValueError, TypeError, KeyError, AttributeError)


def to_srgb(picture: Image.Image, profile: bytes, label: str, notices: list[str]) -> Image.Image:
    """Colours of an L, RGB or CMYK picture by its ICC profile; a profile that cannot be used only leaves a notice."""
    try:
        source, mode = _open(profile)
        if mode == "RGB" and picture.mode == "L":
            picture = picture.convert("RGB")
        if mode != picture.mode:
            raise ValueError(f"made for {mode}, the picture is {picture.mode}")
        return picture if _leaves_colours(source, mode) else _transform(source, mode).apply(picture)
    except UNUSABLE as error:
        notices.append(f"{label}: its colour profile cannot be used and is ignored ({shown(error)[:100]})")
        return picture


def samples_to_srgb(
    values: NDArray[Any], profile: bytes, what: str, label: str, notices: list[str]
) -> NDArray[np.uint8]:
    """Samples H×W×1…4 (uint8, uint16 or float 0…1) by their ICC profile at 8 bits, all that Pillow converts.

    `what` is what a notice calls samples of more than 8 bits.
    """
    if values.dtype != np.uint8:
        notices.append(f"{label}: {what} in other colours than sRGB read at 8 bits a channel")
        values = (values >> 8 if values.dtype == np.uint16 else np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
    count = values.shape[2]
    colours = np.ascontiguousarray(values[..., :3] if count >= 3 else values[..., 0])
    converted = np.atleast_3d(np.asarray(to_srgb(Image.fromarray(colours), profile, label, notices)))
    return np.concatenate([converted, values[..., -1:]], axis=2) if count in (2, 4) else converted


def is_srgb(profile: bytes) -> bool:
    """Whether an ICC profile is sRGB under any name, so that colours need no conversion."""
    try:
        return _leaves_colours(*_open(profile))
    except UNUSABLE:
        return False


def lab_to_srgb(picture: Image.Image) -> Image.Image:
    """Colours of a CIE L*a*b* picture, which names them absolutely and needs no profile."""
    return _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB").apply(picture)


def srgb_profile() -> bytes:
    """The sRGB profile of Little CMS (public domain), with a fixed date so that equal pictures are equal files."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = np.array([2024, 1, 1, 0, 0, 0], dtype=">u2").tobytes()  # year, month, day, h, min, s
    return bytes(profile)


def _open(profile: bytes) -> tuple[ImageCms.ImageCmsProfile, str]:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return source, MODES[source.profile.xcolor_space.strip()]


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    return ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)


def _leaves_colours(source: ImageCms.ImageCmsProfile, mode: str) -> bool:
    """Whether no colour of a test card, every grey and a 9×9×9 cube, moves by more than 1/255."""
    if mode == "CMYK":
        return False
    grey = np.arange(256, dtype=np.uint8)[None]
    card = grey
    if mode == "RGB":
        steps = np.linspace(0, 255, 9).astype(np.uint8)
        cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)
        card = np.concatenate([np.repeat(grey[..., None], 3, axis=2), cube], axis=1)
    moved = np.asarray(_transform(source, mode).apply(Image.fromarray(card))).astype(int)
    return bool(np.abs(moved - np.atleast_3d(card)).max() <= 1)
