"""Decoders: the one inside the package, for any painting, and those that were fitted to a few (docs/instant.md).

A model's file is safetensors: the decoder's tensors, and for each of its paintings mean and deviation at every level
and a small picture. Its metadata holds the names and what it was made with. Files of others are read with suspicion.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path, PurePath
from typing import Any

import torch
from torch import Tensor

from impasto import files
from impasto.errors import WeightsError
from impasto.files import Blob
from impasto.onepass.decoder import LEVELS
from impasto.text import shown

__all__ = ["SUFFIX", "Model", "Portrait", "embedded", "encode", "folder", "found", "is_model", "read"]

SUFFIX = ".impasto"
FORMAT = "impasto one-pass model 1"
EMBEDDED = "instant.safetensors"
WIDTHS = {"relu4_1": 512, "relu3_1": 256, "relu2_1": 96, "relu1_1": 32}  # channels of `lite`
MOST_RANK = 512
MOST_PAINTINGS = 64
MOST_SIDE = 512  # px of a small picture
MOST_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class Portrait:
    """A painting as a model knows it: its name, a small picture (uint8 H×W×3), mean and deviation by level."""

    name: str
    picture: Tensor
    moments: Mapping[str, tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Model:
    """A decoder (`tensors`), the paintings that it was fitted to, none for any, and what its file says of its making.

    `net`: the SHA-256 of the network whose maps it decodes. `sha256`: of the file.
    """

    tensors: Mapping[str, Tensor]
    net: str
    paintings: tuple[Portrait, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    name: str = "instant"
    sha256: str = ""


@lru_cache(maxsize=1)
def embedded() -> Model:
    """The decoder inside the package."""
    path = Path(str(resources.files("impasto") / "data" / EMBEDDED))
    if not path.is_file():
        raise WeightsError(f"{EMBEDDED} is missing from the package; install impasto again")
    return _model(Blob.of(str(path), path.read_bytes()), "instant")


def folder() -> Path:
    """Where the user's models are looked for by name: IMPASTO_MODELS, or `models` in the system's place for data."""
    import platformdirs

    own = os.environ.get("IMPASTO_MODELS")
    return Path(own) if own else Path(platformdirs.user_data_dir("impasto", appauthor=False)) / "models"


def found(name: str) -> str:
    """The path of a model by its name, with or without its ending, in the user's folder; else the name itself."""
    if os.path.lexists(name) or PurePath(name).name != name:
        return name
    try:
        path = folder() / f"{name.removesuffix(SUFFIX)}{SUFFIX}"
        return str(path) if path.is_file() else name
    except (OSError, ValueError, RuntimeError):
        return name


def is_model(source: object) -> bool:
    """Whether a source names a model's file, or is one's bytes."""
    if isinstance(source, Blob):
        return PurePath(source.name).suffix.lower() == SUFFIX
    return isinstance(source, str | os.PathLike) and PurePath(os.fspath(source)).suffix.lower() == SUFFIX


def read(source: str | os.PathLike[str] | Blob) -> Model:
    """A model from its file; raises WeightsError for one that is missing, damaged, or none."""
    if not isinstance(source, Blob):
        try:
            source = files.read(source, f"model {shown(source)}")
        except Exception as error:
            raise WeightsError(str(error)) from None
    return _model(source, PurePath(source.name).stem)


def _model(blob: Blob, name: str) -> Model:
    label = f"model {shown(blob.name)}"
    if len(blob.data) > MOST_BYTES:
        raise WeightsError(f"{label}: {len(blob.data):,} bytes are too many for a model (at most {MOST_BYTES:,})")
    from safetensors.torch import load

    try:
        tensors = load(blob.data)
        size = int.from_bytes(blob.data[:8], "little")
        head = json.loads(blob.data[8 : 8 + size])
        about = json.loads(head["__metadata__"]["impasto"])
        if about["format"] != FORMAT:
            raise ValueError("another format")
        names, net = [str(one) for one in about["paintings"]], str(about["net"])
        if len(names) > MOST_PAINTINGS:
            raise ValueError("too many paintings")
    except Exception as error:  # safetensors, json and what they find raise anything
        why = shown(error)[:100] or type(error).__name__
        raise WeightsError(f"{label}: is damaged or no model of impasto ({why}); train it again") from None
    if about.get("checksum") != checksum(tensors):
        raise WeightsError(f"{label}: its checksum is wrong; it was changed or damaged, train it again")
    decoder = {key: tensor.float() for key, tensor in tensors.items() if not key.startswith("painting.")}
    _check(label, decoder)
    portraits = tuple(_portrait(label, tensors, number, one) for number, one in enumerate(names))
    return Model(decoder, net, portraits, about, name, blob.sha256)


def _check(label: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise WeightsError unless a decoder's tensors fit together and are finite."""
    wanted: dict[str, tuple[int, ...]] = {"rgb.weight": (3, WIDTHS[LEVELS[-1]], 3, 3), "rgb.bias": (3,)}
    for before, level in itertools.pairwise(LEVELS):
        down = tensors.get(f"{level}.down.weight")
        rank = 0 if down is None or down.dim() != 4 else down.shape[0]
        wanted[f"{level}.down.weight"] = (rank, WIDTHS[before], 3, 3)
        wanted[f"{level}.up.weight"] = (WIDTHS[level], rank, 1, 1)
        wanted[f"{level}.bias"] = (WIDTHS[level],)
        if not 1 <= rank <= MOST_RANK:
            raise WeightsError(f"{label}: {level} has rank {rank}, not 1 to {MOST_RANK}; train it again")
    for key, shape in wanted.items():
        found = tuple(tensors[key].shape) if key in tensors else None
        if found != shape:
            raise WeightsError(f"{label}: {key} has the shape {found}, not {shape}; train it again")
        if not torch.isfinite(tensors[key]).all():
            raise WeightsError(f"{label}: {key} holds NaN or infinite numbers; train it again")


def _portrait(label: str, tensors: Mapping[str, Tensor], number: int, name: str) -> Portrait:
    moments = {}
    for level in LEVELS:
        both = [tensors.get(f"painting.{number}.{level}.{what}") for what in ("mean", "deviation")]
        if any(one is None or one.shape != (WIDTHS[level],) or not torch.isfinite(one).all() for one in both):
            raise WeightsError(f"{label}: painting {number + 1} has no numbers of {level}; train it again")
        moments[level] = (both[0].float(), both[1].float().clamp_min(0))  # type: ignore[union-attr]
    picture = tensors.get(f"painting.{number}.picture")
    if picture is None or picture.dtype != torch.uint8 or picture.dim() != 3 or picture.shape[2] != 3:
        raise WeightsError(f"{label}: painting {number + 1} has no picture; train it again")
    if not 1 <= min(picture.shape[:2]) <= max(picture.shape[:2]) <= MOST_SIDE:
        raise WeightsError(f"{label}: painting {number + 1} has a picture of another size; train it again")
    return Portrait(shown(name)[:200], picture, moments)


def encode(tensors: Mapping[str, Tensor], net: str, portraits: Sequence[Portrait], about: Mapping[str, Any]) -> bytes:
    """A model as a file's bytes; kernels in float16."""
    from safetensors.torch import save

    stored = {key: tensor.detach().half().contiguous() for key, tensor in tensors.items()}
    for number, portrait in enumerate(portraits):
        stored[f"painting.{number}.picture"] = portrait.picture.contiguous()
        for level, (mean, deviation) in portrait.moments.items():
            stored[f"painting.{number}.{level}.mean"] = mean.detach().float().contiguous()
            stored[f"painting.{number}.{level}.deviation"] = deviation.detach().float().contiguous()
    names = [portrait.name for portrait in portraits]
    says = {**about, "format": FORMAT, "net": net, "paintings": names, "checksum": checksum(stored)}
    return save(stored, {"impasto": json.dumps(says)})


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of all tensors, by name."""
    found = hashlib.sha256()
    for key in sorted(tensors):
        tensor = tensors[key].contiguous()
        found.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return found.hexdigest()
