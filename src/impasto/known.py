"""The networks that impasto knows by name: where they come from, how they are checked, where they are kept.

A file counts with the right checksum or not at all. Imports no torch.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from impasto.errors import WeightsError

__all__ = [
    "CAFFE",
    "KNOWN",
    "MISSING",
    "TORCHVISION",
    "Known",
    "KnownStatus",
    "Preprocessing",
    "cache_folder",
    "fault",
    "places",
    "status",
]


@dataclass(frozen=True)
class Preprocessing:
    """What a network was trained on: its input is (rgb · scale − mean) / std, of RGB 0…1, channel by channel."""

    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


CAFFE = Preprocessing(255.0, (123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
TORCHVISION = Preprocessing(1.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Known:
    """A network known by name; `size` in bytes, `checksum` as algorithm:hex, no `url` where the package holds it."""

    name: str
    url: str
    file_name: str
    size: int
    checksum: str
    licence: str
    preprocessing: Preprocessing


KNOWN = {
    "lite": Known(
        name="lite",
        url="",
        file_name="lite.safetensors",
        size=7_905_913,
        checksum="sha256:4f0b6494de2db62326d0f4dc324683c0b13560006e175983c4cbbeec9a48455a",
        licence="CC BY 4.0; derived from VGG-19 by K. Simonyan and A. Zisserman",
        preprocessing=CAFFE,
    ),
    "vgg19": Known(
        name="vgg19",
        url="https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        file_name="vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        size=80_134_624,
        checksum="md5:253f8cb515780f3b799900260a226db6",
        licence="CC BY 4.0; VGG-19 by K. Simonyan and A. Zisserman",
        preprocessing=CAFFE,
    ),
}

MISSING = "is missing"


@dataclass(frozen=True)
class KnownStatus:
    """A known network on this machine: `path` is None where no file is; `verified` says that its checksum is right."""

    name: str
    url: str
    size: int
    licence: str
    path: Path | None
    verified: bool


def cache_folder() -> Path:
    """Folder of downloaded networks: IMPASTO_CACHE, or `impasto` in the system's place for caches; may not exist yet.

    Raises WeightsError where there is no home folder to find one in.
    """
    import platformdirs

    try:
        text = os.environ.get("IMPASTO_CACHE") or platformdirs.user_cache_dir("impasto", appauthor=False)
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise WeightsError(
            "there is no home folder to keep downloaded networks in; set IMPASTO_CACHE to a folder"
        ) from None


def status() -> list[KnownStatus]:
    """What is known and what of it lies on this machine; opens no connection."""
    rows = []
    for known in KNOWN.values():
        faults = {path: fault(path, known) for path in places(known)}
        good = [path for path, wrong in faults.items() if wrong is None]
        there = good or [path for path, wrong in faults.items() if wrong != MISSING]
        path = there[0] if there else None
        rows.append(KnownStatus(known.name, known.url, known.size, known.licence, path, bool(good)))
    return rows


def places(known: Known) -> list[Path]:
    """Where a known file may lie, best first: the package, or our cache folder and that of Keras (the same file)."""
    if not known.url:
        return [Path(str(resources.files("impasto") / "data" / known.file_name))]
    found = []
    with suppress(WeightsError):
        found.append(cache_folder() / known.file_name)
    with suppress(RuntimeError):  # no home folder
        keras = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
        found.append(keras / "models" / known.file_name)
    return found


def fault(path: Path, known: Known) -> str | None:
    """What is wrong with a file: None where it is the known one, MISSING where there is none."""
    algorithm, _, expected = known.checksum.partition(":")
    try:
        if not path.is_file():
            return "is no file" if path.exists() else MISSING
        size = path.stat().st_size
        if size != known.size:
            return f"has {size} bytes, not {known.size},"
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if found == expected else f"has the {algorithm} checksum {found}, not {expected},"
