"""Fetching a network from a server on this machine that behaves well, badly, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import thin
from impasto.errors import WeightsError
from impasto.network.weights import fetching, known
from impasto.network.weights.fetching import fetch, obtain
from impasto.network.weights.known import CAFFE, KNOWN, cache_folder, status
from impasto.network.weights.loading import load

FILE = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"


class Handler(BaseHTTPRequestHandler):
    """One behaviour a path; the server counts requests."""

    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        getattr(self, self.path.strip("/").split("/")[0])()

    def log_message(self, *_: object) -> None:
        pass

    def start(self, size: int | None, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        if size is not None:
            self.send_header("Content-Length", str(size))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send(self, data: bytes, claimed: int | None = None) -> None:
        self.start(len(data) if claimed is None else claimed)
        self.wfile.write(data)

    def good(self) -> None:
        self.send(self.server.content)

    def slow(self) -> None:
        content = self.server.content
        self.start(len(content))
        for i in range(0, len(content), len(content) // 5):
            self.wfile.write(content[i : i + len(content) // 5])
            self.wfile.flush()
            self.server.stop.wait(0.1)

    def nothing(self) -> None:
        self.start(0, 404)

    def empty(self) -> None:
        self.send(b"")

    def wrong(self) -> None:
        self.send(bytes(len(self.server.content)))

    def short(self) -> None:
        self.send(self.server.content[:1000])

    def half(self) -> None:
        self.send(self.server.content[: len(self.server.content) // 2], len(self.server.content))

    def lying(self) -> None:
        self.send(self.server.content, len(self.server.content) - 7)

    def endless(self) -> None:
        self.start(None)
        while not self.server.stop.is_set():
            try:
                self.wfile.write(bytes(1 << 16))
            except OSError:
                return

    def drip(self) -> None:
        self.start(len(self.server.content))
        while not self.server.stop.wait(0.02):
            try:
                self.wfile.write(b"x")
                self.wfile.flush()
            except OSError:
                return

    def silent(self) -> None:
        self.server.stop.wait(20)

    def stalled(self) -> None:
        self.start(len(self.server.content))
        self.wfile.write(self.server.content[:1000])
        self.wfile.flush()
        self.server.stop.wait(20)

    def page(self) -> None:
        self.send(b"<!DOCTYPE html><html><body>Please log in</body></html>")

    def once(self) -> None:
        """Breaks off the first time."""
        self.half() if self.server.requests.count(self.path) == 1 else self.good()

    def to_good(self) -> None:
        self.start(0, 302, Location="/good")

    def to_file(self) -> None:
        self.start(0, 302, Location="file:///etc/hostname")

    def to_http(self) -> None:
        self.start(0, 302, Location="http://example.invalid/vgg19.h5")

    def to_odd(self) -> None:
        self.start(0, 302, Location="http://[/")

    def to_itself(self) -> None:
        self.start(0, 302, Location="/to_itself")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.requests: list[str] = []
        self.stop = threading.Event()

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what half of these tests are about."""

    def offer(self, behaviour: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this server and behaviour the place where vgg19 comes from."""
        self.url = f"http://127.0.0.1:{self.server_port}/{behaviour}/{FILE}"
        entry = replace(
            KNOWN["vgg19"],
            url=self.url,
            size=len(self.content),
            checksum="md5:" + hashlib.md5(self.content).hexdigest(),
        )
        monkeypatch.setitem(KNOWN, "vgg19", entry)


@pytest.fixture(scope="session")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("server") / FILE
    thin.write_keras(path, thin.network())
    return path.read_bytes()


@pytest.fixture
def server(content: bytes) -> Iterator[Server]:
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.stop.set()
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of this test's own, no pauses, no proxy, no Keras."""
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("IMPASTO_OFFLINE", raising=False)
    monkeypatch.setattr("pooch.core.time.sleep", lambda _seconds: None)
    return tmp_path / "cache"


def refusal(net: str = "vgg19") -> str:
    with pytest.raises(WeightsError) as caught:
        fetch(net)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


# --- a server that behaves --------------------------------------------------------------------------------------------


def test_fetched_once_and_read(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    server.offer("good", monkeypatch)
    seen: list[tuple[int, int]] = []
    path = fetch("vgg19", lambda done, total: seen.append((done, total)))
    assert path == cache / FILE
    assert path.read_bytes() == server.content
    assert path.stat().st_mode & 0o777 == 0o644
    assert seen == sorted(seen)
    assert seen[-1] == (len(server.content), len(server.content))
    assert fetch() == path
    weights = load("vgg19")
    assert (weights.name, weights.last, weights.notices) == ("vgg19", "conv5_4", ())
    assert weights.preprocessing == CAFFE
    assert len(server.requests) == 1
    assert [file.name for file in cache.iterdir()] == [FILE]
    assert capfd.readouterr() == ("", "")


def test_redirect_is_followed_and_a_broken_start_repeated(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.offer("to_good", monkeypatch)
    assert fetch().read_bytes() == server.content
    (cache / FILE).unlink()
    server.requests.clear()
    server.offer("once", monkeypatch)
    assert fetch().read_bytes() == server.content
    assert len(server.requests) == 2


@pytest.mark.parametrize("damage", ["other bytes", "cut"])
def test_damaged_cache_is_reported_and_fetched_again_once(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    server.offer("good", monkeypatch)
    cache.mkdir()
    changed = bytes([server.content[0] ^ 1]) + server.content[1:]
    (cache / FILE).write_bytes(changed if damage == "other bytes" else server.content[:100])
    assert [(row.path, row.verified) for row in status() if row.name == "vgg19"] == [(cache / FILE, False)]
    (notice,) = load("vgg19").notices
    said = "md5 checksum" if damage == "other bytes" else f"has 100 bytes, not {len(server.content)}"
    assert said in notice
    assert notice.endswith(f"and was not used; {cache / FILE} was fetched")
    assert (cache / FILE).read_bytes() == server.content
    assert len(server.requests) == 1


def test_damaged_cache_is_never_used(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.offer("wrong", monkeypatch)
    cache.mkdir()
    (cache / FILE).write_bytes(b"damaged")
    message = refusal()
    assert f"{cache / FILE} has 7 bytes" in message
    assert "wrong size or checksum" in message
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    message = refusal()
    assert f"{cache / FILE} has 7 bytes" in message
    assert "IMPASTO_OFFLINE is set" in message
    assert [file.name for file in cache.iterdir()] == [FILE]


def test_the_file_of_keras_is_used_where_it_lies(
    server: Server, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.offer("good", monkeypatch)
    theirs = tmp_path / "keras" / "models" / FILE
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(server.content)
    assert fetch() == theirs
    assert not cache.exists()
    assert server.requests == []
    theirs.write_bytes(b"damaged")
    path, notices = obtain("vgg19")
    assert path == cache / FILE
    assert str(theirs) in notices[0]


# --- a server that does not -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "said", "asked"),
    [
        ("nothing", "the server answers 404", 3),
        ("empty", "wrong size or checksum", 3),
        ("wrong", "wrong size or checksum", 3),
        ("short", "wrong size or checksum", 3),
        ("lying", "wrong size or checksum", 3),
        ("page", "wrong size or checksum", 3),
        ("endless", "wrong size or checksum", 3),
        ("half", "broke off", 3),
        ("to_file", "leads to file:///etc/hostname, which is not https", 1),
        ("to_http", "leads to http://example.invalid/vgg19.h5, which is not https", 1),
        ("to_odd", "leads to http://[/, which is not https", 1),
        ("to_itself", "misbehaves (TooManyRedirects)", 93),
    ],
)
def test_misbehaving_server(
    server: Server, monkeypatch: pytest.MonkeyPatch, behaviour: str, said: str, asked: int
) -> None:
    server.offer(behaviour, monkeypatch)
    message = refusal()
    assert said in message
    assert FILE in message
    assert "again later" in message
    assert len(server.requests) == asked
    assert list(cache_folder().iterdir()) == []


@pytest.mark.parametrize("behaviour", ["drip", "silent", "stalled"])
def test_slow_server_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch, behaviour: str) -> None:
    server.offer(behaviour, monkeypatch)
    monkeypatch.setattr(fetching, "PATIENCE", 0.2)
    monkeypatch.setattr(fetching, "TIMEOUT", (0.3, 0.3))
    start = time.monotonic()
    message = refusal()
    assert "the server is too slow" in message
    assert f"put the file from {server.url} at" in message
    assert time.monotonic() - start < 15


def test_no_server(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.offer("good", monkeypatch)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/{FILE}"
        monkeypatch.setitem(KNOWN, "vgg19", replace(KNOWN["vgg19"], url=url))
        message = refusal()
    assert "there is no connection" in message
    assert str(cache / FILE) in message


def test_plain_http_elsewhere_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KNOWN, "vgg19", replace(KNOWN["vgg19"], url="http://example.invalid/vgg19.h5"))
    no_sockets(monkeypatch)
    assert "which is not https" in refusal()


# --- no network, no folder --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1", "true", "Yes", "on"])
def test_offline_opens_no_socket(cache: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("IMPASTO_OFFLINE", value)
    no_sockets(monkeypatch)
    message = refusal()
    assert KNOWN["vgg19"].url in message
    assert str(cache / FILE) in message
    assert not cache.exists()


def test_offline_with_the_file(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.offer("good", monkeypatch)
    cache.mkdir()
    (cache / FILE).write_bytes(server.content)
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    no_sockets(monkeypatch)
    assert load("lite").name == "lite"
    assert load("vgg19").last == "conv5_4"


@pytest.mark.parametrize("value", ["0", "false", ""])
def test_not_offline(server: Server, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    server.offer("good", monkeypatch)
    monkeypatch.setenv("IMPASTO_OFFLINE", value)
    assert fetch().read_bytes() == server.content


def test_cache_that_cannot_be_made(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.offer("good", monkeypatch)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path / "file" / "cache"))
    message = refusal()
    assert f"cannot write {tmp_path / 'file' / 'cache' / FILE} (Not a directory); set IMPASTO_CACHE" in message
    assert f"put the file from {server.url} at" in message


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_cache_that_cannot_be_written(
    server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise OSError(number, os.strerror(number))

    server.offer("good", monkeypatch)
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    message = refusal()
    assert f"({os.strerror(number)})" in message
    assert str(cache / FILE) in message
    assert server.requests == []


def test_folder_in_the_place_of_the_file(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.offer("good", monkeypatch)
    (cache / FILE).mkdir(parents=True)
    message = refusal()
    assert "is no file and was not used" in message
    assert "Is a directory" in message


def test_no_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def nobody(_number: int) -> None:
        raise KeyError("no such user")

    for name in ("HOME", "XDG_CACHE_HOME", "IMPASTO_CACHE", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    no_sockets(monkeypatch)
    assert "set IMPASTO_CACHE to a folder" in refusal()
    assert [row.path is None for row in status()] == [False, True]
    monkeypatch.setenv("IMPASTO_CACHE", "here")
    assert cache_folder() == Path.cwd() / "here"


def test_status(cache: Path) -> None:
    lite, vgg19 = status()
    assert (lite.name, lite.verified, lite.path) == ("lite", True, known.places(KNOWN["lite"])[0])
    assert (vgg19.name, vgg19.verified, vgg19.path) == ("vgg19", False, None)
    assert vgg19.size == 80_134_624
    assert vgg19.url.startswith("https://")
    assert not cache.exists()


def test_unknown_name() -> None:
    assert refusal("vgg91") == "no network 'vgg91' is known; did you mean vgg19?"
    assert fetch("lite").is_file()


# --- several at once --------------------------------------------------------------------------------------------------

CHILD = """
import sys
from dataclasses import replace
from impasto.network.weights.fetching import fetch
from impasto.network.weights.known import KNOWN
url, size, checksum = sys.argv[1:]
KNOWN["vgg19"] = replace(KNOWN["vgg19"], url=url, size=int(size), checksum=checksum)
print(fetch())
"""


def start_children(count: int) -> list[subprocess.Popen[str]]:
    entry = KNOWN["vgg19"]
    command = [sys.executable, "-c", CHILD, entry.url, str(entry.size), entry.checksum]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(count)]


def test_eight_at_first_use(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.offer("slow", monkeypatch)
    for child in start_children(8):
        out, err = child.communicate(timeout=600)
        assert (out.strip(), err, child.returncode) == (str(cache / FILE), "", 0)
    assert (cache / FILE).read_bytes() == server.content
    assert [file.name for file in cache.iterdir()] == [FILE]


def test_one_is_killed(server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.offer("drip", monkeypatch)
    (victim,) = start_children(1)
    deadline = time.monotonic() + 30
    while not (left := list(cache.glob(f"{fetching.PARTIAL}*/*"))) and time.monotonic() < deadline:
        server.stop.wait(0.02)
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=300)
    assert len(left) == 1
    server.offer("good", monkeypatch)
    assert fetch().read_bytes() == server.content
    assert len(list(cache.iterdir())) == 2  # it may still belong to someone
    os.utime(left[0].parent, (0, 0))
    (cache / FILE).unlink()
    assert fetch().read_bytes() == server.content
    assert [file.name for file in cache.iterdir()] == [FILE]
