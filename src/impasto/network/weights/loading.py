"""The weights of a network, ready for the encoder: embedded, fetched, or from a file of the user's own.

`readers` knows the file formats, `known` the networks that have a name, `fetching` how to get them; here they meet.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import PurePath

import torch
from torch import Tensor

from impasto.files import Blob
from impasto.layers import CONVOLUTIONS
from impasto.network.weights import readers
from impasto.network.weights.fetching import Progress, read_network
from impasto.network.weights.known import KNOWN, Preprocessing, split
from impasto.text import shown

__all__ = ["Weights", "load"]


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


@torch.inference_mode(mode=False)
def load(net: str | os.PathLike[str] | Blob, progress: Progress | None = None) -> Weights:
    """Weights by name (`lite`, `vgg19`), or from a file or its bytes, `PATH`, `PATH@caffe` or `PATH@torchvision`.

    `progress` is called with the bytes so far and the bytes in all, should vgg19 have to be downloaded.
    Raises WeightsError for a file that is missing, damaged, or no VGG-19.

    >>> load("lite").last
    'conv5_4'
    """
    known = KNOWN.get(net) if isinstance(net, str) else None
    blob, notices = (net, ()) if isinstance(net, Blob) else read_network(os.fspath(net), progress)
    path, form = (blob.name, None) if known else split(blob.name)
    name = known.name if known else shown(PurePath(path).name)
    found = readers.read(replace(blob, name=path), form)
    weights = Weights(found.tensors, found.preprocessing, name, blob.sha256, found.metadata, notices)
    if weights.last == CONVOLUTIONS[-1]:
        return weights
    return replace(weights, notices=(*notices, f"{shown(path)}: holds the layers up to {weights.last} only"))
