"""The command line in a folder with pictures, as fixtures that conftest.py takes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import Command, Run
from impasto.__main__ import main
from impasto.cli import app as cli


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a photo, 24×16, and two paintings."""
    monkeypatch.setenv(
        "PYTHONPATH", str(Path(cli.__file__).parents[2])
    )  # for children, whatever the path was relative to
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(5)
    for name, (height, width) in {"photo": (16, 24), "one": (20, 20), "two": (18, 30)}.items():
        Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.fixture(name="impasto")
def impasto_command(folder: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    def command(*arguments: str) -> Run:
        capfd.readouterr()
        status = main(arguments)
        return Run(status, *capfd.readouterr())

    return command
