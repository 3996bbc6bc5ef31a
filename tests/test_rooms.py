"""The house: imports go downward only, and never in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import impasto

HOME = Path(impasto.__file__).parent
FLOORS = [  # top to bottom; a room imports from rooms below it, and from itself
    {"cli"},
    {"web"},
    {"work"},
    {"show"},
    {"train"},
    {"onepass"},
    {"paint"},
    {"losses"},
    {"network"},
    {"pictures"},
    {"recipe", "devices", "files"},
    {"options", "written"},
    {"layers"},
    {"errors"},
    {"text", "_version"},
]
FRONT = {"__init__", "__main__"}  # the doors: they may lead anywhere, and nobody inside goes through them
LIGHT = (
    "recipe",
    "options",
    "written",
    "layers",
    "errors",
    "text",
    "files",
    "network.weights.known",
    "pictures.metadata",
    "work.job",
)


def modules() -> dict[str, ast.Module]:
    """Every module by its name inside the package, parsed."""
    found = {}
    for path in sorted(HOME.rglob("*.py")):
        name = ".".join(path.relative_to(HOME).with_suffix("").parts)
        found[name.removesuffix(".__init__") if name != "__init__" else name] = ast.parse(path.read_text("utf-8"))
    return found


MODULES = modules()


def imports(tree: ast.AST, *, lazy: bool = True, typing: bool = True) -> Iterator[str]:
    """What a module imports from the package; without `lazy` what it imports when it is itself imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not typing:
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not lazy:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[2] for alias in node.names if alias.name.split(".")[0] == "impasto")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the way"
            if (node.module or "").split(".")[0] == "impasto":
                inside = (node.module or "").partition(".")[2]
                for alias in node.names:
                    whole = f"{inside}.{alias.name}".strip(".")
                    yield whole if whole in MODULES else inside
        else:
            yield from imports(node, lazy=lazy, typing=typing)


def floor(module: str) -> int:
    room = module.split(".", maxsplit=1)[0]
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def test_every_room_is_on_a_floor_and_every_floor_has_its_rooms() -> None:
    rooms = {name.split(".")[0] for name in MODULES} - FRONT
    assert rooms == set().union(*FLOORS)


@pytest.mark.parametrize("module", [name for name in MODULES if name not in FRONT])
def test_imports_go_downward(module: str) -> None:
    """Those inside functions and for type checkers as well."""
    for other in imports(MODULES[module]):
        assert other not in FRONT | {""}, f"{module} goes through the front door"
        same = module.split(".", maxsplit=1)[0] == other.split(".")[0]
        assert same or floor(other) > floor(module), f"{module} imports {other}, which stands above it"


def test_imports_go_in_no_circle() -> None:
    graph = {name: set(imports(tree, typing=False)) - {name} for name, tree in MODULES.items() if name not in FRONT}
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle
    assert set(graph) <= set(order)


def test_a_circle_and_a_step_upward_would_be_seen() -> None:
    tree = ast.parse(
        "def f():\n    from impasto.cli.console import say\nif TYPE_CHECKING:\n    from impasto import work"
    )
    assert list(imports(tree)) == ["cli.console", "work"]
    assert list(imports(tree, lazy=False, typing=False)) == []
    assert floor("cli.console") < floor("paint.run")


@pytest.mark.parametrize("module", LIGHT)
def test_the_ground_floor_needs_no_torch(module: str) -> None:
    """Followed through everything that is imported on the way."""
    waiting, seen = [module], set[str]()
    while waiting:
        one = waiting.pop()
        seen.add(one)
        tree = MODULES[one]
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        top = {ast.unparse(node).split()[1].split(".")[0] for node in names if node in tree.body}
        assert "torch" not in top, f"{module} imports torch by way of {one}"
        waiting += [
            other for other in imports(tree, lazy=False, typing=False) if other in MODULES and other not in seen
        ]


def test_only_the_console_knows_a_terminal() -> None:
    for name, tree in MODULES.items():
        tops = {
            part.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for part in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        }
        assert name == "cli.console" or "rich" not in tops, f"{name} imports rich"
        assert name.startswith("cli.") or "cyclopts" not in tops, f"{name} imports cyclopts"


@pytest.mark.parametrize("path", sorted(HOME.rglob("*.py")), ids=lambda path: str(path.relative_to(HOME)))
def test_a_file_fits_on_a_few_screens(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_tests_mirror_the_house() -> None:
    """A folder of tests for every room, and a test file for no module that is not there."""
    tests = Path(__file__).parent
    for room in {name.split(".")[0] for name in MODULES if "." in name}:
        assert list((tests / room).rglob("test_*.py")), f"no tests for {room}"
