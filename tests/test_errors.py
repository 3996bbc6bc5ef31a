"""The tree of errors, and errors as data that travels."""

from __future__ import annotations

import pickle

import pytest

from impasto import errors
from impasto.errors import KINDS, Failure, ImpastoError, MemoryShortError, RunError, memory_short


def test_every_error_has_a_kind_of_its_own() -> None:
    classes = {getattr(errors, name) for name in errors.__all__ if name.endswith("Error")}
    assert set(KINDS.values()) == classes
    assert len(set(KINDS.values())) == len(KINDS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "bug"])
def test_a_failure_keeps_kind_line_and_status_on_its_way(kind: str) -> None:
    error = KINDS[kind]("x.png: is\nwrong; use another")
    failure = pickle.loads(pickle.dumps(Failure.of(error)))
    assert failure == Failure(kind, "x.png: is wrong; use another")
    assert failure.exit_status == error.exit_status


def test_whatever_else_happens_is_a_bug_and_says_where() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0
    failure = Failure.of(caught.value)
    assert failure.kind == "bug"
    assert failure.exit_status == ImpastoError.exit_status == 1
    assert "ZeroDivisionError at test_errors.py:" in failure.message
    assert "please report it" in failure.message


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_has_run_out_is_known_under_all_its_names(error: Exception) -> None:
    assert memory_short(error)
    assert Failure.of(error).exit_status == MemoryShortError.exit_status == RunError.exit_status
    assert not memory_short(RuntimeError("the size of tensor a must match"))
    assert not memory_short(OSError("out of memory of good names"))
