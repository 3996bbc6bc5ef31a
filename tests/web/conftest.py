"""One server for all tests of the page that do not end it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.importorskip("uvicorn", reason="impasto web needs the extra web")
pytest.importorskip("httpx", reason="the tests of impasto web speak to it by httpx")

from studio import Server, served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with served(tmp_path_factory.mktemp("studio")) as found:
        yield found
