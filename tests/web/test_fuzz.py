"""The document of the interface, taken at its word: whatever it allows, and what it does not, is never a bug."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="fuzzing needs schemathesis")

import schemathesis
from hypothesis import HealthCheck, settings
from studio import Studio


@pytest.fixture(scope="session")
def api(server: Studio) -> Any:
    document = server.client.get("/api/openapi.json").json()
    del document["paths"]["/api/events"]  # which has no end
    return schemathesis.openapi.from_dict(document)


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_nothing_that_is_asked_is_a_bug(case: Any, server: Studio) -> None:
    answer = case.call(base_url=server.base, headers={"authorization": f"Bearer {server.token}"}, timeout=60)
    assert answer.status_code != 500, answer.text
    if answer.status_code >= 400:
        assert list(answer.json()) == ["error"]
