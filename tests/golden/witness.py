"""A witness of what impasto paints: small recipes, and the SHA-256 of every result's pixels with its losses.

    python tests/golden/witness.py check          compare with golden.json beside this file
    python tests/golden/witness.py record         write it anew, where a result was meant to change

A change that moves code without changing what it computes leaves every line as it is, to the last bit. That holds on
one kind of machine: the file says which, and `check` says when this is another one. One thread.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import impasto
import plain
import thin

GOLDEN = Path(__file__).with_name("golden.json")
PACKAGES = ("torch", "numpy", "pillow", "scikit-image", "scipy")
# The report's method.
SHORT = {"style_loss": "gram", "size": 96, "iterations": (6, 4), "levels": 2, "max_memory": 8.0, "device": "cpu"}
LITE = {"style_loss": "gram", "size": 64, "iterations": (5, 3), "levels": 2, "max_memory": 8.0, "device": "cpu"}
RECIPES: dict[str, dict[str, Any]] = {  # on a thin seeded network in float32, unless they say `net`
    "style": {},
    "luminance": {"color": "luminance"},
    "match": {"color": "match"},
    "histogram": {"color": "histogram"},
    "swap": {"color": "swap"},
    "paper": {"units": "paper", "style_weight": 1e-3, "tv_weight": 1e-4, "laplacian": "2:1e-6"},
    "report-code": {"units": "report-code", "content_weight": 100.0, "style_weight": 1e-3},
    "several": {"styles": 2, "blend": (0.3, 0.7)},
    "laplacian": {"laplacian": ("2:5", "4:5")},
    "laplacian-exact": {"laplacian": "2:5", "laplacian_exact": True},
    "variation": {"tv_weight": 2.0},
    "noise": {"init": "noise", "seed": 3},
    "from-style": {"init": "style"},
    "from-picture": {"init": "start.png"},
    "adam": {"optimizer": "adam"},
    "average": {"pooling": "average"},
    "tiles": {"tile": 16, "size": 160},
    "alpha": {"content": "alpha.png"},
    "deep": {"content": "deep.tif", "styles": 1},
    "layers": {
        "content_layer": ("relu3_2:0.5", "conv4_2:2"),
        "style_layer": ("relu1_1:1", "conv3_1:0.25", "relu4_1:0.5"),
    },
    "bare": {"border": 0, "style_scale": 0.6, "levels": 1},
    "lite": {"net": "lite", **LITE, "precision": "float32"},
    "lite-luminance": {"net": "lite", **LITE, "precision": "float32", "color": "luminance", "styles": 2},
    "lite-bfloat16": {"net": "lite", **LITE, "precision": "bfloat16", "laplacian": "4:10"},
}


def machine() -> dict[str, str]:
    """What the last bit of a result depends on."""
    from importlib.metadata import version

    cpu = torch.backends.cpu.get_cpu_capability()
    model = next((line for line in _cpuinfo() if line.startswith("model name")), "").partition(":")[2].strip()
    number = next((line for line in _cpuinfo() if line.startswith("model\t")), "").partition(":")[2].strip()
    return {"processor": f"{model} {number} {cpu}".strip(), **{name: version(name) for name in PACKAGES}}


def witnessed(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every result by name: the hash of its pixels and its losses; `folder` is written to."""
    torch.set_num_threads(1)
    _pictures(folder)
    net = folder / "thin.safetensors"
    thin.write_safetensors(net, {key: tensor.numpy() for key, tensor in plain.tensors().items()})
    for name, given in RECIPES.items():
        options = {"net": str(net), "precision": "float32", **SHORT, **given}
        content, count = folder / options.pop("content", "photo.png"), options.pop("styles", 1)
        styles = [str(folder / "one.png"), str(folder / "two.png")][:count]
        if options.get("init", "").endswith(".png"):
            options["init"] = str(folder / options["init"])
        result = impasto.stylize(str(content), styles, **options)
        alpha = [] if result.alpha is None else [result.alpha]
        yield name, _record(torch.cat([result.image, *alpha]).numpy(), result.losses)
    yield from _commands(folder, net)


def _commands(folder: Path, net: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """What a batch and a sweep write."""
    common = ["--net", str(net), "--precision", "float32", "--size", "64", "--iterations", "4,3", "--device", "cpu"]
    batch = ["batch", "photo.png", "alpha.png", "--style", "one.png", "--style", "two.png", "--out", "batch", *common]
    vary = ["--vary", "style_weight=5,50", "--vary", "content_layer=conv2_2,conv4_2"]
    sweep = ["sweep", "photo.png", "one.png", *vary, "-o", "sheet.png", *common]
    for command in (batch, sweep):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, "-m", "impasto", *command], cwd=folder, check=True, env=environment)
        out = folder / ("batch" if command is batch else "sheet")
        for path in sorted(out.glob("**/*.png"), key=lambda path: path.name.rpartition("-")[0]):
            with Image.open(path) as picture:
                made = json.loads(picture.text["impasto"])  # type: ignore[attr-defined]
                name = f"{command[0]} {path.name.rpartition('-')[0]}"
                yield name, _record(np.asarray(picture), made["losses"])


def _record(pixels: np.ndarray, losses: Any) -> dict[str, Any]:
    digest = hashlib.sha256(f"{pixels.shape}{pixels.dtype}".encode() + np.ascontiguousarray(pixels).tobytes())
    return {"pixels": digest.hexdigest(), "losses": {name: float(value) for name, value in losses.items()}}


def _pictures(folder: Path) -> None:
    photo = _bytes(plain.picture(72, 96, seed=1))
    Image.fromarray(photo).save(folder / "photo.png")
    Image.fromarray(_bytes(plain.picture(64, 80, seed=2))).save(folder / "one.png")
    Image.fromarray(_bytes(plain.picture(90, 60, seed=3))).save(folder / "two.png")
    Image.fromarray(_bytes(plain.picture(48, 64, seed=4))).save(folder / "start.png")
    hidden = np.full((72, 96, 1), 255, np.uint8)
    hidden[20:50, 30:70] = 90
    Image.fromarray(np.concatenate([photo, hidden], axis=2)).save(folder / "alpha.png")
    deep = (plain.picture(72, 96, seed=5) * 65535).round().numpy().astype(np.uint16).transpose(1, 2, 0)
    tifffile.imwrite(folder / "deep.tif", deep, photometric="rgb")


def _bytes(picture: torch.Tensor) -> np.ndarray:
    return (picture * 255).round().byte().permute(1, 2, 0).numpy()


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def main(say: Callable[[str], None] = print) -> int:
    with tempfile.TemporaryDirectory() as folder:
        found = dict(witnessed(Path(folder)))
    record = {"machine": machine(), "results": found}
    if sys.argv[1:] == ["record"]:
        GOLDEN.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        say(f"recorded {len(found)} results")
        return 0
    kept = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if kept["machine"] != record["machine"]:
        say(f"recorded on another machine: {kept['machine']}, this is {record['machine']}")
    other = [name for name in kept["results"] if found.get(name) != kept["results"][name]]
    for name in other:
        say(f"{name}: was {kept['results'][name]}, is {found.get(name)}")
    say(f"{len(found) - len(other)} of {len(kept['results'])} results are the same to the bit")
    return 1 if other else 0


if __name__ == "__main__":
    sys.exit(main())
