"""The server as a program: a socket, an address, and an end within three seconds."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import threading
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

__all__ = ["PASSWORD", "Server", "made", "serve"]

Opened = Callable[[str, list[str]], object]

PASSWORD = "IMPASTO_PASSWORD"  # the variable that holds one
SHORTEST = 8  # characters of a password
GRACE = 1  # seconds for answers that are under way when all is to end


def serve(host: str, port: int, folder: Path | None, memory: float, opened: Opened) -> None:
    """Serve until a signal ends it; `opened` hears the address, and what is worth knowing, as soon as it answers.

    Raises as `made`.
    """
    made(host, port, folder, memory, opened).run()


def made(host: str, port: int, folder: Path | None, memory: float, opened: Opened) -> Server:
    """A server that is ready to run. `folder` None: the user's own; `memory` in GiB, 0: most of what is free.

    Raises OptionError for a host or port that cannot be had, OutputError for a folder that cannot be used.
    """
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
    try:
        own = listening.getsockname()[1]
        studio = Studio(folder or default_folder(), memory)
        keys = Keys(secrets.token_urlsafe(32), studio.store.secret("cookie"), own, password)
    except BaseException:
        listening.close()
        raise
    name = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    address = f"http://{name}:{own}/?token={keys.token}"
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
    return Server(config, studio, listening, lambda: opened(address, notes))


class Server(uvicorn.Server):
    """Ends its streams first, and ends by a signal as by its own will."""

    def __init__(
        self, config: uvicorn.Config, studio: Studio, listening: socket.socket, opened: Callable[[], object]
    ) -> None:
        super().__init__(config)
        self._studio, self._listening, self._opened = studio, listening, opened

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal, or `should_exit`, ends it."""
        try:
            super().run(sockets or [self._listening])
        finally:
            self._listening.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer, and say so."""
        await super().startup(sockets)
        if self.started:
            self._opened()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, which would never end, and then the rest."""
        self._studio.ending()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let the first signal end the server, the second at once."""
        before: dict[int, Any] = {}
        for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
            number = getattr(signal, name, None)
            here = threading.current_thread() is threading.main_thread()  # Python lets no other set handlers
            if here and number is not None and signal.getsignal(number) is not signal.SIG_IGN:
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
