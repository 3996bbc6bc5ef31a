"""The documentation against the code: links lead somewhere, commands parse, functions exist, the table is in sync."""

from __future__ import annotations

import ast
import importlib
import re
import runpy
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from impasto import errors
from impasto.cli import app as cli
from impasto.cli import demo, paint
from impasto.cli.flags import gather, recipe_from
from impasto.recipe import Recipe

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
FOREIGN = {"--index-url", "--strict"}  # flags of other programs
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`]+)`")


def each_page() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(text) if kind == language]


def anchors(text: str) -> set[str]:
    """What a link to a heading may say, by GitHub's rule."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def impasto_commands(text: str) -> Iterator[list[str]]:
    """Arguments of every impasto command in the blocks of a page, and in code within its sentences."""
    lines = [line for block in blocks(text, "bash") for line in block.replace("\\\n", " ").splitlines()]
    written = [" ".join(code.split()) for code in INLINE.findall(BLOCK.sub("", text))]
    for line in [*lines, *written]:
        for part in re.split(r"\s*(?:&&|>)\s*", line):
            if re.match(r"(\S+/)?impasto\s", part):
                yield shlex.split(part)[1:]


def parse(arguments: list[str]) -> Any:
    """Let the command line take arguments apart without carrying anything out; a recipe is checked in full."""
    command, bound, _ = cli.app.parse_args(gather(arguments), exit_on_error=False, print_error=False)
    options = {name: value for name, value in bound.arguments.items() if name in Recipe.model_fields}
    if command is paint.paint:
        recipe = recipe_from(options)
        assert len(recipe.blend) in (0, len(bound.arguments["style"])), arguments
    return command


def test_the_page_of_options_is_what_the_script_writes() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "options_table.py"))
    assert text_of(DOCS / "options.md") == script["page"](), "run python scripts/options_table.py"
    for name in Recipe.model_fields:
        assert f"`--{name.replace('_', '-')}`" in text_of(DOCS / "options.md")


def test_the_quick_start_is_two_commands_of_one_line_that_need_nothing_beforehand() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "quick_start.py"))
    section = text_of(README).partition("\n## Quick start\n")[2].partition("\n## ")[0]
    bodies = [body for _, body in BLOCK.findall(section)]
    assert [body.count("\n") for body in bodies] == [1, 1]
    commands = script["commands"](text_of(README))
    assert [f"{command}\n" for command in commands] == bodies
    assert all(command.startswith("python3 -m venv .venv && .venv/bin/pip install") for command in commands)
    assert parse(shlex.split(commands[0].partition(".venv/bin/impasto ")[2])) is demo.demo
    assert "[test]" in commands[1]
    assert commands[1].endswith(".venv/bin/python -m pytest -q")


@each_page()
def test_every_link_leads_somewhere(path: Path) -> None:
    text = BLOCK.sub("", text_of(path))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.is_relative_to(ROOT), link
        assert target.is_file(), f"{path.name}: {link} leads nowhere"
        if anchor:
            assert anchor in anchors(text_of(target)), f"{path.name}: no heading for {link}"


@each_page()
def test_every_command_can_be_given_as_it_is_written(path: Path) -> None:
    for arguments in impasto_commands(text_of(path)):
        if arguments in (["--help"], ["--version"]) or any(word.isupper() or "…" in word for word in arguments):
            continue  # answered before the parser, or a pattern and no command
        parse(arguments)


def test_commands_are_found_and_wrong_ones_are_noticed() -> None:
    page = "Say `impasto a.png b.png -o c.png`.\n\n```bash\nx/bin/impasto d.png \\\n  e.png --sise 3\n```\n"
    assert sorted(impasto_commands(page)) == [["a.png", "b.png", "-o", "c.png"], ["d.png", "e.png", "--sise", "3"]]
    with pytest.raises(cli.CycloptsError):
        parse(["d.png", "e.png", "-o", "c.png", "--sise", "3"])
    with pytest.raises(errors.OptionError):
        parse(["d.png", "e.png", "-o", "c.png", "--laplacian", "4"])
    assert sum(len(list(impasto_commands(text_of(path)))) for path in PAGES) > 20


@each_page()
def test_every_flag_and_variable_exists(path: Path) -> None:
    text = text_of(path)
    known = set(FOREIGN)
    for name in ("batch", "demo", "models", "recipe", "resume", "sweep", "train", "web", "weights"):
        known |= flags_of(cli.app[name])
    known |= flags_of(cli.app) | {"--help", "--version"}
    for place in ("benchmarks", "examples", "distill"):
        for program in (ROOT / place).rglob("*.py"):
            known |= set(re.findall(r'add_argument\(\s*"(--[a-z0-9-]+)"', text_of(program)))
    written = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text))
    assert written <= known, f"{path.name}: {sorted(written - known)}"
    source = "".join(text_of(file) for place in ("src", "tests") for file in (ROOT / place).rglob("*.py"))
    assert all(variable in source for variable in re.findall(r"\bIMPASTO_[A-Z0-9]+\b", text))


def flags_of(app: Any) -> set[str]:
    if app.default_command is None:
        return set()
    return {name for argument in app.assemble_argument_collection() for name in argument.names if name[:2] == "--"}


def test_every_equation_names_functions_that_exist() -> None:
    table = text_of(DOCS / "how-it-works.md").partition("\n## The equations\n")[2].partition("\n## ")[0]
    found: set[int] = set()
    for row in re.findall(r"^\| (\d+)(?:–(\d+))? \|.*\| (.+) \|$", table, re.MULTILINE):
        first, last, functions = row
        found |= set(range(int(first), int(last or first) + 1))
        names = INLINE.findall(functions)
        assert names
        for name in names:
            module, _, function = name.rpartition(".")
            assert callable(getattr(importlib.import_module(f"impasto.{module}"), function)), name
    assert found == set(range(1, 15))


@each_page()
def test_every_name_in_the_documentation_exists(path: Path) -> None:
    for name in INLINE.findall(text_of(path)):
        dotted = re.fullmatch(r"(?:impasto\.)?(\w+)\.(\w+)", name)
        if dotted and name.startswith("impasto.") and (ROOT / "src" / "impasto" / f"{dotted[1]}.py").is_file():
            assert hasattr(importlib.import_module(f"impasto.{dotted[1]}"), dotted[2]), name
        elif re.fullmatch(r"[a-z_][\w/]*\.py", name) and not name.startswith(
            ("docs", "scripts", "src", "tests", "distill")
        ):
            assert (ROOT / "src" / "impasto" / name).is_file(), name
        elif re.fullmatch(r"(docs|scripts|src|tests|distill)/[\w./]+", name):
            assert (ROOT / name).exists(), name


@each_page()
def test_python_examples_use_what_there_is(path: Path) -> None:
    for code in blocks(text_of(path), "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "impasto":
                assert hasattr(importlib.import_module("impasto"), node.attr), node.attr
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("impasto."):
                words = [word for word in node.keywords if word.arg not in ("files", "checkpoint")]  # no options
                Recipe(**{str(word.arg): ast.literal_eval(word.value) for word in words})
    if "import torch" in text_of(path):
        for code in blocks(text_of(path), "python"):
            exec(compile(code, path.name, "exec"), {})


def test_the_defaults_explained_are_the_defaults() -> None:
    bold = re.findall(r"^\*\*(`--.+?)\*\*", text_of(DOCS / "defaults.md"), re.MULTILINE)
    codes = [code.split() for heading in bold for code in INLINE.findall(heading)]
    for flag, *values in codes:
        name = flag[2:].replace("-", "_")
        assert name in Recipe.model_fields, flag
        if values:
            default = getattr(Recipe(), name)
            shown = default if isinstance(default, tuple) else [default]
            assert values == [f"{v:g}" if isinstance(v, float) else str(v) for v in shown], flag
    assert len(codes) > 10


def test_exit_statuses_are_those_of_the_errors() -> None:
    rows = re.findall(r"^\| (\d+) \|", text_of(DOCS / "troubleshooting.md"), re.MULTILINE)
    statuses = {getattr(errors, name).exit_status for name in errors.__all__ if name.endswith("Error")}
    assert set(map(int, rows)) == {0, *statuses, cli.INTERRUPTED, cli.PIPE_CLOSED}


def test_the_linters_are_those_of_the_development_extra() -> None:
    extra = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]["optional-dependencies"]["dev"]
    names = {re.split(r"[\[<>=~]", requirement)[0] for requirement in extra}
    assert {"ruff", "mypy"} <= names
    assert '-e ".[dev]"' in text_of(ROOT / ".ci" / "run")
    assert "bash .ci/run" in text_of(ROOT / ".github" / "workflows" / "ci.yml")
