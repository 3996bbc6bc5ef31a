"""One stream a page: the newest of each job, never more than four times a second, and nothing that piles up."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from impasto.web import events
from impasto.web.events import Hub


def test_what_a_page_has_not_heard_is_replaced_by_what_is_newer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "QUIET", 0.2)

    async def listened() -> list[tuple[float, str]]:
        hub = Hub()
        hub.tell("job", "a", dict)  # nobody is there yet
        hub.bind()
        stream = hub.listen()
        heard = [(0.0, (await anext(stream)).decode())]
        state = {"n": 0}

        def talk() -> None:
            for state["n"] in range(1, 1001):
                hub.tell("job", "a", lambda: dict(state))
                hub.tell("job", "lost", lambda: None)
                time.sleep(0.001)

        thread = threading.Thread(target=talk)
        thread.start()
        begun = time.monotonic()
        async for piece in stream:
            heard.append((time.monotonic() - begun, piece.decode()))
            if piece.startswith(b":"):
                break
        thread.join()
        waiting = asyncio.ensure_future(anext(stream, None))
        await asyncio.sleep(0.05)
        hub.close()
        assert await waiting is None
        hub.tell("job", "a", dict)
        return heard

    heard = asyncio.run(listened())
    told = [(at, text) for at, text in heard if text.startswith("event: job")]
    assert told[-1][1] == 'event: job\ndata: {"n": 1000}\n\n'
    assert 3 <= len(told) <= 4 * told[-1][0] + 2
    assert heard[-1][1] == ": here\n\n"


def test_there_are_not_too_many_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST", 1)

    async def opened() -> tuple[bool, bool, bool]:
        hub = Hub()
        before = hub.full
        stream = hub.listen()
        await anext(stream)
        during = hub.full
        await stream.aclose()
        return before, during, hub.full

    assert asyncio.run(opened()) == (False, True, False)
