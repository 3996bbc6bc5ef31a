"""Weights in every format: read right, and refused with one clear line when damaged, foreign or hostile."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import math
import os
import pickle
import re
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
import torch
from safetensors.torch import save_file

import impasto
import plain
import thin
from impasto.errors import WeightsError
from impasto.layers import CONVOLUTIONS
from impasto.network.encoder import Encoder
from impasto.network.weights import known, readers
from impasto.network.weights.fetching import read_network
from impasto.network.weights.known import CAFFE, KNOWN, TORCHVISION, split
from impasto.network.weights.loading import load

SOURCE = Path(impasto.__file__).parent


def refusal(net: str | Path) -> str:
    """The one line with which `net` is refused."""
    with pytest.raises(WeightsError) as caught:
        load(net)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def assert_holds(weights_tensors: dict[str, torch.Tensor], net: thin.Net) -> None:
    assert set(weights_tensors) == set(net)
    for key, tensor in weights_tensors.items():
        assert tensor.dtype == torch.float32
        assert tensor.is_contiguous()
        np.testing.assert_array_equal(tensor.numpy(), net[key], err_msg=key)


def with_suffix(path: Path) -> str:
    return f"{path}@torchvision" if path.suffix == ".pth" else str(path)


# --- the embedded network ---------------------------------------------------------------------------------------------


def test_lite_is_the_file_in_the_table() -> None:
    data = (SOURCE / "data" / KNOWN["lite"].file_name).read_bytes()
    assert KNOWN["lite"].size == len(data)
    assert KNOWN["lite"].checksum == "sha256:" + hashlib.sha256(data).hexdigest()
    assert "CC BY 4.0" in (SOURCE / "data" / "NOTICE").read_text(encoding="utf-8")


def test_lite_has_every_layer_in_the_channels_of_vgg19() -> None:
    weights = load("lite")
    assert (weights.name, weights.last, weights.notices) == ("lite", "conv5_4", ())
    assert weights.preprocessing == CAFFE
    assert f"sha256:{weights.sha256}" == KNOWN["lite"].checksum
    widths = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}
    for name in CONVOLUTIONS:  # a thin layer has a map to them
        metric = weights.tensors.get(f"{name.replace('conv', 'relu')}.metric.weight")
        assert len(weights.tensors[f"{name}.bias"] if metric is None else metric) == widths[name[4]]
    assert all(tensor.dtype == torch.float32 for tensor in weights.tensors.values())


def test_damaged_lite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray((SOURCE / "data" / "lite.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "lite.safetensors").write_bytes(data)
    monkeypatch.setattr(known.resources, "files", lambda _package: tmp_path)
    assert re.search(r"lite\.safetensors has the sha256 checksum .*; install impasto again", refusal("lite"))
    (tmp_path / "data" / "lite.safetensors").unlink()
    assert refusal("lite") == "lite.safetensors is missing; install impasto again"


@pytest.mark.real
def test_original_weights(vgg19_path: Path) -> None:
    weights = load(vgg19_path)
    assert (weights.last, weights.preprocessing, len(weights.tensors)) == ("conv5_4", CAFFE, 32)
    assert weights.tensors["conv5_4.weight"].shape == (512, 512, 3, 3)
    with h5py.File(vgg19_path) as file:
        first = file["block1_conv1/block1_conv1_W_1:0"][()]
        second = file["block1_conv2/block1_conv2_W_1:0"][()]
    # HWIO to OIHW; the file's channels are blue, green, red.
    assert weights.tensors["conv1_1.weight"][5, 0, 1, 2] == first[1, 2, 2, 5]
    assert weights.tensors["conv1_1.weight"][5, 2, 1, 2] == first[1, 2, 0, 5]
    assert weights.tensors["conv1_2.weight"][7, 3, 0, 2] == second[0, 2, 3, 7]


@pytest.mark.real
@pytest.mark.parametrize(("layer", "most"), [("relu1_1", 0.02), ("relu2_2", 0.1), ("relu4_1", 0.1), ("relu5_1", 0.3)])
def test_lite_sees_what_vgg19_sees(vgg19_path: Path, layer: str, most: float) -> None:
    """The relative squared error of its maps, through the metric of a thin layer, on a picture of no training set."""
    picture = plain.picture(96, 128)
    embedded = Encoder(load("lite"))
    S, T = embedded(picture, [layer])[layer], Encoder(load(vgg19_path))(picture, [layer])[layer]
    if layer in embedded.metrics:
        S = torch.einsum("ts,shw->thw", embedded.metrics[layer], S)
    assert (S - T).square().sum() < most * T.square().sum()


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("naming", ["{layer}_{old}_1:0", "{layer}/{new}:0", "{layer}/{layer}/{new}:0", "{new}"])
@pytest.mark.parametrize("root", ["", "model_weights"])
def test_keras(tmp_path: Path, naming: str, root: str) -> None:
    net = thin.network()
    thin.write_keras(tmp_path / "net.h5", net, naming, root)
    weights = load(tmp_path / "net.h5")
    assert_holds(weights.tensors, net)
    assert weights.preprocessing == CAFFE
    assert weights.name == "net.h5"
    assert weights.sha256 == hashlib.sha256((tmp_path / "net.h5").read_bytes()).hexdigest()


@pytest.mark.parametrize("write", [thin.write_pth, thin.write_legacy_pth])
def test_pytorch(tmp_path: Path, write: Callable[[Path, thin.Net], None]) -> None:
    net, path = thin.network(), tmp_path / "net.pth"
    write(path, net)
    torchvision, caffe = load(f"{path}@torchvision"), load(f"{path}@caffe")
    assert_holds(torchvision.tensors, net)
    assert torchvision.preprocessing == TORCHVISION
    assert_holds(caffe.tensors, thin.bgr(net))
    assert caffe.preprocessing == CAFFE
    assert "@torchvision" in refusal(path)
    assert "@caffe" in refusal(path)
    assert "no suffix @rgb" in refusal(f"{path}@rgb")


def test_file_whose_name_ends_like_a_suffix(tmp_path: Path) -> None:
    net, path = thin.network(), tmp_path / "net@caffe"
    thin.write_safetensors(path, net)
    assert_holds(load(path).tensors, net)


def test_well_known_files_need_no_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, path = thin.network(), tmp_path / "net.pth"
    thin.write_pth(path, net)
    start = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(readers, "RECOGNISED", {start: "caffe"})
    assert_holds(load(path).tensors, thin.bgr(net))
    assert "is known to be @caffe" in refusal(f"{path}@torchvision")
    monkeypatch.setattr(readers, "RECOGNISED", {start: "torchvision"})
    assert load(path).preprocessing == TORCHVISION


def test_safetensors_of_ours_and_of_timm(tmp_path: Path) -> None:
    net = thin.network()
    thin.write_safetensors(tmp_path / "ours.safetensors", net)
    ours = load(tmp_path / "ours.safetensors")
    assert_holds(ours.tensors, net)
    assert (ours.preprocessing, ours.metadata) == (CAFFE, thin.OURS)
    assert "is known to be @caffe" in refusal(f"{tmp_path / 'ours.safetensors'}@torchvision")
    save_file(thin.features(net), tmp_path / "timm.safetensors")
    assert_holds(load(f"{tmp_path / 'timm.safetensors'}@torchvision").tensors, net)


def test_low_rank_half_precision(tmp_path: Path) -> None:
    net = thin.network("conv1_2")
    del net["conv1_2.weight"]
    net["conv1_2.down.weight"] = np.full((2, 4, 3, 3), 0.5, dtype=np.float32)
    net["conv1_2.up.weight"] = np.full((4, 2, 1, 1), 0.25, dtype=np.float32)
    half = {key: torch.from_numpy(array.copy()).half() for key, array in net.items()}
    save_file(half, tmp_path / "net.safetensors", metadata=thin.OURS)
    assert_holds(load(tmp_path / "net.safetensors").tensors, {key: t.float().numpy() for key, t in half.items()})
    del half["conv1_2.up.weight"]
    save_file(half, tmp_path / "net.safetensors", metadata=thin.OURS)
    assert "conv1_2 has bias, down.weight; expected" in refusal(tmp_path / "net.safetensors")


@pytest.mark.parametrize("older", [False, True])
def test_matconvnet(tmp_path: Path, older: bool) -> None:
    net, path = thin.network(), tmp_path / "net.mat"
    thin.write_matconvnet(path, net, older=older)
    weights = load(path)
    assert_holds(weights.tensors, net)
    assert weights.preprocessing.scale == 255
    assert weights.preprocessing.mean == pytest.approx(thin.MEAN)
    assert weights.preprocessing.std == (1, 1, 1)


def test_matconvnet_compressed_and_foreign(tmp_path: Path) -> None:
    net, path = thin.network("conv1_1"), tmp_path / "net.mat"
    thin.write_matconvnet(path, net)
    content = scipy.io.loadmat(path)
    kept = {key: content[key] for key in ("layers", "meta")}
    scipy.io.savemat(path, {**kept, "text": "é", "whole": np.eye(2)}, do_compression=True)
    assert_holds(load(path).tensors, net)
    scipy.io.savemat(path, {"x": np.eye(2)})
    assert "expected a cell array `layers`" in refusal(path)


def test_early_end_is_said(tmp_path: Path) -> None:
    net, path = thin.network("conv4_2"), tmp_path / "net.safetensors"
    thin.write_safetensors(path, net)
    weights = load(path)
    assert weights.last == "conv4_2"
    assert weights.notices == (f"{path}: holds the layers up to conv4_2 only",)


# --- damaged and foreign ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", thin.WRITERS)
def test_cut_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    thin.WRITERS[name](path, thin.network())
    whole = path.read_bytes()
    for size in (0, 1, 8, 100, 200, len(whole) // 2, len(whole) * 99 // 100, len(whole) - 1):
        path.write_bytes(whole[:size])
        if name == "matconvnet.mat" and size == len(whole) - 1:
            continue  # the last byte is padding
        assert refusal(with_suffix(path)).startswith(str(path))


@pytest.mark.parametrize("name", thin.WRITERS)
def test_changed_bytes_give_weights_or_one_clear_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    thin.WRITERS[name](path, thin.network())
    whole = path.read_bytes()
    refused = 0
    for seed in range(60):
        random = np.random.default_rng(seed)
        data = np.frombuffer(whole, np.uint8).copy()
        ends = np.r_[: min(2048, len(data)), max(0, len(data) - 2048) : len(data)]
        data[random.choice(ends, 3)] = random.integers(0, 256, 3)
        path.write_bytes(data.tobytes())
        try:
            weights = load(with_suffix(path))
        except WeightsError:
            refusal(with_suffix(path))
            refused += 1
        else:
            assert all(torch.isfinite(tensor).all() for tensor in weights.tensors.values())
    assert refused > 0


@pytest.mark.parametrize("name", thin.WRITERS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none(tmp_path: Path, name: str, bad: float) -> None:
    net, path = thin.network(), tmp_path / name
    net["conv3_2.weight"][1, 2, 0, 1] = bad
    thin.WRITERS[name](path, net)
    assert "conv3_2.weight holds values that are not finite numbers" in refusal(with_suffix(path))


@pytest.mark.parametrize("name", thin.WRITERS)
def test_wrong_architecture(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    net = thin.network()
    del net["conv3_4.weight"], net["conv3_4.bias"]
    if name.endswith(("h5", "mat", "safetensors")):  # torchvision's numbers would shift: see VGG-16 below
        thin.WRITERS[name](path, net)
        assert "it has conv4_1 but not conv3_4" in refusal(path)
    net = thin.network()
    net["conv2_2.weight"] = net["conv2_2.weight"][:, :7]
    thin.WRITERS[name](path, net)
    assert "conv2_2.weight is 8×7×3×3, expected 8×8×3×3" in refusal(with_suffix(path))
    net = thin.network()
    net["conv1_1.bias"] = net["conv1_1.bias"][:2]
    thin.WRITERS[name](path, net)
    assert "conv1_1.bias is 2, expected 4" in refusal(with_suffix(path))


@pytest.mark.parametrize("foreign", ["features.17.weight", "features.1.running_mean", "features.x.weight"])
def test_other_networks_of_torchvision(tmp_path: Path, foreign: str) -> None:
    torch.save({**thin.features(thin.network()), foreign: torch.zeros(8, 8, 3, 3)}, tmp_path / "net.pth")
    assert f"no VGG-19: it has {foreign}" in refusal(f"{tmp_path / 'net.pth'}@torchvision")


def test_other_contents(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"layer1.weight": torch.zeros(2)}, path)
    assert "expected tensors such as features.0.weight, found layer1.weight" in refusal(path)
    torch.save(torch.zeros(2), path)
    assert "holds no state dictionary" in refusal(path)
    torch.save({"conv1_1.weight": torch.zeros(4, 3, 3, 3, dtype=torch.int32), "conv1_1.bias": torch.zeros(4)}, path)
    assert "conv1_1.weight holds no floating-point numbers" in refusal(f"{path}@caffe")
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["dense/kernel"] = np.zeros(3)
    assert "expected layers such as block1_conv1" in refusal(tmp_path / "net.h5")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\n <!DOCTYPE html><html><body>404</body></html>", "looks like a web page"),
        (b"<HTML><head>", "looks like a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64", "a MATLAB 7.3 file"),
        (b"just some text", "no weights; expected Keras .h5"),
    ],
)
def test_no_weights_at_all(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(content)
    assert said in refusal(path)


def test_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(3 << 30)
    assert "not a regular file" in refusal(tmp_path)
    assert "not a regular file" in refusal(tmp_path / "fifo")
    assert "not a regular file" in refusal("/dev/zero")
    assert "more than any VGG-19" in refusal(tmp_path / "huge")
    assert refusal(tmp_path / "vgg18") == f"{tmp_path}/vgg18: no such file; give the path of a file, or lite or vgg19"
    assert r"two\nlines\x1b[2J: no such file" in refusal("two\nlines\x1b[2J")
    assert "cannot be read" in refusal("nul\0byte")


def test_keras_file_may_not_point_elsewhere(tmp_path: Path) -> None:
    net, path = thin.network("conv1_1"), tmp_path / "net.h5"
    shutil.copy(__file__, tmp_path / "secret")
    with h5py.File(path, "w") as file:
        kernel = [(str(tmp_path / "secret"), 0, 4 * 108)]
        file.create_dataset("block1_conv1/kernel", (3, 3, 3, 4), "f4", external=kernel)
        file["block1_conv1/bias"] = net["conv1_1.bias"]
    assert "keeps its data in other files" in refusal(path)
    thin.write_keras(tmp_path / "other.h5", net)
    with h5py.File(path, "w") as file:
        file["block1_conv1"] = h5py.ExternalLink("other.h5", "/block1_conv1")
    assert "expected layers such as block1_conv1" in refusal(path)


def test_claimed_size_is_not_reserved(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file.create_dataset("block1_conv1/kernel", (3, 3, 3, 1 << 40), "f4", chunks=(3, 3, 3, 64))
        file.create_dataset("block1_conv1/bias", (1 << 40,), "f4", chunks=(64,))
    assert "conv1_1.weight is 1099511627776×3×3×3" in refusal(tmp_path / "net.h5")


# --- hostile ----------------------------------------------------------------------------------------------------------


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


def tar_of(pickled: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in ("storages", "tensors", "pickle"):
            about = tarfile.TarInfo(name)
            about.size = len(pickled)
            tar.addfile(about, io.BytesIO(pickled))
    return out.getvalue()


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "protocol 0", "tar"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".h5"])
def test_pickle_is_never_run(tmp_path: Path, form: str, suffix: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / f"net{suffix}"
    state = {"features.0.weight": torch.zeros(4, 3, 3, 3), "features.0.bias": Trap(marker)}
    if form in ("zip", "legacy"):
        torch.save(state, path, _use_new_zipfile_serialization=form == "zip")
    elif form == "tar":
        path.write_bytes(tar_of(pickle.dumps(Trap(marker))))
    else:
        path.write_bytes(pickle.dumps(Trap(marker), protocol=0 if form == "protocol 0" else 2))
    refusal(f"{path}@torchvision")
    assert not marker.exists()


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Trap(tmp_path / "marker")))
    assert (tmp_path / "marker").is_dir()


def test_source_never_unpickles() -> None:
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"weights_only\s*=\s*(?!True)", text), path
        assert not re.search(r"^\s*(import|from) (pickle|dill|joblib|shelve|marshal)\b", text, re.MULTILINE), path
        for call in re.findall(r"torch\.load\([^\n]*", text):
            assert "weights_only=True" in call, path


def safetensors_with(header: dict[str, object], data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(start: int, end: int, shape: list[int], dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


HOSTILE = {
    "header of 2**63 bytes": struct.pack("<Q", 2**63) + b"{" + bytes(100),
    "header longer than the file": struct.pack("<Q", 200) + b"{}",
    "overlapping offsets": safetensors_with(
        {"conv1_1.weight": entry(0, 432, [4, 3, 3, 3]), "conv1_1.bias": entry(0, 16, [4])}, bytes(432)
    ),
    "overflowing shape": safetensors_with({"conv1_1.weight": entry(0, 0, [2**62, 2**62, 3, 3])}),
    "offsets beyond the file": safetensors_with({"conv1_1.bias": entry(0, 1 << 40, [1 << 38])}, bytes(16)),
    "unknown type": safetensors_with({"conv1_1.bias": entry(0, 16, [4], "F99")}, bytes(16)),
    "no JSON": struct.pack("<Q", 4) + b"{{{{",
    "deep JSON": struct.pack("<Q", 60_000) + b'{"a":' * 12_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_safetensors(tmp_path: Path, name: str) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(HOSTILE[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "damaged" in refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_safetensors_header_of_200_megabytes(tmp_path: Path) -> None:
    path = tmp_path / "net.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 200 << 20) + b"{")
        file.truncate(201 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "its header claims 209715200 bytes" in refusal(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < (201 + 64) << 10  # the file's bytes, once


def test_hostile_matlab(tmp_path: Path) -> None:
    path = tmp_path / "net.mat"
    thin.write_matconvnet(path, thin.network("conv1_1"))
    whole = bytearray(path.read_bytes())
    # The first array is the cell `layers`: header 128, its tag 8, flags 16, then the tag of its dimensions 1×2.
    assert struct.unpack_from("<ii", whole, 160) == (1, 2)
    for shape in ((2**30, 2**30), (-1, 2), (1, 3)):
        struct.pack_into("<ii", whole, 160, *shape)
        path.write_bytes(whole)
        assert "cannot be read as MatConvNet .mat" in refusal(path)


# --- imports ----------------------------------------------------------------------------------------------------------


def test_imports_are_lazy() -> None:
    code = (
        "import sys, impasto.network.weights.fetching; assert 'torch' not in sys.modules;"
        "import impasto.network.weights.loading;"
        "print(sorted({'h5py', 'scipy', 'pooch', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_sorted() -> None:
    for name in ("known", "fetching", "loading", "readers", "checks", "matlab"):
        module = importlib.import_module(f"impasto.network.weights.{name}")
        upper = [public for public in module.__all__ if public.isupper()]
        lower = [public for public in module.__all__ if public[0].islower()]
        assert upper == sorted(upper)
        assert lower == sorted(lower)
        assert all(hasattr(module, public) for public in module.__all__)


def test_table_is_consistent() -> None:
    for name, entry_ in KNOWN.items():
        assert entry_.name == name
        assert replace(entry_) == entry_


def eight_bit(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Kernels as 8-bit integers, each beside a scale for every first dimension."""
    stored = {}
    for key, value in tensors.items():
        if value.dim() == 4:
            scale = value.abs().amax(dim=(1, 2, 3)).clamp_min(1e-12) / 127
            stored[key] = (value / scale.view(-1, 1, 1, 1)).round().to(torch.int8)
            stored[f"{key}.scale"] = scale
        else:
            stored[key] = value
    return stored


def own(path: Path, tensors: dict[str, torch.Tensor], **metadata: str) -> Path:
    save_file(tensors, path, {"input": "RGB 0..255 minus (123.68, 116.779, 103.939)", **metadata})
    return path


def deflated(stored: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], str]:
    """Tensors with the 8-bit ones as raw deflate streams, and the metadata that says their shapes."""
    packed, shapes = dict(stored), {}
    for key, value in stored.items():
        if value.dtype == torch.int8:
            stream = zlib.compress(value.numpy().tobytes(), wbits=-15)
            packed[key] = torch.frombuffer(bytearray(stream), dtype=torch.uint8)
            shapes[key] = list(value.shape)
    return packed, json.dumps(shapes)


def test_deflated_kernels_are_those_that_were_packed(tmp_path: Path) -> None:
    plain = eight_bit({key: torch.from_numpy(value.copy()) for key, value in thin.network().items()})
    packed, shapes = deflated(plain)
    want = load(own(tmp_path / "plain.safetensors", plain)).tensors
    found = load(own(tmp_path / "packed.safetensors", packed, deflated=shapes)).tensors
    assert set(found) == set(want)
    assert all(torch.equal(found[key], want[key]) for key in want)


@pytest.mark.parametrize("spoil", ["cut", "longer", "noise", "shape", "text", "list", "huge"])
def test_spoilt_deflated_kernels_are_refused(tmp_path: Path, spoil: str) -> None:
    packed, shapes = deflated(eight_bit({k: torch.from_numpy(v.copy()) for k, v in thin.network().items()}))
    key, right = next(iter(json.loads(shapes).items()))
    if spoil == "cut":
        packed[key] = packed[key][:-5].clone()
    elif spoil == "longer":
        stream = zlib.compress(bytes(math.prod(right) + 1), wbits=-15)
        packed[key] = torch.frombuffer(bytearray(stream), dtype=torch.uint8)
    elif spoil == "noise":
        packed[key] = torch.full_like(packed[key], 255)
    wrong = {"shape": [right[0] + 1, *right[1:]], "text": "oihw", "list": [], "huge": [1 << 20] * 4}
    if spoil in wrong:
        shapes = json.dumps({**json.loads(shapes), key: wrong[spoil]})
    with pytest.raises(WeightsError, match=r"damaged|does not fit"):
        load(own(tmp_path / "w.safetensors", packed, deflated=shapes))


def test_eight_bit_kernels_are_multiplied_by_their_scales(tmp_path: Path) -> None:
    tensors = {key: torch.from_numpy(value.copy()) for key, value in thin.network().items()}
    found = load(own(tmp_path / "w.safetensors", eight_bit(tensors))).tensors
    assert set(found) == set(tensors)
    for key, value in tensors.items():
        assert found[key].dtype == torch.float32
        # half a step of 1/127 of each filter's largest weight
        assert (found[key] - value).abs().max() <= value.abs().max() / 127 / 2 + 1e-7


def test_scales_and_metrics_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    tensors = {key: torch.from_numpy(value.copy()) for key, value in thin.network().items()}
    stored = eight_bit(tensors)
    with pytest.raises(WeightsError, match=r"conv1_1\.weight\.scale"):
        load(own(tmp_path / "a.safetensors", {**stored, "conv1_1.weight.scale": torch.ones(3)}))
    with pytest.raises(WeightsError, match="no floating-point"):
        load(own(tmp_path / "b.safetensors", {k: v for k, v in stored.items() if k != "conv2_1.weight.scale"}))
    with pytest.raises(WeightsError, match="metric of conv1_1"):
        load(own(tmp_path / "c.safetensors", {**tensors, "relu1_1.metric.weight": torch.ones(8, 3)}))
    kept = load(own(tmp_path / "d.safetensors", {**tensors, "relu1_1.metric.weight": torch.ones(8, 4)})).tensors
    assert torch.equal(kept["relu1_1.metric.weight"], torch.ones(8, 4))


@pytest.mark.parametrize("name", thin.WRITERS)
def test_bytes_are_read_as_the_file_is(name: str, tmp_path: Path) -> None:
    net = {key: tensor.numpy() for key, tensor in plain.tensors().items()}
    path = tmp_path / name
    thin.WRITERS[name](path, net)
    given = f"{path}@caffe" if path.suffix == ".pth" else str(path)
    blob, notices = read_network(given)
    assert (blob.name, blob.data, notices) == (given, path.read_bytes(), ())
    path.unlink()  # from here on there are only the bytes
    found = load(blob)
    assert (found.name, found.sha256) == (path.name, hashlib.sha256(blob.data).hexdigest())
    assert all(torch.equal(found.tensors[key], torch.from_numpy(value)) for key, value in net.items() if ".bias" in key)


def test_a_file_is_read_once(tmp_path: Path, thin_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, real = [], io.open

    def counted(file: Any, *args: Any, **options: Any) -> Any:
        opened.append(Path(str(file)).name)
        return real(file, *args, **options)

    monkeypatch.setattr(io, "open", counted)  # what Path.read_bytes calls, directly or not
    load(thin_path)
    load("lite")
    assert opened == [Path(thin_path).name, "lite.safetensors"]


def test_paths_and_forms_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("net.h5", "odd@caffe"):
        Path(name).touch()
    assert split("net.h5") == ("net.h5", None)
    assert split("net.h5@caffe") == ("net.h5", "caffe")
    assert split("odd@caffe") == ("odd@caffe", None)
    assert split("odd@caffe@torchvision") == ("odd@caffe", "torchvision")
    assert split("gone@else") == ("gone@else", None)
    with pytest.raises(WeightsError, match=r"net\.h5@else: no suffix @else; use @caffe or @torchvision"):
        split("net.h5@else")


@pytest.mark.parametrize("around", [torch.inference_mode, torch.no_grad])
def test_weights_are_ordinary_tensors_wherever_they_are_read(around: Any, thin_path: str) -> None:
    with around():
        tensors = load(thin_path).tensors.values()
    assert not any(tensor.is_inference() for tensor in tensors)
    assert all(tensor.dtype == torch.float32 for tensor in tensors)
