"""What several test files share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import plain
import thin

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
