"""The document of the interface, taken at its word: whatever it allows, and what it does not, is never a bug."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("schemathesis", reason="fuzzing needs schemathesis")

import schemathesis
from hypothesis import HealthCheck, given, settings
from studio import Studio


def test_nothing_that_is_asked_is_a_bug(server: Studio) -> None:
    document = server.client.get("/api/openapi.json").json()
    del document["paths"]["/api/events"]  # which has no end
    schema = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 15
    headers = {"authorization": f"Bearer {server.token}"}
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        def one(case: Any) -> None:
            answer = case.call(base_url=server.base, headers=headers, timeout=60)
            assert answer.status_code != 500, (answer.text, case.as_curl_command())
            if answer.status_code >= 400:
                assert list(answer.json()) == ["error"]

        one()
