"""A process of our own that does the work, seen from the server: spoken to in JSON, started anew after its death."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from impasto.errors import RunError
from impasto.web import worker

__all__ = ["DiedError", "Process"]

Message = dict[str, Any]


class DiedError(RunError):
    """The process has ended before its answer."""


class Process:
    """A spawned process that carries out `worker.main` in one `role`; one caller at a time, but for `send`."""

    def __init__(self, role: str, device: str = "auto") -> None:
        self.role, self.device = role, device
        self.one = threading.Lock()
        self._sending = threading.Lock()
        self._process: Any = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        """The number of the process, while there is one."""
        return self._process.pid if self._process is not None and self._process.is_alive() else None

    def start(self) -> None:
        """Start it, if it does not run."""
        if self.pid is not None and self._pipe is not None:
            return
        self.kill()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._process = context.Process(
            target=worker.main, args=(theirs, self.role, self.device), name=f"impasto-{self.role}", daemon=True
        )
        self._process.start()
        theirs.close()
        self._pipe = ours

    def send(self, message: Message) -> bool:
        """Say something; False where nobody is there."""
        with self._sending:
            try:
                if self._pipe is None:
                    return False
                self._pipe.send_bytes(json.dumps(message).encode("ascii"))
                return True
            except (OSError, ValueError):
                return False

    def receive(self, timeout: float) -> Message | None:
        """The next message, None after `timeout` seconds; raises DiedError where there will be none."""
        pipe = self._pipe
        try:
            if pipe is None:
                raise EOFError
            if not pipe.poll(timeout):
                return None
            answer: Message = json.loads(pipe.recv_bytes())
            return answer
        except (EOFError, OSError, ValueError):
            code = None
            if self._process is not None:
                self._process.join(1.0)
                code = self._process.exitcode
            self.kill()
            why = f"signal {-code}" if code is not None and code < 0 else f"status {code}"
            raise DiedError(f"its process was ended ({why})") from None

    def ask(self, message: Message, timeout: float) -> Message:
        """Say something and wait for the answer; raises DiedError, also after `timeout` seconds."""
        with self.one:
            self.start()
            self.send(message)
            until = time.monotonic() + timeout
            while (left := until - time.monotonic()) > 0:
                answer = self.receive(left)
                if answer is not None and answer["kind"] in ("answer", "failure"):
                    return answer
            self.kill()
            raise DiedError(f"it took longer than {timeout:.0f} s")

    def kill(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        pipe, self._pipe = self._pipe, None
        if process is not None:
            process.kill()
            process.join(0.3)
        if pipe is not None:
            with suppress(OSError):
                pipe.close()
