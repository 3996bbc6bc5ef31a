"""Who may come in and with what: each of these is a way in that is closed."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psutil
import pytest
from studio import Server, Studio, inside, png

import hostile
import impasto
from impasto.errors import OptionError
from impasto.web import incoming, safety
from impasto.web import studio as studio_module


def raw(server: Studio, head: bytes, *pieces: bytes) -> bytes:
    """The answer to a request as it is typed, up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one:
        answer = b""
        with suppress(OSError):  # it may have closed already
            for piece in (head, *pieces):
                one.sendall(piece)
        with suppress(OSError):
            while part := one.recv(65536):
                answer += part
        return answer


@pytest.fixture
def outside(server: Studio) -> Iterator[httpx.Client]:
    """Somebody without cookie and token."""
    with server.new_client() as client:
        yield client


ROUTES = [
    ("GET", "/"),
    ("GET", "/static/index.html"),
    ("GET", "/api/schema"),
    ("GET", "/api/events"),
    ("GET", "/api/jobs"),
    ("GET", "/api/openapi.json"),
    ("POST", "/api/jobs"),
    ("PUT", "/api/pictures"),
    ("DELETE", "/api/pictures/0"),
    ("OPTIONS", "/api/jobs"),
    ("GET", "/docs"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_nobody_comes_in_without_being_let_in(outside: httpx.Client, method: str, path: str) -> None:
    answer = outside.request(method, path)
    assert answer.status_code == 401
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("token", ["x", "é", "%00", "Bearer"])
def test_another_token_lets_nobody_in(outside: httpx.Client, token: str) -> None:
    assert outside.get("/", params={"token": token}).status_code == 401
    assert outside.get("/api/jobs", headers={"authorization": f"Bearer {token}".encode()}).status_code == 401
    assert outside.get("/api/jobs", headers={"cookie": f"impasto={token}".encode()}).status_code == 401


def test_tokens_are_compared_in_constant_time() -> None:
    source = Path(safety.__file__).read_text(encoding="utf-8")
    assert "hmac.compare_digest" in source
    assert not re.search(r"(token|cookie|password)\)? ==|== (self\.)?(token|cookie|password)", source)


def test_the_printed_address_gives_a_strict_cookie_that_only_the_browser_sees(server: Studio) -> None:
    with server.new_client() as browser:
        answer = browser.get("/", params={"token": server.token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert server.token not in cookie
        assert browser.get("/api/jobs").status_code == 200
    page = httpx.get(server.base, headers={"accept": "text/html"}, trust_env=False)
    assert page.status_code == 401
    assert "impasto web" in page.text


HOSTS = ["evil.example", "evil.example:PORT", "127.0.0.1.evil.example:PORT", "127.0.0.1:1", "", "[::1"]
CLOSE = "Connection: close"


@pytest.mark.parametrize("host", HOSTS)
def test_a_name_that_others_gave_to_this_machine_is_refused(server: Studio, host: str) -> None:
    answer = raw(server, server.head("GET /api/jobs", CLOSE, host=host))
    assert answer.startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_this_machine_has_these_names(server: Studio, host: str) -> None:
    answer = raw(server, server.head("GET /api/jobs", CLOSE, host=f"{host}:PORT"))
    assert answer.startswith(b"HTTP/1.1 200")


FOREIGN = [
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "http://localhost"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_other_sites_change_nothing(server: Studio, headers: dict[str, str]) -> None:
    body = server.body()
    before = server.client.get("/api/jobs").json()
    for method, path in (
        ("POST", "/api/jobs"),
        ("PUT", "/api/pictures"),
        ("DELETE", f"/api/pictures/{body['content']}"),
    ):
        answer = server.client.request(method, path, headers=headers, json=body if method == "POST" else None)
        assert answer.status_code == 403, (method, path)
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert server.client.get("/api/jobs").json() == before


def test_our_own_page_may(server: Studio) -> None:
    own = {"origin": server.base, "sec-fetch-site": "same-origin"}
    assert server.client.post("/api/estimate", json=server.body(), headers=own).status_code == 200


def test_reading_changes_nothing(server: Studio) -> None:
    job = server.paint()
    before = server.client.get("/api/jobs").json()
    for path in (f"/api/jobs/{job['id']}/stop", f"/api/jobs/{job['id']}/continue", "/api/sweeps", "/api/estimate"):
        assert server.client.get(path).status_code in (404, 405)
    assert server.client.get("/api/jobs").json() == before


@pytest.mark.parametrize("path", ["/", "/api/jobs", "/static/none.js", "/nothing", "/api/jobs/0"])
def test_every_answer_is_guarded(server: Studio, path: str) -> None:
    for client in (server.client, None):
        answer = (client or httpx).get(
            path if client else server.base + path, **({} if client else {"trust_env": False})
        )
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


TRAVERSALS = [
    "../app.py",
    "..%2fapp.py",
    "%2e%2e/app.py",
    "%252e%252e%252fapp.py",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "C:%5Cwindows%5Cwin.ini",
    "%5C%5Chost%5Cshare",
    "/windows/win.ini",
    "index.html%00.js",
    "%00",
    ".",
    "",
    "a" * 5000,
]


@pytest.mark.parametrize("name", TRAVERSALS)
def test_no_name_leads_out_of_the_folder(server: Studio, name: str) -> None:
    secret = server.folder / "canary.txt"
    secret.write_text("canary")
    jobs = ["/api/jobs/{}/preview", "/api/jobs/{}/picture", "/api/jobs/{}"]
    for place in ("/static/{}", "/api/pictures/{}/thumbnail", *jobs):
        for one in (name, name.replace("app.py", "canary.txt"), name.replace("app.py", "cookie")):
            answer = raw(server, server.head(f"GET {place.format(one)}", CLOSE))
            status = int(answer.split()[1])
            listed = b'"id"' in answer  # /api/jobs/ and the like are the lists
            assert status in (400, 404, 405, 307) or (status == 200 and listed), answer[:200]
            assert b"canary" not in answer.partition(b"\r\n\r\n")[2]
            assert b"root:" not in answer


def test_ids_are_128_random_bits(server: Studio) -> None:
    job = server.paint()
    assert re.fullmatch(r"[0-9a-f]{32}", str(job["id"]))
    other = f"{int(str(job['id']), 16) ^ 1:032x}"
    assert server.client.get(f"/api/jobs/{other}").status_code == 404
    assert server.client.get(f"/api/jobs/{str(job['id']).upper()}").status_code in (200, 404)


PUT, POST = "PUT /api/pictures", "POST /api/jobs"
PNG, CHUNKED = "Content-Type: image/png", "Transfer-Encoding: chunked"
MEBIBYTE = b"x" * 2**20


def test_what_is_too_long_is_refused_before_it_is_here(apart: Server) -> None:
    memory = psutil.Process(apart.process.pid)
    before = memory.memory_info().rss
    said = raw(apart, apart.head(PUT, PNG, f"Content-Length: {incoming.MOST_BYTES + 1}"), MEBIBYTE)
    assert said.startswith(b"HTTP/1.1 413")
    assert b"too large" in said
    assert b"connection: close" in said.lower()
    json = "Content-Type: application/json"
    assert raw(apart, apart.head(POST, json, "Content-Length: 99999999"), *[MEBIBYTE] * 3).startswith(b"HTTP/1.1 413")
    chunk = b"100000\r\n" + MEBIBYTE + b"\r\n"
    assert raw(apart, apart.head(POST, json, CHUNKED), *[chunk] * 3).startswith(b"HTTP/1.1 413")
    lying = raw(apart, apart.head(PUT, PNG, "Content-Length: 10"), b"x" * 5000)
    assert lying.startswith(b"HTTP/1.1 415")
    assert memory.memory_info().rss - before < 30 * 2**20
    assert not list((apart.folder / "arriving").iterdir())


@pytest.fixture
def bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    """A server whose limits are small, so that a test need not send half a gigabyte."""
    for module, name, value in (
        (incoming, "MOST_BYTES", 2**20),
        (incoming, "PATIENCE", 1.0),
        (safety, "PATIENCE", 1.0),
        (studio_module, "MOST", 3),
    ):
        monkeypatch.setattr(module, name, value)
    with inside(tmp_path / "studio") as found:
        yield found


def test_chunks_are_counted_and_slow_bodies_are_not_waited_for(bounded: Studio) -> None:
    chunk = b"40000\r\n" + b"x" * 2**18 + b"\r\n"
    assert raw(bounded, bounded.head(PUT, PNG, CHUNKED), *[chunk] * 8).startswith(b"HTTP/1.1 413")
    begun = time.monotonic()
    assert raw(bounded, bounded.head(PUT, PNG, "Content-Length: 1000"), b"x").startswith(b"HTTP/1.1 408")
    assert raw(bounded, bounded.head(POST, "Content-Length: 1000"), b"{").startswith(b"HTTP/1.1 408")
    assert time.monotonic() - begun < 20
    with socket.create_connection(("127.0.0.1", bounded.port)) as one:  # gone in the middle
        one.sendall(bounded.head(PUT, PNG, "Content-Length: 9") + b"x")
    until = time.monotonic() + 10
    while list((bounded.folder / "arriving").iterdir()):
        assert time.monotonic() < until
        time.sleep(0.05)


def test_no_more_than_so_many_jobs_wait(bounded: Studio) -> None:
    body = bounded.body(size=96, iterations=[20_000], optimizer="adam")
    bounded.wait(bounded.begin(body)["id"], "running")
    answers = [bounded.client.post("/api/jobs", json=body) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    sweep = bounded.client.post("/api/sweeps", json={"job": body, "vary": {"seed": [1, 2]}})
    assert sweep.status_code == 429


POLYGLOT = png() + b"<script>alert(1)</script>"
NO_PICTURES = [
    ("text/html", b"<html>", 415),
    ("image/svg+xml", b"<svg/>", 415),
    ("application/zip", b"PK\3\4", 415),
    ("multipart/form-data", b"--x", 415),
    ("image/png", b"<html><script>alert(1)</script></html>", 415),
    ("image/png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415),
    ("application/octet-stream", b"PK\3\4" + b"\0" * 100, 415),
    ("image/png", b"", 400),
]


@pytest.mark.parametrize(("kind", "data", "status"), NO_PICTURES, ids=str)
def test_only_pictures_are_taken_in(server: Studio, kind: str, data: bytes, status: int) -> None:
    before = server.client.get("/api/pictures").json()
    answer = server.put(data, **{"content-type": kind})
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert server.client.get("/api/pictures").json() == before
    assert not list((server.folder / "arriving").iterdir())


def test_a_picture_that_is_something_else_too_comes_out_as_a_picture_only(server: Studio) -> None:
    key = server.put(POLYGLOT).json()["id"]
    for path in ("thumbnail", "view"):
        answer = server.client.get(f"/api/pictures/{key}/{path}")
        assert answer.headers["content-type"] == "image/webp"
        assert b"script" not in answer.content
    assert server.client.get(f"/api/pictures/{key}/original").status_code == 404


def test_bombs_cost_one_answer(server: Studio) -> None:
    for bomb in (hostile.png_bomb(), hostile.bmp_bomb(), hostile.gif_frame_bomb(), hostile.png_text_bomb()):
        assert server.put(bomb).status_code in (201, 415)
    assert server.client.get("/api/status").json()["processes"]["reader"]


NAMES = [
    "<img src=x onerror=alert(1)>.png",
    "a\nb\x1b[2J.png",
    "../../etc/passwd",
    "C:\\x\\y.png",
    "\0",
    "é" * 300,
    "日本.jpg",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_text(server: Studio, name: str) -> None:
    key = server.put(png(7), name).json()["id"]
    (found,) = [one for one in server.client.get("/api/pictures").json() if one["id"] == key]
    assert found["name"].isprintable()
    assert "/" not in found["name"]
    assert "\\x\\y" not in found["name"]
    assert len(found["name"]) <= 200
    listing = server.client.get("/api/pictures")
    assert listing.headers["content-type"] == "application/json"
    assert {path.name for path in (server.folder / "pictures" / key).iterdir()} <= {
        "about.json",
        "original",
        "original.png",
        "original.jpg",
        "thumbnail.webp",
        "view-1024.webp",
    }


@pytest.mark.parametrize("name", [b"%ff%fe", b"\xff\xfe", b"%", b"%00%00", b"a" * 3000])
def test_odd_names_in_the_header(server: Studio, name: bytes) -> None:
    answer = server.client.put(
        "/api/pictures", content=png(8), headers={b"x-name": name, b"content-type": b"image/png"}
    )
    assert answer.status_code == 201


def test_it_listens_to_this_machine_alone(apart: Server) -> None:
    listening = {one.laddr.ip for one in psutil.Process(apart.process.pid).net_connections() if one.status == "LISTEN"}
    assert listening == {"127.0.0.1"}


def test_it_speaks_to_nobody(apart: Server) -> None:
    """No process of it has a connection to anywhere else."""
    apart.paint()
    own = psutil.Process(apart.process.pid)
    for process in (own, *own.children(recursive=True)):
        for one in process.net_connections():
            assert not one.raddr or one.raddr.ip == "127.0.0.1"


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    around = {**os.environ, "PYTHONPATH": str(Path(impasto.__file__).parents[1]), **variables}
    return subprocess.run(
        [sys.executable, "-m", "impasto", "web", "--no-open", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=around,
        timeout=60,
    )


@pytest.mark.parametrize("password", ["", "short"])
def test_others_in_the_network_need_a_password(tmp_path: Path, password: str) -> None:
    done = command("--host", "0.0.0.0", "--folder", str(tmp_path), IMPASTO_PASSWORD=password)
    assert done.returncode == 2
    assert "IMPASTO_PASSWORD" in done.stderr
    assert "others in the network could come in" in done.stderr


def test_with_a_password_others_come_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_PASSWORD", "a long password")
    with inside(tmp_path, "0.0.0.0") as server:
        assert "sees all pictures" in server.notes[0]
        with server.new_client(accept="text/html") as other:
            page = other.get("/")
            assert page.status_code == 401
            assert 'type="password"' in page.text
            wrong = other.post("/login", content=urlencode({"password": "a wrong password"}))
            assert (wrong.status_code, wrong.elapsed.total_seconds() > 0.9) == (401, True)
            assert other.get("/api/jobs").status_code == 401
            right = other.post("/login", content=urlencode({"password": "a long password"}))
            assert right.status_code == 303
            assert other.get("/api/jobs").status_code == 200
        for host, status in (("evil.example", b"403"), ("192.168.0.7", b"200")):
            answer = raw(server, server.head("GET /api/jobs", CLOSE, host=f"{host}:PORT"))
            assert answer.startswith(b"HTTP/1.1 " + status)


def test_the_command_opens_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from impasto.cli import web as command_of
    from impasto.web import server as module

    opened, told = list[str](), list[tuple[object, ...]]()

    def serve(host: str, port: int, folder: Path, memory: float, tell: Callable[[str, list[str]], object]) -> None:
        told.append((host, port, folder, memory))
        tell("http://127.0.0.1:1/?token=x", ["a note"])

    monkeypatch.setattr(module, "serve", serve)
    monkeypatch.setattr("webbrowser.open", opened.append)
    command_of.web(folder=tmp_path, max_memory=2.0)
    command_of.web(no_open=True)
    until = time.monotonic() + 5
    while not opened and time.monotonic() < until:
        time.sleep(0.01)
    assert opened == ["http://127.0.0.1:1/?token=x"]
    assert told == [("127.0.0.1", 0, tmp_path, 2.0), ("127.0.0.1", 0, None, 0.0)]
    out, err = capsys.readouterr()
    assert out == "http://127.0.0.1:1/?token=x\n" * 2
    assert "note: a note" in err
    for wrong in ({"port": 99_999}, {"max_memory": -1.0}):
        with pytest.raises(OptionError):
            command_of.web(**wrong)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "99999"], "--port: 99999 is no port"),
        (["--host", "no.such.host.invalid"], "others in the network"),
        (["--max-memory", "-1"], "--max-memory"),
    ],
)
def test_wrong_options_are_said_in_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = command(*arguments, "--folder", str(tmp_path))
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_port_that_is_taken_and_a_folder_that_is_a_file(server: Studio, tmp_path: Path) -> None:
    taken = command("--port", str(server.port), "--folder", str(tmp_path / "a"))
    assert (taken.returncode, "choose another port" in taken.stderr) == (2, True)
    (tmp_path / "file").write_text("")
    done = command("--folder", str(tmp_path / "file"))
    assert (done.returncode, "choose another --folder" in done.stderr) == (6, True)


def test_without_the_extra_it_says_the_command(tmp_path: Path) -> None:
    for name in ("fastapi", "uvicorn"):
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name='{name}')")
    source = str(Path(impasto.__file__).parents[1])
    done = command("--folder", str(tmp_path / "x"), PYTHONPATH=os.pathsep.join([str(tmp_path), source]))
    assert done.returncode == 2
    assert "pip install 'impasto[web]'" in done.stderr
    assert not (tmp_path / "x").exists()


def test_a_request_that_is_none_is_refused(server: Studio) -> None:
    assert raw(server, b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert raw(server, server.head("GET /api/jobs", "x-long: " + "a" * 200_000)).startswith(b"HTTP/1.1 400")
    assert server.client.get("/api/jobs").status_code == 200
