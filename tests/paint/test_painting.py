"""The demo's painting: the file in the package, and the script that draws it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
PAINTING = ROOT / "src" / "impasto" / "data" / "painting.png"
SCRIPT = ROOT / "scripts" / "draw_painting.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_painting", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    with Image.open(PAINTING) as image:
        assert image.mode == "RGB"
        return np.asarray(image).astype(np.float64)


@pytest.fixture(scope="module")
def small(script: ModuleType) -> np.ndarray:
    return np.asarray(script.draw(80))


def test_size(pixels: np.ndarray) -> None:
    assert pixels.shape == (480, 600, 3)
    assert PAINTING.stat().st_size < 700 * 1024


def test_no_flat_areas(pixels: np.ndarray) -> None:
    grey = pixels.mean(axis=-1)[:, :592]
    blocks = grey.reshape(30, 16, 37, 16).transpose(0, 2, 1, 3).reshape(30, 37, 256)
    assert blocks.std(axis=-1).min() > 4


def test_no_grain(pixels: np.ndarray) -> None:
    grey = pixels.mean(axis=-1)
    noisy = grey + np.random.default_rng(0).normal(0, grey.std() / 5, grey.shape)
    alike, alike_if_noisy = (np.corrcoef(g[:, 1:].ravel(), g[:, :-1].ravel())[0, 1] for g in (grey, noisy))
    assert alike > 0.94 > alike_if_noisy


def test_darks_lights_and_many_hues(pixels: np.ndarray) -> None:
    grey = pixels.mean(axis=-1)
    assert np.percentile(grey, 5) < 60
    assert np.percentile(grey, 95) > 200
    red, blue = pixels[..., 0], pixels[..., 2]
    assert np.mean(red > blue + 60) > 0.15
    assert np.mean(blue > red + 60) > 0.15


def test_main_writes_the_same_picture_again(
    script: ModuleType, small: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "small.png"
    monkeypatch.setattr("sys.argv", ["draw_painting.py", str(target), "--width", "80"])
    script.main()
    with Image.open(target) as image:
        assert image.size == (80, 64)
        assert np.array_equal(np.asarray(image), small)


def test_script_draws_the_committed_picture(small: np.ndarray, pixels: np.ndarray) -> None:
    coarse = small.astype(np.float64).reshape(8, 8, 10, 8, 3).mean(axis=(1, 3))
    committed = pixels.reshape(8, 60, 10, 60, 3).mean(axis=(1, 3))
    assert np.abs(coarse - committed).mean() < 20
    assert np.abs(coarse - committed[:, ::-1]).mean() > 30  # the measure tells another picture


def test_colours_return_from_oklab(script: ModuleType) -> None:
    assert script.lab_from_hex("#ffffff") == pytest.approx([1, 0, 0], abs=1e-4)
    assert script.linear_from_lab(script.lab_from_hex("#ff0000")) == pytest.approx([1, 0, 0], abs=1e-6)


@pytest.mark.parametrize("weights", ["hat_weights", "smooth_weights"])
def test_weights_of_each_sample_sum_to_one(script: ModuleType, weights: str) -> None:
    assert getattr(script, weights)(50, 7).sum(axis=1) == pytest.approx(np.ones(50))
