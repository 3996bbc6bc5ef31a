"""What has changed, told to every page that listens: one stream a tab, the newest of each job, at most four a second.

A listener that does not read costs nothing but a row for each job: what it has not heard yet is replaced by what is
newer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

__all__ = ["MOST", "Hub"]

APART = 0.25  # seconds between two answers to one listener
QUIET = 15.0  # seconds without news after which a comment line says that the server is there
MOST = 64  # listeners at a time

Tell = Callable[[], dict[str, Any] | None]


class Hub:
    """Where threads tell and pages listen; `bind` it to the loop that serves the pages."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners: set[_Listener] = set()
        self.closed = False

    def bind(self) -> None:
        """Use the running loop."""
        self._loop = asyncio.get_running_loop()

    def tell(self, event: str, key: str, value: Tell) -> None:
        """Let all listeners hear of something, from any thread; `value` is asked when it is sent."""
        if self._loop is not None and not self.closed:
            try:
                self._loop.call_soon_threadsafe(self._tell, event, key, value)
            except RuntimeError:  # the loop has ended
                self.closed = True

    def close(self) -> None:
        """End all streams; on the loop."""
        self.closed = True
        for listener in self._listeners:
            listener.news.set()

    @property
    def full(self) -> bool:
        """Whether there are as many listeners as may be."""
        return len(self._listeners) >= MOST

    async def listen(self) -> AsyncGenerator[bytes, None]:
        """The text of a stream of events."""
        listener = _Listener()
        self._listeners.add(listener)
        try:
            yield b"retry: 1000\n\n"
            while not self.closed:
                try:
                    await asyncio.wait_for(listener.news.wait(), QUIET)
                except TimeoutError:
                    yield b": here\n\n"
                    continue
                listener.news.clear()
                waiting, listener.waiting = listener.waiting, {}
                for (event, _), value in waiting.items():
                    told = value()
                    if told is not None:
                        yield f"event: {event}\ndata: {json.dumps(told, ensure_ascii=True)}\n\n".encode("ascii")
                if not self.closed:
                    await asyncio.sleep(APART)
        finally:
            self._listeners.discard(listener)

    def _tell(self, event: str, key: str, value: Tell) -> None:
        for listener in self._listeners:
            listener.waiting[event, key] = value
            listener.news.set()


class _Listener:
    """One stream, and what it has not been told yet."""

    def __init__(self) -> None:
        self.news = asyncio.Event()
        self.waiting: dict[tuple[str, str], Tell] = {}
