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
from impasto.files import Blob
from impasto.text import shown

__all__ = [
    "CAFFE",
    "FORMS",
    "KNOWN",
    "MISSING",
    "TORCHVISION",
    "Known",
    "KnownStatus",
    "Preprocessing",
    "cache_folder",
    "contents",
    "places",
    "split",
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
FORMS = {"caffe": CAFFE, "torchvision": TORCHVISION}  # PATH@caffe, PATH@torchvision


@dataclass(frozen=True)
class Known:
    """A network known by name; `size` in bytes, `checksum` as algorithm:hex, no `url` where the package holds it."""

    name: str
    url: str
    file_name: str
    size: int
    checksum: str
    licence: str


KNOWN = {
    "lite": Known(
        name="lite",
        url="",
        file_name="lite.safetensors",
        size=7_905_913,
        checksum="sha256:4f0b6494de2db62326d0f4dc324683c0b13560006e175983c4cbbeec9a48455a",
        licence="CC BY 4.0; derived from VGG-19 by K. Simonyan and A. Zisserman",
    ),
    "vgg19": Known(
        name="vgg19",
        url="https://storage.googleapis.com/tensorflow/keras-applications/vgg19/"
        "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        file_name="vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        size=80_134_624,
        checksum="md5:253f8cb515780f3b799900260a226db6",
        licence="CC BY 4.0; VGG-19 by K. Simonyan and A. Zisserman",
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
        faults = {path: contents(path, known)[1] for path in places(known)}
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


def contents(path: Path, known: Known) -> tuple[Blob, str | None]:
    """A file as bytes, and what is wrong with it: None where it is the known one, MISSING where there is none."""
    algorithm, _, expected = known.checksum.partition(":")
    nothing = Blob(str(path), b"", "")
    try:
        if not path.is_file():
            return nothing, "is no file" if path.exists() else MISSING
        size = path.stat().st_size
        if size != known.size:
            return nothing, f"has {size} bytes, not {known.size},"
        data = path.read_bytes()
    except OSError as error:
        return nothing, f"cannot be read ({error.strerror})"
    found = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    blob = Blob(str(path), data, found) if algorithm == "sha256" else Blob.of(str(path), data)
    return blob, None if found == expected else f"has the {algorithm} checksum {found}, not {expected},"


def split(net: str) -> tuple[str, str | None]:
    """Path and form of `PATH[@FORM]`, None where no form is given; a file whose very name ends in @caffe is that file.

    Raises WeightsError for a form that is none, behind a file that is there.
    """
    path, at, form = net.rpartition("@")
    if not at or os.path.lexists(net):
        return net, None
    if form in FORMS:
        return path, form
    if os.path.lexists(path):
        raise WeightsError(f"{shown(net)}: no suffix @{shown(form)}; use {' or '.join(f'@{f}' for f in FORMS)}")
    return net, None
