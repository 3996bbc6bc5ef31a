"""HEIC and HEIF by libheif; and what the container of an AVIF says, which Pillow does not pass on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pi_heif
from numpy.typing import NDArray

from impasto.pictures import profiles, signals

__all__ = ["about", "decode", "opened"]


def opened(data: bytes) -> Any:
    """The primary picture of a HEIF container (pi_heif.HeifImage), not decoded, and the number of its pictures."""
    file = pi_heif.open_heif(data, convert_hdr_to_8bit=False)
    return file[file.primary_index], len(file)


def about(data: bytes) -> tuple[dict[str, Any], int]:
    """What an AVIF's container says of its colours, as in HEIF's `info`, and its bits a sample; {} and 8 if nothing."""
    try:
        info = opened(data)[0].info
    except (ValueError, OSError, EOFError, RuntimeError, SyntaxError):  # Pillow has read it, so it is no damage
        return {}, 8
    return {key: info[key] for key in ("nclx_profile",) if key in info}, int(info["bit_depth"])


def decode(first: Any, label: str, notices: list[str]) -> NDArray[Any]:
    """Samples H×W×1…4 of a HEIF picture, in sRGB, upright: libheif turns it, EXIF must not do so again."""
    values: NDArray[Any] = np.array(first)  # a copy: the memory goes with the HeifImage
    values = np.atleast_3d(values)[:, : first.size[0]]
    if first.premultiplied_alpha:
        white = np.iinfo(values.dtype).max
        alpha = values[..., -1:].astype(np.float32)
        values = np.concatenate([np.minimum(values[..., :-1] / np.maximum(alpha, 1), 1), alpha / white], axis=2)
    profile = first.info.get("icc_profile")
    if profile and not profiles.is_srgb(profile):
        return profiles.samples_to_srgb(values, profile, f"{first.info['bit_depth']}-bit HEIC", label, notices)
    signal = signals.declared(first.info, label, notices)
    return signals.to_srgb(values, signal, label, notices) if signal else values
