"""Pictures in: any file, Pillow image, array or tensor to a Picture."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto.errors import ImageReadError
from impasto.files import Blob
from impasto.pictures import decode, sources
from impasto.pictures.decode import Samples
from impasto.pictures.reduced import Wanted
from impasto.pictures.sources import Readable
from impasto.text import shown

__all__ = ["MAX_PIXELS", "Picture", "Source", "read"]

MAX_PIXELS = 200_000_000  # checked before decoding; 2.4 GB as float RGB
WHITE = {"uint8": 255, "uint16": 65_535, "float16": 1, "float32": 1, "float64": 1}  # by sample type
OVERSHOOT = 0.1  # how far float samples may leave 0…1 and still be clipped; beyond, the range is another one


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture as the core takes it: straight (not premultiplied) sRGB, upright, and where it came from."""

    rgb: Tensor  # float32 3×H×W, 0…1
    alpha: Tensor | None  # float32 1×H×W, 0…1; None where everything is opaque
    name: str  # base name of the file, printable; "bytes", "file", "image" or "array" for what has none
    sha256: str  # of the file's bytes, or of the array's shape, type and bytes
    notices: tuple[str, ...]  # what the user may want to know
    whole: tuple[int, int] | None = None  # height and width of a file that was read smaller

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rgb.shape[1], self.rgb.shape[2]

    @property
    def full_size(self) -> tuple[int, int]:
        """Height and width of the file."""
        return self.whole or self.size


Source = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | Blob | Image.Image | Samples | Tensor | Picture
)


def read(source: Source, role: str = "picture", wanted: Wanted | None = None) -> Picture:
    """Read a picture from a path, a file's bytes, a Pillow image, an array H×W(×3 or 4) or a tensor (1×)3×H×W.

    Arrays and tensors of floats are 0…1. Bytes are those of a picture's file; they may be in an open file, too, which
    is read from where it stands. `role` is what messages call it. A file much larger than `wanted` is read smaller.
    Colours of transparent pixels are replaced by the mean of the visible ones.
    Raises ImageReadError for whatever cannot be read or has more than MAX_PIXELS pixels, MemoryShortError for what the
    room that is `wanted` does not suffice for, and nothing else.

    >>> read(np.full((2, 4, 3), 255, dtype=np.uint8)).rgb.mean()
    tensor(1.)
    """
    notices: list[str] = []
    if isinstance(source, Picture):
        return source
    source = sources.blob(source, role) or source
    if isinstance(source, Tensor):
        values = _from_tensor(source, f"{role} tensor")
        name, sha256 = "array", _digest(values)
    elif isinstance(source, np.ndarray):
        values = _from_array(source, f"{role} array")
        name, sha256 = "array", _digest(values)
    elif isinstance(source, Image.Image):
        values = decode.decode_image(source, f"{role} image", MAX_PIXELS, notices)
        name, sha256 = "image", _digest(values)
    elif isinstance(source, Blob):
        values = decode.decode_file(source, f"{role} {shown(source.name)}", MAX_PIXELS, notices, wanted)
        name, sha256 = shown(PurePath(source.name).name), source.sha256
    else:
        given = type(source).__name__
        raise ImageReadError(
            f"{role}: cannot read a {given}; give a path, bytes, an open file, a PIL image, an array or a tensor"
        )
    try:
        rgb, alpha = _planes(values, f"{role} {name}", notices)
    except MemoryError:
        raise ImageReadError(f"{role} {name}: not enough memory for its pixels; make it smaller first") from None
    return Picture(rgb, alpha, name, sha256, tuple(notices), _whole(rgb, wanted))


def _from_array(array: Samples, label: str) -> Samples:
    given = f"{label}: shape {tuple(array.shape)} of {array.dtype}"
    if array.dtype.name not in WHITE:
        raise ImageReadError(f"{given} is no picture; give uint8, uint16 or float 0…1")
    values: Samples = np.asarray(array)
    if array.ndim == 2:
        values = values[..., None]
    elif array.ndim != 3 or array.shape[2] not in (3, 4):
        raise ImageReadError(f"{given} is no picture; give H×W, H×W×3 or H×W×4")
    decode.check_size((values.shape[1], values.shape[0]), label, MAX_PIXELS)
    if values.dtype.kind == "f":
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ImageReadError(f"{given} holds NaN or infinite values")
        if low < -OVERSHOOT or high > 1 + OVERSHOOT:
            raise ImageReadError(f"{given} holds {low:g} to {high:g}; floats must be 0…1")
    return values


def _from_tensor(tensor: Tensor, label: str) -> Samples:
    given = f"{label}: shape {tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
    numeric = tensor.is_floating_point() or tensor.dtype == torch.uint8
    if not numeric or tensor.layout != torch.strided or tensor.is_meta:
        raise ImageReadError(f"{given} is no picture; give a dense tensor of uint8 or float 0…1")
    if tensor.ndim == 4 and tensor.shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        raise ImageReadError(f"{given} is no picture; give 3×H×W or 1×3×H×W")
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point() and tensor.dtype != torch.float64:  # numpy knows no bfloat16
        tensor = tensor.float()
    return _from_array(tensor.permute(1, 2, 0).numpy(), given.partition(":")[0])


def _digest(values: Samples) -> str:
    head = f"{values.shape}{values.dtype.newbyteorder('<').str}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _whole(rgb: Tensor, wanted: Wanted | None) -> tuple[int, int] | None:
    """Height and width, upright as the picture is, of a file that was read smaller."""
    height, width = rgb.shape[1:]
    if wanted is None or wanted.size is None or max(wanted.size) == max(height, width):
        return None
    across, down = wanted.size
    turned = (across - down) * (width - height) < 0
    return (across, down) if turned else (down, across)


def _planes(values: Samples, label: str, notices: list[str]) -> tuple[Tensor, Tensor | None]:
    """Float RGB and alpha, copied from samples H×W×1…4."""
    planes = torch.from_numpy(np.array(np.moveaxis(values, 2, 0), dtype=np.float32, order="C"))
    planes.div_(WHITE[values.dtype.name]).clamp_(0, 1)
    count = planes.shape[0]
    rgb = planes[:3] if count >= 3 else planes[:1].expand(3, -1, -1).contiguous()
    if count in (1, 3):
        return rgb, None
    alpha = planes[-1:].clone()
    if bool((alpha == 1).all()):
        return rgb.clone(), None
    hidden = alpha[0] == 0
    if bool(hidden.all()):
        notices.append(f"{label}: is wholly transparent; its colours are taken as mid-grey")
        return torch.full_like(rgb, 0.5), alpha
    rgb = rgb.clone()
    rgb[:, hidden] = rgb[:, ~hidden].mean(dim=1, dtype=torch.float64).float()[:, None]
    return rgb, alpha
