"""Where to compute, and in which precision."""

from __future__ import annotations

import torch

from impasto.errors import OptionError

__all__ = ["available", "choose_device", "choose_precision"]


def available() -> list[str]:
    """Names of the devices present, as `Recipe.device` takes them: the accelerator's, if any, then cpu."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return ["cpu"]
    count = torch.accelerator.device_count()
    numbered = [f"{accelerator.type}:{i}" for i in range(count)] if count > 1 else []
    return [accelerator.type, *numbered, "cpu"]


def choose_device(name: str) -> torch.device:
    """The device called `name`; auto takes the accelerator, if any. Raises OptionError naming those present."""
    present = available()
    if name == "auto":
        return torch.device(present[0])
    if name.removesuffix(":0") not in present and name not in present:
        raise OptionError(f"device: no {name!r} here; present: {', '.join(present)}")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The network's number type; auto takes bfloat16 where the hardware multiplies it faster than float32."""
    if name == "auto":
        name = "bfloat16" if _fast_bfloat16(device) else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cpu":  # processors without AVX-512 BF16 or AMX emulate bfloat16 at a loss
        return any(_processor_has(feature) for feature in ("avx512_bf16", "amx_tile"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _processor_has(feature: str) -> bool:
    """Whether PyTorch knows the processor to have a feature; older versions say so privately, or not at all."""
    if (capabilities := getattr(torch.cpu, "get_capabilities", None)) is not None:
        return bool(capabilities().get(feature, False))
    return bool(getattr(torch.cpu, f"_is_{feature}_supported", bool)())
