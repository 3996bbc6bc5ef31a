"""What a process of ours hears from the server, and says: JSON over a pipe. Imports no torch."""

from __future__ import annotations

import json
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["StopError", "Talk"]


class StopError(Exception):
    """The server asks for an end, or is gone."""


class Talk:
    """What a process hears and says."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.stopped: str | None = None  # the job that is to stop

    def say(self, kind: str, **values: Any) -> None:
        """Tell the server something."""
        try:
            self._pipe.send_bytes(json.dumps({"kind": kind, **values}).encode("ascii"))
        except (OSError, ValueError):
            raise StopError from None

    def hear(self) -> dict[str, Any]:
        """The next message."""
        try:
            message: dict[str, Any] = json.loads(self._pipe.recv_bytes())
            return message
        except (EOFError, OSError, ValueError):
            raise StopError from None

    def asked_to_stop(self, job: str) -> bool:
        """Whether a job is to stop; raises StopError where all is to end."""
        while self._pipe.poll():
            message = self.hear()
            if message["kind"] == "end":
                self.stopped = job
            elif message["kind"] == "stop":
                self.stopped = message["job"]
        return self.stopped == job
