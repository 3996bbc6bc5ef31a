"""The student's file: large kernels in 8 bits with one scale a channel, the rest in float16, biases in float32.

A tensor KEY stored as int8 stands beside KEY.scale, float32, one number for each of its first dimension:
value = int8 · scale.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["load", "packed", "save", "unpacked"]

EIGHT_BITS = 2**14  # numbers in a kernel from which on it is stored in 8 bits


def packed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as they are stored."""
    stored: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        value = tensor.detach().float().contiguous()
        if value.dim() == 4 and (value.numel() >= EIGHT_BITS or key.endswith("up.weight")):
            scale = value.flatten(1).abs().amax(1).clamp_min(1e-12) / 127
            stored[key] = (value / scale.view(-1, 1, 1, 1)).round().to(torch.int8)
            stored[f"{key}.scale"] = scale
        else:
            stored[key] = value if value.dim() == 1 else value.half()
    return stored


def unpacked(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stored tensors as float32."""
    return {
        key: tensor.float() * stored[f"{key}.scale"].view(-1, 1, 1, 1) if f"{key}.scale" in stored else tensor.float()
        for key, tensor in stored.items()
        if not key.endswith(".scale")
    }


def save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    part = path.with_name(path.name + ".part")
    save_file(packed(tensors), part, metadata={"format": "pt", **metadata})
    part.replace(path)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors in float32 and the metadata of a file."""
    with safe_open(path, "pt") as file:
        return unpacked({key: file.get_tensor(key) for key in file.keys()}), file.metadata()  # noqa: SIM118
