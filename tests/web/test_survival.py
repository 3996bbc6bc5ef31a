"""What a server outlives: its processes killed, itself killed, pages that never read, folders that are not whole."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from studio import Server, gone, inside, png, served

LONG = {"size": 96, "iterations": [20_000], "levels": 1, "optimizer": "adam"}
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX"),
    # A connection to a server that was killed may be found open by the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_a_killed_painter_fails_its_job_and_the_next_is_painted(tmp_path: Path) -> None:
    with inside(tmp_path) as server:
        first = server.begin(server.body(**LONG))["id"]
        second = server.begin(server.body())["id"]
        server.wait(first, "running", step=1)
        os.kill(server.processes()["auto"], signal.SIGKILL)
        failed = server.wait(first)
        assert failed["state"] == "failed"
        assert "signal 9" in str(failed["error"])
        assert "\n" not in str(failed["error"])
        assert server.wait(second)["state"] == "done"
        server.client.post(f"/api/jobs/{first}/continue")  # what failed may be tried again
        server.wait(first, "running", preview=int(str(failed["preview"])) + 1)
        server.client.post(f"/api/jobs/{first}/stop")
        stopped = server.wait(first, "stopped")
        assert stopped["error"] is None
        assert server.pixels(stopped).shape == (72, 96, 3)


def test_a_killed_reader_costs_one_picture_at_most(tmp_path: Path) -> None:
    with inside(tmp_path) as server:
        server.picture(1)
        os.kill(server.processes()["reader"], signal.SIGKILL)
        answers = [server.put(b"", "empty.png").status_code, server.put(b"no picture").status_code]
        assert answers == [400, 415]
        server.picture(2)


def test_a_killed_server_leaves_no_process_and_goes_on_when_it_comes_again(tmp_path: Path) -> None:
    recipe = {"size": 96, "iterations": [400], "levels": 1, "optimizer": "adam"}
    with served(tmp_path) as server:
        done = server.paint()
        stopped = server.begin(server.body(**LONG))["id"]
        server.wait(stopped, "running", step=2)
        server.client.post(f"/api/jobs/{stopped}/stop")
        server.wait(stopped, "stopped")
        running = server.begin(server.body(**recipe))["id"]
        waiting = server.begin(server.body(seed=5))["id"]
        server.wait(running, "running", step=2)
        processes = server.processes()
        cookie = (tmp_path / "cookie").read_text()
        server.end(signal.SIGKILL)
        assert all(gone(pid) for pid in processes.values())
    (tmp_path / "arriving" / "half").mkdir()
    with served(tmp_path) as server:
        assert not list((tmp_path / "arriving").iterdir())
        assert len(server.client.get("/api/pictures").json()) == 2
        assert server.job(done["id"]) == done
        assert server.job(stopped)["state"] == "stopped"
        assert server.job(running)["state"] in ("queued", "running")
        with server.new_client(cookie=f"impasto-{server.port}={cookie}") as again:
            assert again.get("/api/jobs").status_code == 200, "a page that was open is still let in"
        assert server.wait(running)["state"] == "done"
        assert server.wait(waiting)["state"] == "done"
        server.client.post(f"/api/jobs/{stopped}/continue")
        assert server.wait(stopped, "running", step=3)
        assert server.end() < 3


def test_a_job_that_ends_the_server_twice_is_not_begun_a_third_time(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        key = server.begin(server.body(**LONG))["id"]
        server.wait(key, "running")
        server.end(signal.SIGKILL)
    with served(tmp_path) as server:
        server.wait(key, "running")
        server.end(signal.SIGKILL)
    with served(tmp_path) as server:
        job = server.job(key)
        assert job["state"] == "failed"
        assert "smaller size" in str(job["error"])
        server.client.post(f"/api/jobs/{key}/continue")
        server.wait(key, "running")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_within_three_seconds_with_a_page_open_and_a_job_in_work(tmp_path: Path, number: int) -> None:
    with served(tmp_path) as server:
        key = server.begin(server.body(**{**LONG, "size": 256}))["id"]
        server.wait(key, "running", step=1)
        with socket.create_connection(("127.0.0.1", server.port)) as listener:
            listener.sendall(server.head("GET /api/events"))
            assert b"200 OK" in listener.recv(4096)
            processes = server.processes()
            assert server.end(number) < 3
        assert server.process.returncode == 0
        assert all(gone(pid) for pid in processes.values())
    assert json.loads((tmp_path / "jobs" / str(key) / "job.json").read_text())["attempts"] == 0


def test_a_stream_that_nobody_reads_costs_nothing(tmp_path: Path) -> None:
    with served(tmp_path) as server:
        listeners = []
        for _ in range(8):
            one = socket.socket()
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            one.connect(("127.0.0.1", server.port))
            one.sendall(server.head("GET /api/events"))
            listeners.append(one)
        for seed in range(3):
            assert server.paint(seed=seed, iterations=[20])["state"] == "done"
        assert server.client.get("/api/schema").elapsed.total_seconds() < 2
        for one in listeners:
            one.close()


def test_a_folder_has_one_server(tmp_path: Path) -> None:
    with served(tmp_path), pytest.raises(AssertionError, match="another impasto web uses it"):
        Server(tmp_path)
    with served(tmp_path):
        pass


def test_what_is_damaged_is_left_alone_and_the_rest_is_there(tmp_path: Path) -> None:
    with inside(tmp_path) as server:
        done, other = server.paint(), server.paint(seed=1)
    (tmp_path / "jobs" / str(other["id"]) / "job.json").write_bytes(b'{"id": ')
    (tmp_path / "jobs" / ("0" * 32)).mkdir()
    (tmp_path / "jobs" / ("0" * 32) / "job.json").write_text('{"id": 3, "state": []}')
    (tmp_path / "jobs" / "not ours").mkdir()
    (tmp_path / "sweeps" / "x.json").write_text("[")
    secret = tmp_path / "secret.txt"
    secret.write_text("canary")
    picture = next((tmp_path / "pictures").iterdir())
    (picture / "thumbnail.webp").unlink()
    (picture / "thumbnail.webp").symlink_to(secret)
    with inside(tmp_path) as server:
        assert [job["id"] for job in server.client.get("/api/jobs").json()] == [done["id"]]
        answer = server.client.get(f"/api/pictures/{picture.name}/thumbnail")
        assert b"canary" not in answer.content
        assert np.array_equal(server.pixels(done).shape, (48, 64, 3))


def test_a_full_disk_is_said_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with inside(tmp_path) as server:
        body = server.body(**LONG)
        first = server.begin(body)["id"]
        server.wait(first, "running", step=1)
        before = len(server.client.get("/api/jobs").json())
        with monkeypatch.context() as disk:
            disk.setattr("impasto.files._fill", full)
            answer = server.client.post("/api/jobs", json=body)
            assert (answer.status_code, "No space" in answer.json()["error"]) == (507, True)
            assert len(server.client.get("/api/jobs").json()) == before
            server.client.post(f"/api/jobs/{first}/stop")
            stopped = server.wait(first, "stopped")
            assert "could not be written down" in " ".join(stopped["notices"])
            disk.setattr("pathlib.Path.mkdir", full)
            assert server.put(png(9)).status_code == 507
        assert server.paint()["state"] == "done"


def test_memory_of_the_server_is_flat(apart: Server) -> None:
    """Uploads, jobs and pages come and go; what is left is their rows."""
    process = psutil.Process(apart.process.pid)
    apart.paint()
    before = process.memory_info().rss
    for seed in range(20):
        apart.picture(100 + seed, (480, 640))
        apart.client.get("/api/jobs")
    assert process.memory_info().rss - before < 30 * 2**20
