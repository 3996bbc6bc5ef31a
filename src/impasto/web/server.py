"""The server as a program: a socket, an address, and an end within three seconds."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from impasto.errors import OptionError
from impasto.text import switched_on
from impasto.web.app import application
from impasto.web.safety import Keys, is_loopback
from impasto.web.store import default_folder
from impasto.web.studio import Studio

__all__ = ["PASSWORD", "serve"]

PASSWORD = "IMPASTO_PASSWORD"  # the variable that holds one
SHORTEST = 8  # characters of a password
GRACE = 1  # seconds for answers that are under way when all is to end


def serve(host: str, port: int, folder: Path | None, memory: float, opened: Callable[[str, list[str]], object]) -> None:
    """Serve until a signal ends it; `opened` hears the address, and what is worth knowing, as soon as it answers.

    Raises OptionError for a host or port that cannot be had, OutputError for a folder that cannot be used.
    """
    import secrets

    password = os.environ.get(PASSWORD, "")
    notes = []
    if not is_loopback(host):
        if len(password) < SHORTEST:
            raise OptionError(
                f"--host {host}: others in the network could come in; set {PASSWORD} to a password of at least"
                f" {SHORTEST} characters first"
            )
        notes.append(
            "whoever reaches this machine and knows the password sees all pictures here and can paint; what is sent is"
            " not encrypted"
        )
    listening = _bound(host, port)
    own = listening.getsockname()[1]
    try:
        studio = Studio(folder or default_folder(), memory)
        token = secrets.token_urlsafe(32)
        keys = Keys(token, studio.store.secret("cookie"), own, password)
        name = f"[{host}]" if ":" in host else host
        address = f"http://{'127.0.0.1' if host == '0.0.0.0' else name}:{own}/?token={token}"
        config = uvicorn.Config(
            application(studio, keys, host, own),
            log_level="error" if switched_on("IMPASTO_DEBUG") else "critical",
            access_log=False,
            lifespan="on",
            ws="none",
            http="h11",
            loop="asyncio",
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=GRACE,
            h11_max_incomplete_event_size=64 * 1024,
            limit_concurrency=512,
            backlog=128,
        )
        _Server(config, studio, lambda: opened(address, notes)).run(sockets=[listening])
    finally:
        listening.close()


class _Server(uvicorn.Server):
    """Ends its streams first, and ends by a signal as by its own will."""

    def __init__(self, config: uvicorn.Config, studio: Studio, opened: Callable[[], object]) -> None:
        super().__init__(config)
        self._studio, self._opened = studio, opened

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer, and say so."""
        await super().startup(sockets)
        if self.started:
            self._opened()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, which would never end, and then the rest."""
        self._studio.hub.close()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the first signal end the server, the second at once."""
        before: dict[int, Any] = {}
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, self._end)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens, at any free port for 0."""
    try:
        (family, kind, protocol, _, place), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(place)
    except (OSError, OverflowError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise OptionError(f"--host {host} --port {port}: cannot be had ({why}); choose another port, or 0") from None
    return found
