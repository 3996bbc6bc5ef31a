"""What the package shows to the world, and what it must not carry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import impasto
from impasto import errors

HOME = Path(impasto.__file__).parent


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_public_names_are_sorted_importable_and_all_there_is() -> None:
    assert impasto.__all__ == sorted(impasto.__all__)
    assert dir(impasto) == impasto.__all__
    for name in impasto.__all__:
        assert getattr(impasto, name) is not None, name
    with pytest.raises(AttributeError, match="nonsense"):
        _ = impasto.nonsense


def test_every_module_s_public_names_exist() -> None:
    for path in sorted(HOME.glob("[a-z]*.py")):
        module = __import__(f"impasto.{path.stem}", fromlist=["x"])
        names = module.__all__
        assert len(set(names)) == len(names), path.stem
        assert all(hasattr(module, name) for name in names), path.stem


def test_importing_the_package_does_not_import_torch() -> None:
    slow = "torch", "numpy", "skimage", "PIL"
    code = (
        f"import sys, impasto; impasto.__version__; impasto.OptionError; print([m for m in {slow} if m in sys.modules])"
    )
    assert python(code) == "[]"
    assert (
        python(
            "import sys, impasto.recipe, impasto.layers, impasto.network.weights.known; print('torch' in sys.modules)"
        )
        == "False"
    )


def test_the_first_use_works_without_naming_a_module() -> None:
    assert python("import impasto; print(impasto.losses.gram.__name__, impasto.color.to_yuv.__name__)") == "gram to_yuv"


def test_the_readme_s_way_in_is_the_transfer_s() -> None:
    from impasto.paint import run

    assert impasto.stylize is run.stylize
    assert impasto.steps is run.steps


def test_every_error_has_its_exit_status() -> None:
    expected = {
        "ImpastoError": 1,
        "OptionError": 2,
        "ImageReadError": 3,
        "WeightsError": 4,
        "RunError": 5,
        "DivergenceError": 5,
        "MemoryShortError": 5,
        "SomeFailedError": 5,
        "OutputError": 6,
    }
    assert sorted(expected) == sorted(name for name in errors.__all__ if name.endswith("Error"))
    for name, status in expected.items():
        kind = getattr(errors, name)
        assert issubclass(kind, errors.ImpastoError)
        assert kind("x").exit_status == status
        assert name in impasto.__all__


def test_the_package_holds_its_own_source_and_its_network_and_nothing_else() -> None:
    files = {path.relative_to(HOME).as_posix() for path in HOME.rglob("*") if path.is_file()}
    others = {name for name in files if not name.endswith(".py") and "__pycache__" not in name}
    assert others >= {"data/NOTICE", "data/lite.safetensors", "py.typed"}
    binary = {name for name in others if b"\0" in (HOME / name).read_bytes()[:4096]}
    networks = {"data/lite.safetensors", "data/instant.safetensors"}
    assert binary <= {*networks, "data/painting.png"}  # the painting: scripts/draw_painting.py
    assert (HOME / "data" / "lite.safetensors").stat().st_size < 16_000_000
    assert "CC BY 4.0" in (HOME / "data" / "NOTICE").read_text(encoding="utf-8")
