"""The project's own files: what is imported is declared, what CI installs is allowed, what it runs people can run."""

from __future__ import annotations

import ast
import importlib
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import impasto

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {
    "PIL": "pillow",
    "pi_heif": "pi-heif",
    "pillow_jxl": "pillow-jxl-plugin",
    "skimage": "scikit-image",
}  # where the name is another one than the module's
NEEDED = {Requirement(text).name: Requirement(text) for text in PROJECT["dependencies"]}


def imported() -> set[str]:
    """Top-level modules of others that the package imports, anywhere."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").split(".")[0])
    return found - set(sys.stdlib_module_names) - {"impasto"}


def test_what_is_imported_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    optional = {Requirement(text).name for extra in ("cluster", "jxl", "raw", "web") for text in extras[extra]}
    names = {DISTRIBUTIONS.get(name, name) for name in imported()}
    assert names <= set(NEEDED) | optional
    assert set(NEEDED) <= names, "a dependency that nothing imports"


def test_torch_has_no_upper_limit() -> None:
    assert [one.operator for one in NEEDED["torch"].specifier] == [">="]
    assert not any(name.startswith("torchvision") for name in NEEDED)


def test_what_ci_pins_is_allowed() -> None:
    lines = (ROOT / "scripts" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in (line for line in lines if line and not line.startswith("#")):
        pinned = Requirement(line)
        (pin,) = pinned.specifier
        assert pin.operator == "=="
        assert NEEDED[pinned.name].specifier.contains(pin.version), line


def test_people_and_ci_run_the_same_linters() -> None:
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    assert hooks == ["ruff check", "ruff format --check", "mypy"]
    for entry in hooks:
        assert re.search(rf"^\.venv/bin/{re.escape(entry)}\b", run, re.MULTILINE), entry


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.name)
def test_workflows_are_valid_and_ask_for_no_more_than_they_need(path: Path) -> None:
    made = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name != "workflows":
        return
    assert made["permissions"] == {"contents": "read"}
    for name, job in made["jobs"].items():
        assert set(job.get("permissions", {})) <= {"id-token"}, name
        for step in job["steps"]:
            assert "run" in step or re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+|release/v\d+)", step["uses"]), step


def test_the_matrix_has_the_oldest_that_is_promised() -> None:
    made = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    matrix = made["jobs"]["test"]["strategy"]["matrix"]
    assert {one.split("-")[0] for one in matrix["os"]} == {"ubuntu", "windows", "macos"}
    assert PROJECT["requires-python"] == f">={matrix['python'][0]}"
    oldest = next(one for one in matrix["torch"] if one != "newest")
    assert str(NEEDED["torch"].specifier) == f">={oldest.removesuffix('.0')}"
    newest = [one.split()[-1] for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)][-1]
    assert matrix["python"][-1] == newest


@pytest.mark.skipif(sys.platform == "win32", reason="the release is built on Linux")
@pytest.mark.parametrize(("tag", "status"), [(f"v{impasto.__version__}", 0), ("v0.0.0", 1), (impasto.__version__, 1)])
def test_a_release_has_the_version_of_its_tag(tag: str, status: int) -> None:
    made = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    (check,) = (step["run"] for step in made["jobs"]["build"]["steps"] if "GITHUB_REF_NAME" in step.get("run", ""))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    around = {**os.environ, "GITHUB_REF_NAME": tag, "PATH": path}
    done = subprocess.run(["bash", "-c", check], check=False, cwd=ROOT, env=around)
    assert done.returncode == status


def test_a_plain_run_of_the_tests_measures_nothing() -> None:
    """CI measures the README's own command, by the environment."""
    options = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert "--cov" not in options["addopts"]
    assert re.search(
        r'^export PYTEST_ADDOPTS="--cov\b', (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_the_site_has_every_page_once() -> None:
    def pages(entry: object) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        parts = entry.values() if isinstance(entry, dict) else entry
        return [page for part in parts for page in pages(part)]

    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    written = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(pages(config["nav"])) == sorted(written)


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "api").glob("*.md")), ids=lambda path: path.name)
def test_the_reference_names_what_there_is(path: Path) -> None:
    names = re.findall(r"^::: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert names
    for name in names:
        module, _, last = name.rpartition(".")
        if last[0].isupper():
            assert last in importlib.import_module(module).__all__, name
        else:
            assert importlib.import_module(name).__all__, name


def test_on_the_site_links_to_the_repository_are_words() -> None:
    plain = runpy.run_path(str(ROOT / "scripts" / "site_links.py"))["plain"]
    assert plain("[tool](../distill/README.md), [options](options.md#network)", "lite.md") == (
        "tool, [options](options.md#network)"
    )
    assert (
        plain("[options](../options.md), [tool](../../README.md)", "api/paint.md") == "[options](../options.md), tool"
    )
