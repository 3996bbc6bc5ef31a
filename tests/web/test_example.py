"""The example programs paint over HTTP."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from studio import Studio, png

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "web"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    (tmp_path / "photo 1.png").write_bytes(png(1))
    (tmp_path / "painting.png").write_bytes(png(2))
    return tmp_path


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def test_from_python(server: Studio, pictures: Path) -> None:
    words = [server.address, "photo 1.png", "painting.png", "out.jpg", "size=64", "iterations=[2]", "color=luminance"]
    command = [sys.executable, str(EXAMPLES / "paint.py"), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=pictures, timeout=90)
    assert done.returncode == 0, done.stderr
    assert size(pictures / "out.jpg") == (64, 48)
    wrong = subprocess.run([*command, "size=-1"], check=False, capture_output=True, text=True, cwd=pictures, timeout=90)
    assert (wrong.returncode, "size: " in wrong.stderr) == (1, True)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("sh")), reason="needs curl")
def test_by_curl(server: Studio, pictures: Path) -> None:
    command = ["sh", str(EXAMPLES / "paint.sh"), server.address, "photo 1.png", "painting.png", "out.png"]
    around = {"PATH": "/usr/bin:/bin", "SIZE": "64"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=pictures, env=around, timeout=120)
    assert done.returncode == 0, done.stderr
    assert size(pictures / "out.png") == (64, 48)
