"""What several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start, too

import torch

import impasto
import many
import plain
import thin
from command_line import folder, impasto_command

__all__ = ["folder", "impasto_command"]

torch.set_num_threads(1)  # the pictures are small: threads would wait for each other, most of all on a busy machine

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def vgg19_path() -> Path:
    """The original VGG-19 as a Keras .h5 file; tests that ask for it are marked `real` and skip where it is absent."""
    path = Path(os.environ.get("IMPASTO_VGG19") or ROOT.parent / "shared" / "weights" / "vgg19_dev_notop.h5")
    if not path.is_file():
        pytest.skip(f"no VGG-19 weights at {path}; set IMPASTO_VGG19 to the Keras no-top .h5 file")
    return path


@pytest.fixture(scope="session")
def thin_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A thin seeded network as a file, for `Recipe.net`."""
    path = tmp_path_factory.mktemp("net") / "thin.safetensors"
    thin.write_safetensors(path, {key: tensor.numpy() for key, tensor in plain.tensors().items()})
    return str(path)


@pytest.fixture
def gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with two paintings."""
    monkeypatch.setenv("PYTHONPATH", str(Path(impasto.__file__).parents[1]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    many.draw(tmp_path / "one.png", 1)
    many.draw(tmp_path / "two.png", 2)
    return tmp_path


@pytest.fixture
def photos(gallery: Path) -> Path:
    """In the gallery: twelve photos in folders, one of them corrupt."""
    for number in range(11):
        many.draw(gallery / "photos" / ("deep/er" if number % 2 else "") / f"{number:02}.png", 10 + number)
    (gallery / "photos" / "deep" / "bad.jpg").write_bytes(b"\xff\xd8\xffnonsense")
    return gallery / "photos"
