"""File formats of network weights, told apart by what is in the file; each becomes the same dictionary of tensors.

| format                          | names              | kernels | input                                          |
|---------------------------------|--------------------|---------|------------------------------------------------|
| impasto .safetensors            | conv1_1.weight     | OIHW    | its metadata `input` says                      |
| PyTorch .pth, timm .safetensors | features.0.weight  | OIHW    | known by the checksum, or told by the user     |
| Keras .h5                       | block1_conv1/…     | HWIO    | BGR 0…255 minus mean                           |
| MatConvNet .mat                 | layers{i}.name     | HWIO    | RGB 0…255 minus the mean in the file           |

Nothing that arrives in a file is ever run, and shapes are checked before data is read.
"""

from __future__ import annotations

import io
import json
import math
import re
import warnings
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.errors import WeightsError
from impasto.files import Blob
from impasto.layers import CONVOLUTIONS
from impasto.network.weights import matlab
from impasto.network.weights.checks import MAX_CHANNELS, METRICS, PARTS, Array, collect
from impasto.network.weights.fetching import MAX_BYTES
from impasto.network.weights.known import CAFFE, FORMS, Preprocessing
from impasto.text import shown

__all__ = ["Found", "read"]

INPUTS = {  # metadata `input` of our own files; always RGB
    "RGB 0..255 minus (123.68, 116.779, 103.939)": "caffe",
    "RGB 0..1 minus (0.485, 0.456, 0.406) over (0.229, 0.224, 0.225)": "torchvision",
}
RECOGNISED = {  # beginnings of the sha256 of well-known files
    "dcbb9e9d": "torchvision",  # vgg19-dcbb9e9d.pth of torchvision
    "11aea017b543ff59": "torchvision",  # timm/vgg19.tv_in1k, model.safetensors
    "d01eb7cb": "caffe",  # vgg19-d01eb7cb.pth of jcjohnson/pytorch-vgg
}
# Positions of the convolutions in torchvision's list of layers, where ReLU and pooling count too.
FEATURES = dict(zip((0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34), CONVOLUTIONS, strict=True))
SCALE = ".scale"  # of a tensor kept in 8 bits
DEFLATED = "deflated"  # metadata: the shapes of those tensors whose bytes are deflated
FLOATS = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}  # of safetensors
TYPES = {**FLOATS, "I8": torch.int8, "U8": torch.uint8}
MAX_HEADER = 1 << 20  # bytes of a safetensors header; a real one has some thousand
WEB_PAGE = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Found:
    """What a file holds: float32 tensors by our names, first kernel in RGB order."""

    tensors: dict[str, Tensor]
    preprocessing: Preprocessing
    metadata: dict[str, str] = field(default_factory=dict)


def read(blob: Blob, form: str | None) -> Found:
    """Read the weights in a file of any format.

    `form`: a key of FORMS where the user says what the input is, else None. Raises WeightsError for a file that is
    damaged, foreign, or no VGG-19.
    """
    where = shown(blob.name)
    name, reader = _format(where, blob.data[:512])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the libraries have to say of a strange file is in our errors
            return reader(blob, where, form)
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"{where}: damaged, or no weights: it cannot be read as {name}; get it again") from error


Reader = Callable[[Blob, str, str | None], Found]


def _format(where: str, start: bytes) -> tuple[str, Reader]:
    """Name and reader of the format that begins with these bytes."""
    if not start:
        raise WeightsError(f"{where}: the file is empty; expected VGG-19 weights; get it again")
    if WEB_PAGE.match(start):
        raise WeightsError(f"{where}: looks like a web page, not weights; download the file itself")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{where}: a Git LFS pointer, not weights; get the file itself with git lfs pull")
    if start.startswith(b"MATLAB 7.3"):
        raise WeightsError(f"{where}: a MATLAB 7.3 file; save it with -v7, or use the .mat file that MatConvNet offers")
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return "Keras .h5", _read_keras
    if start.startswith(b"MATLAB 5.0"):
        return "MatConvNet .mat", _read_matconvnet
    if start[8:9] == b"{":
        return ".safetensors", _read_safetensors
    is_tar = start[257:262] == b"ustar"
    is_pickle = start[0] == 0x80 and start[1:2] <= b"\x05"
    if start.startswith(b"PK\x03\x04") or is_tar or is_pickle:
        return "a PyTorch state dictionary, the only kind of PyTorch file that is safe to open", _read_pytorch
    raise WeightsError(
        f"{where}: no weights; expected Keras .h5, .safetensors, PyTorch .pth or MatConvNet .mat; get it again"
    )


def _read_safetensors(blob: Blob, where: str, form: str | None) -> Found:
    from safetensors import deserialize

    length = int.from_bytes(blob.data[:8], "little")
    if length > min(MAX_HEADER, len(blob.data) - 8):
        raise WeightsError(f"{where}: damaged: its header claims {length} bytes; get it again")
    metadata = json.loads(blob.data[8 : 8 + length]).get("__metadata__", {})
    shapes = _deflated(where, metadata)

    def array(key: str, part: dict[str, Any]) -> Array:
        def tensor() -> Tensor:
            return torch.frombuffer(part["data"], dtype=TYPES[part["dtype"]]).reshape(part["shape"])

        if key in shapes:
            return Array(shapes[key], False, lambda: _inflated(where, key, tensor(), shapes[key]))
        return Array(tuple(part["shape"]), part["dtype"] in FLOATS, tensor)

    arrays = {key: array(key, part) for key, part in deserialize(blob.data)}  # type: ignore[no-untyped-call]
    return _from_state(where, _from_int8(where, arrays), form, blob.sha256, metadata)


def _deflated(where: str, metadata: Mapping[str, str]) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors that are kept deflated, by key: 8-bit integers whose bytes are one raw deflate stream."""
    shapes = json.loads(metadata.get(DEFLATED, "{}"))
    for key, shape in shapes.items():
        if len(shape) != 4 or not all(isinstance(side, int) and 0 < side <= MAX_CHANNELS for side in shape):
            raise WeightsError(f"{where}: says that {shown(key)[:60]} has a shape that no kernel has; it is damaged")
    return {key: tuple(shape) for key, shape in shapes.items()}


def _inflated(where: str, key: str, stored: Tensor, shape: tuple[int, ...]) -> Tensor:
    count, stream = math.prod(shape), zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    values = stream.decompress(stored.numpy().tobytes(), count + 1)
    if len(values) != count or not stream.eof:
        raise WeightsError(f"{where}: {shown(key)[:60]} does not unpack to its {count} numbers; the file is damaged")
    return torch.frombuffer(bytearray(values), dtype=torch.int8).reshape(shape)


def _from_int8(where: str, arrays: dict[str, Array]) -> dict[str, Array]:
    """Kernels that are stored as 8-bit integers beside `KEY.scale`, a factor for each of the first dimension."""
    scales = {key.removesuffix(SCALE): array for key, array in arrays.items() if key.endswith(SCALE)}
    rest = {key: array for key, array in arrays.items() if not key.endswith(SCALE)}
    for key, scale in scales.items():
        if key not in rest or scale.shape != rest[key].shape[:1]:
            raise WeightsError(f"{where}: {shown(key)[:60]}{SCALE} does not fit its tensor; the file is damaged")
        rest[key] = _scaled(rest[key], scale)
    return rest


def _scaled(whole: Array, scale: Array) -> Array:
    def read() -> Tensor:
        return whole.read().float() * scale.read().float().view(-1, *[1] * (len(whole.shape) - 1))

    return Array(whole.shape, scale.floating, read)


def _read_pytorch(blob: Blob, where: str, form: str | None) -> Found:
    state = torch.load(io.BytesIO(blob.data), map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise WeightsError(f"{where}: holds no state dictionary; save it with torch.save(model.state_dict(), PATH)")
    arrays = {
        key: Array(tuple(value.shape), value.is_floating_point(), value.detach)
        for key, value in state.items()
        if isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided
    }
    return _from_state(where, arrays, form, blob.sha256, {})


def _from_state(
    where: str, arrays: Mapping[str, Array], form: str | None, sha256: str, metadata: dict[str, str]
) -> Found:
    """Weights from a dictionary that has our own names or torchvision's."""
    ours: dict[str, Array] = {}
    for key, array in arrays.items():
        name = _our_name(where, key)
        if name in ours:
            raise WeightsError(f"{where}: holds {name} twice; get it again")
        if name is not None:
            ours[name] = array
    if not ours:
        found = ", ".join(shown(key)[:40] for key in list(arrays)[:3]) or "nothing"
        raise WeightsError(
            f"{where}: no VGG-19: expected tensors such as features.0.weight, found {found}; use another file"
        )
    said = INPUTS.get(metadata.get("input", ""))
    known = said or next((kind for prefix, kind in RECOGNISED.items() if sha256.startswith(prefix)), None)
    _check_form(where, form, known)
    kind = form or known
    if kind is None:
        raise WeightsError(
            f"{where}: does not say what its input is; add @torchvision to the path (RGB 0…1, ImageNet mean and std) "
            "or @caffe (BGR 0…255 minus mean)"
        )
    tensors = collect(where, ours, bgr=kind == "caffe" and said is None)
    return Found(tensors, FORMS[kind], metadata)


def _our_name(where: str, key: str) -> str | None:
    """Our name of a tensor, None for one that is no part of the convolutions (`classifier.0.weight`)."""
    head, _, rest = key.partition(".")
    if (head in CONVOLUTIONS and rest in PARTS) or key in METRICS:
        return key
    number, _, part = rest.partition(".")
    if head == "features":
        if number.isdecimal() and int(number) in FEATURES and part in ("weight", "bias"):
            return f"{FEATURES[int(number)]}.{part}"
        raise WeightsError(
            f"{where}: no VGG-19: it has {shown(key)[:60]}, as VGG-16 or a network with batch normalisation may; "
            "use weights of plain VGG-19"
        )
    return None


def _read_keras(blob: Blob, where: str, form: str | None) -> Found:
    import h5py

    arrays: dict[str, Array] = {}

    def visit(name: str, item: Any) -> None:
        layer = re.search(r"(?:^|/)block(\d)_conv(\d)/", name)
        if layer is None or not isinstance(item, h5py.Dataset) or name.startswith("optimizer_weights/"):
            return
        key = f"conv{layer[1]}_{layer[2]}.{'bias' if item.ndim == 1 else 'weight'}"
        if key in arrays:
            raise WeightsError(f"{where}: holds {key} twice; expected one VGG-19; use another file")
        if item.external or item.is_virtual:
            raise WeightsError(f"{where}: keeps its data in other files; use a file that holds everything")
        arrays[key] = _from_hwio(item, lambda: item[()])

    _check_form(where, form, "caffe")
    with h5py.File(io.BytesIO(blob.data), "r") as file:
        file.visititems(visit)  # follows no links to other files
        if not arrays:
            raise WeightsError(f"{where}: no VGG-19 of Keras: expected layers such as block1_conv1; use another file")
        return Found(collect(where, arrays, bgr=True), CAFFE)


def _read_matconvnet(blob: Blob, where: str, form: str | None) -> Found:
    _check_form(where, form, "caffe")
    file = matlab.variables(blob.data, MAX_BYTES)
    if not isinstance(file.get("layers"), list):
        raise WeightsError(f"{where}: no VGG-19 of MatConvNet: expected a cell array `layers`; use another file")
    arrays: dict[str, Array] = {}
    for layer in file["layers"]:
        name = layer["name"]
        if name not in CONVOLUTIONS:
            continue
        kernel, bias = layer["weights"] if "weights" in layer else (layer["filters"], layer["biases"])
        if f"{name}.weight" in arrays:
            raise WeightsError(f"{where}: holds {name} twice; expected one VGG-19; use another file")
        arrays[f"{name}.weight"] = _from_hwio(kernel, kernel.view)
        arrays[f"{name}.bias"] = _from_hwio(bias.ravel(), bias.ravel)
    average = file.get("meta", file)["normalization"]["averageImage"]
    # One colour, or an image of it: the channels are last in both.
    mean = average.ravel() if average.size == 3 else average.reshape(-1, average.shape[-1]).mean(axis=0)
    if mean.shape != (3,) or not np.isfinite(mean).all():
        raise WeightsError(f"{where}: its averageImage is no RGB colour; use the file that MatConvNet offers")
    red, green, blue = (float(value) for value in mean)
    return Found(collect(where, arrays, bgr=False), Preprocessing(255.0, (red, green, blue), (1.0, 1.0, 1.0)))


def _check_form(where: str, form: str | None, known: str | None) -> None:
    if form is not None and known is not None and form != known:
        raise WeightsError(f"{where}: is known to be @{known}, not @{form}; leave the suffix out")


def _from_hwio(array: Any, get: Callable[[], Any]) -> Array:
    """A kernel H×W×I×O, or a bias O, of NumPy or HDF5."""

    def tensor() -> Tensor:
        with np.errstate(over="ignore"):  # becomes infinite, which is reported for every format alike
            values = np.array(get(), dtype=np.float32)
        return torch.from_numpy(values.transpose(3, 2, 0, 1) if values.ndim == 4 else values)

    shape = tuple(array.shape)
    if len(shape) == 4:
        shape = (shape[3], shape[2], shape[0], shape[1])
    return Array(shape, array.dtype.kind == "f", tensor)
