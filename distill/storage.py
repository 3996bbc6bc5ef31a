"""The student's file: large kernels as deflated 8-bit integers, the rest in float16, biases in float32.

A kernel KEY, O×I×H×W, is stored as whole numbers times KEY.scale, float32, one for each of its filters. A scale is a
fraction of its filter's standard deviation, so that most numbers are small and deflate to some 6 bits. The bytes of
all of them are one raw deflate stream, KEY, uint8; the metadata `deflated` tells the shapes.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["load", "rounded", "save"]

LARGE = 2**14  # numbers in a kernel from which on it is stored as integers
STEP = 0.05  # of an integer, in standard deviations of its filter; its square over 12 is the error, 0.02 %
DEFLATED = "deflated"


def save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    stored: dict[str, Tensor] = {}
    shapes: dict[str, list[int]] = {}
    for key, tensor in tensors.items():
        if _large(key, tensor):
            whole, scale = _integers(tensor)
            stored[key], stored[f"{key}.scale"] = _deflated(whole), scale
            shapes[key] = list(tensor.shape)
        else:
            stored[key] = _half(tensor)
    part = path.with_name(path.name + ".part")
    save_file(stored, part, metadata={"format": "pt", DEFLATED: json.dumps(shapes), **metadata})
    part.replace(path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors in float32 and the metadata of a file."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        shapes = json.loads(metadata[DEFLATED])
        tensors = {}
        for key in file.keys():  # noqa: SIM118
            if key in shapes:
                scale = file.get_tensor(f"{key}.scale").view(-1, 1, 1, 1)
                tensors[key] = _inflated(file.get_tensor(key)).reshape(shapes[key]) * scale
            elif not key.endswith(".scale"):
                tensors[key] = file.get_tensor(key).float()
        return tensors, metadata


def rounded(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in float32 as a file gives them back."""
    found = {}
    for key, tensor in tensors.items():
        if _large(key, tensor):
            whole, scale = _integers(tensor)
            found[key] = whole * scale.view(-1, 1, 1, 1)
        else:
            found[key] = _half(tensor).float()
    return found


def _large(key: str, tensor: Tensor) -> bool:
    return tensor.dim() == 4 and (tensor.numel() >= LARGE or key.endswith("up.weight"))


def _integers(tensor: Tensor) -> tuple[Tensor, Tensor]:
    """A kernel as int8 and the scale of each filter."""
    value = tensor.detach().float()
    flat = value.flatten(1)
    scale = torch.maximum(STEP * flat.std(1), flat.abs().amax(1) / 127).clamp_min(1e-12)
    return (value / scale.view(-1, 1, 1, 1)).round().to(torch.int8), scale


def _half(tensor: Tensor) -> Tensor:
    value = tensor.detach().float().contiguous()
    return value if value.dim() == 1 else value.half()


def _deflated(whole: Tensor) -> Tensor:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zlib.Z_HUFFMAN_ONLY)  # nothing repeats
    data = packer.compress(whole.contiguous().numpy().tobytes()) + packer.flush()
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def _inflated(data: Tensor) -> Tensor:
    values = zlib.decompress(data.numpy().tobytes(), wbits=-zlib.MAX_WBITS)
    return torch.frombuffer(bytearray(values), dtype=torch.int8).float()
