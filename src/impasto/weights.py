"""The weights of a network, ready for the encoder: embedded, fetched, or from a file of the user's own.

`readers` knows the file formats, `known` the networks that have a name, `fetching` how to get them; here they meet.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from impasto import readers
from impasto.errors import WeightsError, shown
from impasto.fetching import Progress, fetch, obtain
from impasto.known import CAFFE, KNOWN, TORCHVISION, KnownStatus, Preprocessing, cache_folder, status
from impasto.layers import CONVOLUTIONS

__all__ = [
    "CAFFE",
    "KNOWN",
    "TORCHVISION",
    "KnownStatus",
    "Preprocessing",
    "Weights",
    "cache_folder",
    "fetch",
    "load",
    "status",
]


@dataclass(frozen=True, eq=False)
class Weights:
    """The convolutions of a VGG-19 of any widths, as float32 tensors.

    `tensors`: for each convolution `convB_I.weight` (O×I×3×3), or in low rank `convB_I.down.weight` (R×I×3×3) and
    `convB_I.up.weight` (O×R×1×1); and `convB_I.bias` (O). The first takes RGB, prepared as `preprocessing` says.
    `sha256`: of the file. `metadata`: the file's own. `notices`: what the user should know, one line each.
    """

    tensors: dict[str, Tensor]
    preprocessing: Preprocessing
    name: str
    sha256: str
    metadata: dict[str, str]
    notices: tuple[str, ...] = ()

    @property
    def last(self) -> str:
        """The deepest convolution present, `conv5_4` in a complete file."""
        return [name for name in CONVOLUTIONS if f"{name}.bias" in self.tensors][-1]


def load(net: str | os.PathLike[str], progress: Progress | None = None) -> Weights:
    """Weights by name (`lite`, `vgg19`) or from a file, `PATH`, `PATH@caffe` or `PATH@torchvision`.

    `progress` is called with the bytes so far and the bytes in all, should vgg19 have to be downloaded.
    Raises WeightsError for a file that is missing, damaged, or no VGG-19.

    >>> load("lite").last
    'conv5_4'
    """
    net = os.fspath(net)
    if net in KNOWN:
        path, notices = obtain(net, progress)
        return _load_file(path, None, net, notices)
    path, form = _split(net)
    return _load_file(path, form, shown(path.name), ())


def _split(net: str) -> tuple[Path, str | None]:
    """Path and form of `PATH[@FORM]`; a file whose very name ends in @caffe is taken as it is."""
    before, at, form = net.rpartition("@")
    if not at or os.path.lexists(net):
        return Path(net), None
    if form in readers.FORMS:
        return Path(before), form
    if os.path.lexists(before):
        raise WeightsError(f"{shown(net)}: no suffix @{shown(form)}; use {' or '.join(f'@{f}' for f in readers.FORMS)}")
    return Path(net), None


def _load_file(path: Path, form: str | None, name: str, notices: tuple[str, ...]) -> Weights:
    where = shown(path)
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise WeightsError(f"{where}: not a regular file; expected a file of VGG-19 weights")
        if about.st_size > readers.MAX_BYTES:
            raise WeightsError(f"{where}: has {about.st_size} bytes, more than any VGG-19; use another file")
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        found = readers.read(path, form, sha256)
    except FileNotFoundError:
        raise WeightsError(f"{where}: no such file; give the path of a file, or {' or '.join(KNOWN)}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{where}: cannot be read ({reason}); give a file of VGG-19 weights that you may read"
        ) from error
    weights = Weights(found.tensors, found.preprocessing, name, sha256, found.metadata, notices)
    if weights.last == CONVOLUTIONS[-1]:
        return weights
    note = f"{where}: holds the layers up to {weights.last} only"
    return Weights(found.tensors, found.preprocessing, name, sha256, found.metadata, (*notices, note))
