"""Camera RAW by LibRaw (the extra `raw`), told by content."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from impasto.errors import ImageReadError
from impasto.pictures.formats import check_size
from impasto.pictures.quiet import quiet
from impasto.text import shown

__all__ = ["decode"]

SRGB_CURVE = (2.4, 12.92)


def decode(data: bytes, label: str, limit: int, notices: list[str]) -> NDArray[np.uint16]:
    """Develop a RAW file: H×W×3 at 16 bits, sRGB, upright, the white balance of the camera.

    Raises ImageReadError without the extra, for cameras that LibRaw does not know and for more than `limit` pixels.
    """
    try:
        import rawpy
    except ImportError:
        raise ImageReadError(f'{label}: is a camera\'s RAW file; pip install "impasto[raw]"') from None
    try:
        with quiet() as said, rawpy.imread(io.BytesIO(data)) as raw:
            check_size((raw.sizes.raw_width, raw.sizes.raw_height), label, limit)
            developed: Any = raw.postprocess(use_camera_wb=True, output_bps=16, gamma=SRGB_CURVE)
    except (rawpy.LibRawFileUnsupportedError, rawpy.LibRawNotImplementedError, rawpy.NotSupportedError):
        remedy = "develop it to TIFF or JPEG in a photo program"
        raise ImageReadError(f"{label}: is a RAW file of a kind that LibRaw does not know; {remedy}") from None
    except rawpy.LibRawUnsufficientMemoryError:
        raise MemoryError from None
    said = [shown(one.partition(": ")[2]) for one in said]  # LibRaw tells of bad data on the standard error only
    if any("end of file" in one for one in said):
        raise ValueError(said[0])
    notices += [f"{label}: LibRaw says: {one}" for one in said[:1]]
    return np.asarray(developed, dtype=np.uint16)
