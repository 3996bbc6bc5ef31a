"""A real server in a process of its own, and a client that has been let in."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
from PIL import Image

import hostile
import impasto
from impasto.web.server import made

PATIENCE = 90.0  # seconds, on a busy machine


def png(seed: int = 0, size: tuple[int, int] = (48, 64)) -> bytes:
    return hostile.encode(hostile.photo(*size, seed=seed), "PNG")


class Studio:
    """A server, and a client that has been let in."""

    notes: Sequence[str] = ()

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder = address, folder
        self.base, _, self.token = address.partition("/?token=")
        self.port = int(self.base.rpartition(":")[2])
        self.client = self.new_client(authorization=f"Bearer {self.token}")

    def new_client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.base, headers=headers, timeout=PATIENCE, trust_env=False)

    def head(self, first: str, *more: str, host: str | None = None) -> bytes:
        """The beginning of a request as it is typed, with our token."""
        host = f"127.0.0.1:{self.port}" if host is None else host.replace("PORT", str(self.port))
        lines = (f"{first} HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {self.token}", *more, "", "")
        return "\r\n".join(lines).encode("latin-1")

    def put(self, data: bytes, name: str = "photo.png", **headers: str) -> httpx.Response:
        return self.client.put(
            "/api/pictures", content=data, headers={"x-name": quote(name), "content-type": "image/png", **headers}
        )

    def picture(self, seed: int = 0, size: tuple[int, int] = (48, 64), name: str = "") -> str:
        answer = self.put(png(seed, size), name or f"photo{seed}.png")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def body(self, **recipe: object) -> dict[str, Any]:
        short = {"size": 64, "iterations": [4], **recipe}
        return {"content": self.picture(1), "styles": [self.picture(2)], "recipe": short}

    def begin(self, body: dict[str, object]) -> dict[str, Any]:
        answer = self.client.post("/api/jobs", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def job(self, key: object) -> dict[str, Any]:
        return dict(self.client.get(f"/api/jobs/{key}").json())

    def wait(self, key: object, *states: str, step: int = 0, preview: int = 0) -> dict[str, Any]:
        """The job as soon as it is in one of the states, and so far."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            job = self.job(key)
            far = job["step"][0] >= step and job["preview"] >= preview
            if job["state"] in (states or ("done", "failed")) and far:
                return job
            time.sleep(0.05)
        raise AssertionError(f"not {states}: {self.job(key)}")

    def paint(self, **recipe: object) -> dict[str, Any]:
        job = self.wait(self.begin(self.body(**recipe))["id"])
        assert job["state"] == "done", job
        return job

    def pixels(self, job: dict[str, object]) -> np.ndarray:
        data = self.client.get(f"/api/jobs/{job['id']}/picture").content
        return np.asarray(Image.open(io.BytesIO(data)))

    def processes(self) -> dict[str, int]:
        return dict(self.client.get("/api/status").json()["processes"])


class Server(Studio):
    """`impasto web` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        source = str(Path(impasto.__file__).parents[1])
        around = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", **variables}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "impasto", "web", "--no-open", "--folder", str(folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=around,
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline().strip()
        assert address.startswith("http://"), self.process.communicate(timeout=10)
        super().__init__(address, folder)

    def end(self, number: int = signal.SIGTERM) -> float:
        """Seconds until it has ended."""
        begun = time.monotonic()
        self.client.close()
        self.process.send_signal(number)
        try:
            self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        return time.monotonic() - begun


@contextmanager
def inside(folder: Path, host: str = "127.0.0.1") -> Iterator[Studio]:
    """A server in a thread of this process."""
    addresses, notes = list[str](), list[str]()
    server = made(host, 0, folder, 0.0, lambda address, said: (addresses.append(address), notes.extend(said)))
    thread = threading.Thread(target=server.run)
    thread.start()
    found = None
    try:
        until = time.monotonic() + PATIENCE
        while not addresses and time.monotonic() < until:
            time.sleep(0.02)
        found = Studio(addresses[0], folder)
        found.notes = notes
        yield found
    finally:
        if found is not None:
            found.client.close()
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@contextmanager
def served(folder: Path, *arguments: str, **variables: str) -> Iterator[Server]:
    server = Server(folder, *arguments, **variables)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate(timeout=20)
        server.client.close()


def gone(pid: int) -> bool:
    """Whether a process has ended; it is given some seconds to."""
    import psutil

    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False
