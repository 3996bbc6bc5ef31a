"""Servers for all tests of the page that do not end them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.importorskip("uvicorn", reason="impasto web needs the extra web")
pytest.importorskip("httpx", reason="the tests of impasto web speak to it by httpx")

from studio import Server, Studio, inside, served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """In a thread of this process."""
    with inside(tmp_path_factory.mktemp("studio")) as found:
        yield found


@pytest.fixture(scope="session")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """In a process of its own."""
    with served(tmp_path_factory.mktemp("apart")) as found:
        yield found
