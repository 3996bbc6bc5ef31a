"""What the benchmarks share: facts about the machine, tables, and functions run in a process of their own."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
PACKAGES = ("torch", "numpy", "pillow", "h5py")


def fresh(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """The result of `work` in a new interpreter, so that nothing is warm and its peak of memory is its own.

    Raises what `work` raises, and BrokenProcessPool if the system kills it.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments, **options).result()


def use_threads(count: int) -> None:
    """Let torch use `count` threads; 0 leaves its own choice."""
    import torch

    if count:
        torch.set_num_threads(count)


def machine(device: str = "auto") -> dict[str, Any]:
    """Names and versions that a measured time depends on; `device` as `Recipe.device` takes it."""
    import torch

    import impasto
    from impasto.devices import choose_device

    chosen = choose_device(device)
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else _processor()
    versions = {package: version(package) for package in PACKAGES if _installed(package)}
    return {
        "device": chosen.type,
        "device_name": name,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "impasto": impasto.__version__,
        **versions,
    }


def caption(about: Mapping[str, Any]) -> str:
    """One line that says where a table was measured."""
    return (
        f"{about['device_name']}, {about['threads']} threads, torch {about['torch']}, impasto {about['impasto']},"
        f" Python {about['python']}"
    )


def peak_memory() -> int:
    """Bytes that this process has had resident at most."""
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def digest(paths: Iterable[Path]) -> str:
    """SHA-256 of the contents of files, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table with the keys of the first row as its head; None is shown as a dash.

    >>> print(table([{"net": "lite", "s": 0.25}, {"net": "vgg19", "s": None}]))
    | net | s |
    |---|---|
    | lite | 0.25 |
    | vgg19 | – |
    """
    head = list(rows[0])
    lines = [head, *([_cell(row[key]) for key in head] for row in rows)]
    body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([body[0], "|" + "---|" * len(head), *body[1:]])


def write(folder: Path, name: str, record: Mapping[str, Any], text: str) -> None:
    """Write NAME.json and NAME.md, and print the latter."""
    (folder / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}", flush=True)


def significant(value: float | None, digits: int = 3) -> str | None:
    """A number for a table, rounded to so many digits, None passed on.

    >>> significant(0.012345), significant(368.24), significant(None)
    ('0.0123', '368', None)
    """
    if value is None:
        return None
    return f"{float(f'{value:.{digits}g}'):.10g}"


def _cell(value: Any) -> str:
    return "–" if value is None else str(value)


def _installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
