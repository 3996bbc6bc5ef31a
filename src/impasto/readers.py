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

import json
import math
import re
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from impasto import matlab
from impasto.errors import WeightsError, shown
from impasto.known import CAFFE, TORCHVISION, Preprocessing
from impasto.layers import CONVOLUTIONS

__all__ = ["FORMS", "MAX_BYTES", "Found", "read"]

FORMS = {"caffe": CAFFE, "torchvision": TORCHVISION}  # PATH@caffe, PATH@torchvision
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
METRICS = tuple(f"{name.replace('conv', 'relu')}.metric.weight" for name in CONVOLUTIONS)  # of thin layers
SCALE = ".scale"  # of a tensor kept in 8 bits
DEFLATED = "deflated"  # metadata: the shapes of those tensors whose bytes are deflated
PARTS = ("weight", "bias", "down.weight", "up.weight")
FLOATS = ("F16", "BF16", "F32", "F64")  # as safetensors calls them
MAX_BYTES = 1 << 30  # of a file; VGG-19 with all its classifier has 575 MB
MAX_CHANNELS = 1024  # VGG-19 has 512; bounds the memory that a hostile header can ask for
MAX_HEADER = 1 << 20  # bytes of a safetensors header; a real one has some thousand
WEB_PAGE = re.compile(rb"\s*<(!doctype|html|head|body|\?xml)", re.IGNORECASE)


class Array(NamedTuple):
    """An array in a file, not read yet: its shape as O×I×H×W or O, whether it holds floats, and how to read it."""

    shape: tuple[int, ...]
    floating: bool
    read: Callable[[], Tensor]


@dataclass(frozen=True, eq=False)
class Found:
    """What a file holds: float32 tensors by our names, first kernel in RGB order."""

    tensors: dict[str, Tensor]
    preprocessing: Preprocessing
    metadata: dict[str, str] = field(default_factory=dict)


def read(path: Path, form: str | None, sha256: str) -> Found:
    """Read the weights in a file of any format.

    `form`: a key of FORMS where the user says what the input is, else None; `sha256`: of the file, to recognise it.
    Raises WeightsError for a file that is damaged, foreign, or no VGG-19.
    """
    where = shown(path)
    with path.open("rb") as file:
        start = file.read(512)
    name, reader = _format(where, start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the libraries have to say of a strange file is in our errors
            return reader(path, where, form, sha256)
    except WeightsError:
        raise
    except Exception as error:
        raise WeightsError(f"{where}: damaged, or no weights: it cannot be read as {name}; get it again") from error


Reader = Callable[[Path, str, str | None, str], Found]


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


def _read_safetensors(path: Path, where: str, form: str | None, sha256: str) -> Found:
    from safetensors import safe_open

    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
    if header > min(MAX_HEADER, path.stat().st_size - 8):
        raise WeightsError(f"{where}: damaged: its header claims {header} bytes; get it again")
    with safe_open(path, framework="pt", device="cpu") as file:
        metadata = dict(file.metadata() or {})

        shapes = _deflated(where, metadata)

        def array(key: str) -> Array:
            if key in shapes:
                return Array(shapes[key], False, lambda: _inflated(where, key, file.get_tensor(key), shapes[key]))
            part = file.get_slice(key)
            return Array(tuple(part.get_shape()), part.get_dtype() in FLOATS, lambda: file.get_tensor(key))

        arrays = {key: array(key) for key in file.keys()}  # noqa: SIM118
        return _from_state(where, _from_int8(where, arrays), form, sha256, metadata)


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


def _read_pytorch(path: Path, where: str, form: str | None, sha256: str) -> Found:
    with path.open("rb") as file:
        state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, Mapping):
        raise WeightsError(f"{where}: holds no state dictionary; save it with torch.save(model.state_dict(), PATH)")
    arrays = {
        key: Array(tuple(value.shape), value.is_floating_point(), value.detach)
        for key, value in state.items()
        if isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided
    }
    return _from_state(where, arrays, form, sha256, {})


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
    tensors = _collect(where, ours, bgr=kind == "caffe" and said is None)
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


def _read_keras(path: Path, where: str, form: str | None, _sha256: str) -> Found:
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
    with h5py.File(path, "r") as file:
        file.visititems(visit)  # follows no links to other files
        if not arrays:
            raise WeightsError(f"{where}: no VGG-19 of Keras: expected layers such as block1_conv1; use another file")
        return Found(_collect(where, arrays, bgr=True), CAFFE)


def _read_matconvnet(path: Path, where: str, form: str | None, _sha256: str) -> Found:
    _check_form(where, form, "caffe")
    file = matlab.variables(path.read_bytes(), MAX_BYTES)
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
    return Found(_collect(where, arrays, bgr=False), Preprocessing(255.0, (red, green, blue), (1.0, 1.0, 1.0)))


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


def _check_form(where: str, form: str | None, known: str | None) -> None:
    if form is not None and known is not None and form != known:
        raise WeightsError(f"{where}: is known to be @{known}, not @{form}; leave the suffix out")


def _collect(where: str, arrays: Mapping[str, Array], *, bgr: bool) -> dict[str, Tensor]:
    """Check names and shapes, then read: float32, finite, first kernel in RGB order."""
    _check_names(where, arrays)
    _check_shapes(where, arrays)
    tensors = {}
    for key, array in arrays.items():
        if not array.floating:
            raise WeightsError(f"{where}: {key} holds no floating-point numbers; get it again")
        tensor = array.read().to(torch.float32).contiguous()
        if not torch.isfinite(tensor).all():
            raise WeightsError(
                f"{where}: {key} holds values that are no finite numbers; the file is damaged, get it again"
            )
        tensors[key] = tensor
    if bgr:
        first = next(key for key in ("conv1_1.weight", "conv1_1.down.weight") if key in tensors)
        tensors[first] = tensors[first].flip(1)
    return tensors


def _check_names(where: str, keys: Iterable[str]) -> None:
    """A file may end early, but what it has must begin at conv1_1 and have no gap."""
    present = {key.partition(".")[0] for key in keys if key not in METRICS}
    for name in present.difference(CONVOLUTIONS):
        raise WeightsError(f"{where}: no VGG-19: it has {name}; use weights of plain VGG-19")
    for index, name in enumerate(CONVOLUTIONS[: len(present)]):
        if name not in present:
            later = next(later for later in CONVOLUTIONS[index:] if later in present)
            raise WeightsError(f"{where}: no VGG-19: it has {later} but not {name}; use weights of plain VGG-19")


def _check_shapes(where: str, arrays: Mapping[str, Array]) -> None:
    channels = 3
    for name in CONVOLUTIONS:
        kernels = {part: arrays[f"{name}.{part}"].shape for part in PARTS if f"{name}.{part}" in arrays}
        if not kernels:
            return
        if set(kernels) not in ({"weight", "bias"}, {"down.weight", "up.weight", "bias"}):
            found = ", ".join(kernels)
            raise WeightsError(
                f"{where}: {name} has {found}; expected weight, bias or down.weight, up.weight, bias; get it again"
            )
        whole = "weight" in kernels
        last, first = kernels["weight" if whole else "up.weight"], kernels["weight" if whole else "down.weight"]
        width = last[0] if last else 0
        expected = {"weight": (width, channels, 3, 3), "bias": (width,)}
        if not whole:
            rank = first[0] if first else 0
            expected = {"down.weight": (rank, channels, 3, 3), "up.weight": (width, rank, 1, 1), "bias": (width,)}
        for part, shape in kernels.items():
            if shape != expected[part] or not all(1 <= side <= MAX_CHANNELS for side in shape):
                raise WeightsError(
                    f"{where}: {name}.{part} is {_times(shape)}, expected {_times(expected[part])} "
                    f"with 1 to {MAX_CHANNELS} channels; the file is damaged or no VGG-19"
                )
        channels = width
        metric = arrays.get(f"{name.replace('conv', 'relu')}.metric.weight")
        if metric is not None and (
            len(metric.shape) != 2 or metric.shape[1] != width or not 1 <= metric.shape[0] <= MAX_CHANNELS
        ):
            raise WeightsError(
                f"{where}: the metric of {name} is {_times(metric.shape)}, expected N×{width}; the file is damaged"
            )


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a single number"
