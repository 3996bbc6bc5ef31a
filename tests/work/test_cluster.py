"""Jobs on a real Ray of two workers on this machine, some of them killed; skipped where Ray is not installed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from impasto.__main__ import main
from impasto.cli import app as cli
from impasto.cli.console import Console
from impasto.errors import OptionError, RunError
from impasto.files import Blob
from impasto.recipe import Recipe
from impasto.work import cluster, jobs
from impasto.work.job import Job
from impasto.work.jobs import Entry
from many import child, draw, entries, wait_for

ray = pytest.importorskip("ray")

QUICK = Recipe(size=24, iterations=2, levels=1)
LONGER = Recipe(size=48, iterations=16, levels=1)
FLAGS = ("--style", "one.png", "--out", "out", "--size", "24", "--iterations", "2", "--levels", "1")


@pytest.fixture(scope="module")
def two_workers() -> Iterator[str]:
    """A Ray of two CPUs that this process is connected to; its address."""
    for name, value in cluster.SETTINGS.items():
        os.environ.setdefault(name, value)
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def three(gallery: Path) -> list[Job]:
    for number in range(3):
        draw(gallery / f"{number}.png", number)
    return [Job(f"{number}.png", ("one.png",), QUICK, f"{number}") for number in range(3)]


def run(three: Sequence[Job], out: str = "out", **options: Any) -> list[Entry]:
    with cluster.start() as carry:
        return jobs.run(three, Path(out), carry=carry, tell=Console().tell, **options)


def workers() -> list[int]:
    """Process ids of the workers of our Ray that have a job in hand."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if process.cmdline()[:1] == ["ray::work"]:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


class Killer(threading.Thread):
    """Kills, with SIGKILL, the first workers that have a job in hand."""

    def __init__(self, times: int) -> None:
        super().__init__(daemon=True)
        self.times = times
        self.killed: list[int] = []

    def run(self) -> None:
        deadline = time.monotonic() + 600
        while len(self.killed) < self.times and time.monotonic() < deadline:
            for process in set(workers()) - set(self.killed):
                os.kill(process, signal.SIGKILL)
                self.killed.append(process)
                break
            time.sleep(0.02)


def test_the_results_are_those_of_this_process(three: list[Job], two_workers: str, thin_path: str) -> None:
    Path("net.safetensors").write_bytes(Path(thin_path).read_bytes())
    recipe = QUICK.replace(net="net.safetensors", init="two.png")
    four = [*three, Job("0.png", ("one.png", "two.png"), recipe, "both")]
    there = run(four, extras=True)
    here = jobs.run(four, Path("here"), extras=True, tell=Console().tell)
    assert [entry.status for entry in there] == ["done"] * 4, [entry.failure for entry in there]
    for one, other in zip(there, here, strict=True):
        assert one.file is not None
        assert other.file is not None
        assert one.file.read_bytes() == other.file.read_bytes()
        assert one.file.with_suffix(".toml").read_bytes() == other.file.with_suffix(".toml").read_bytes()
        assert one.losses == other.losses


def test_a_killed_worker_s_job_is_done_again(
    three: list[Job], two_workers: str, capfd: pytest.CaptureFixture[str]
) -> None:
    longer = [Job(job.content, job.styles, LONGER, job.place) for job in three]
    killer = Killer(1)
    killer.start()
    found = run(longer)
    killer.join()
    assert len(killer.killed) == 1
    assert [entry.status for entry in found] == ["done"] * 3, [entry.failure for entry in found]
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "painting 3 pictures into out"
    assert sorted(line.split()[1] for line in lines[1:]) == ["painted"] * 3


def test_a_job_whose_worker_is_killed_twice_fails_in_its_place(
    three: list[Job], two_workers: str, capfd: pytest.CaptureFixture[str]
) -> None:
    killer = Killer(2)
    killer.start()
    entry = run([Job("0.png", ("one.png",), LONGER, "x")])[0]
    killer.join()
    assert len(killer.killed) == 2
    assert entry.status == "failed"
    assert entry.failure is not None
    assert entry.failure.message.startswith("0.png: the worker was killed, and once more when the job was tried")
    assert [entry.status for entry in run(three)] == ["done"] * 3
    assert "ray" not in capfd.readouterr().err.lower()


def test_an_address_of_a_running_ray_is_connected_to(photos: Path, two_workers: str) -> None:
    """Twelve photos, one of them corrupt, from another process."""
    with child("photos", *FLAGS, "--ray", two_workers, stdout=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=600)
    assert (process.returncode, out) == (5, "")
    lines = err.splitlines()
    assert lines[0] == "painting 12 pictures into out"
    assert sum(" painted out" in line for line in lines) == 11
    assert lines[-2:] == ["11 painted, 0 there already, 1 failed", lines[-1]]
    assert lines[-1].startswith("impasto: 1 of 12 pictures failed: content photos/deep/bad.jpg: cannot be decoded")
    assert len(lines) == 15
    assert len(list(Path("out").rglob("*.png"))) == 11


def test_jobs_that_no_one_carries_out_any_more_are_given_up(three: list[Job], two_workers: str) -> None:
    many = [Job(f"{n % 3}.png", ("one.png",), LONGER.replace(seed=n, init="noise"), f"{n}") for n in range(6)]
    with cluster.start() as carry:

        def interrupted(*given: Any) -> jobs.Answers:
            for count, answer in enumerate(carry(*given)):
                if count:
                    raise KeyboardInterrupt
                yield answer

        with pytest.raises(KeyboardInterrupt, match="1 of 6 pictures are finished"):
            jobs.run(many, Path("out"), carry=interrupted, tell=Console().tell)
    deadline = time.monotonic() + 300
    while workers():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(list(Path("out").glob("*.png"))) == 1


def test_ray_on_this_machine_killed_and_started_again(photos: Path) -> None:
    """Ray's processes end with ours, even if ours is killed; what was finished stays."""
    command = ("photos", "--style", "one.png", "--out", "out", "--size", "32", "--iterations", "12", "--levels", "1")
    out = Path("out")
    with child(*command, "--ray") as process:
        wait_for(lambda: sum("file" in entry for entry in entries(out)) >= 2, process)
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    _, alive = psutil.wait_procs([one for one in family if "Agent" not in one.name()], timeout=300)
    assert not alive
    for agent in family:  # they end by themselves too, but take a minute to see that they are alone
        with suppress(psutil.NoSuchProcess):
            agent.kill()
    done = {entry["file"]: (out / entry["file"]).stat().st_mtime_ns for entry in entries(out) if "file" in entry}
    assert 2 <= len(done) < 11
    with child(*command[:4], "out", *command[5:], "--ray", "local", stdout=subprocess.PIPE) as process:
        printed, err = process.communicate(timeout=600)
    assert (process.returncode, printed) == (5, "")
    assert f"{11 - len(done)} painted, {len(done)} there already, 1 failed" in err.splitlines()
    assert all(
        line.split()[0].rstrip(":") in {"painting", "impasto"} or line[0].isdigit() for line in err.splitlines()
    ), err
    assert {name: (out / name).stat().st_mtime_ns for name in done} == done


def test_an_interrupt_ends_ray_too(photos: Path) -> None:
    command = ("photos", "--style", "one.png", "--out", "out", "--size", "32", "--iterations", "16", "--levels", "1")
    with child(
        *command, "--ray", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    ) as process:
        wait_for(lambda: bool(entries(Path("out"))), process)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(600) == cli.INTERRUPTED
        assert process.stderr is not None
        last = process.stderr.read().splitlines()[-1]
    assert last.startswith("impasto: interrupted; ")
    assert not psutil.wait_procs(family, timeout=300)[1]


def test_what_no_machine_has_is_refused(gallery: Path, two_workers: str) -> None:
    for wish, text in (
        ({"cpus": 99, "gpus": None}, "--cpus-per-job: 99"),
        ({"cpus": 1, "gpus": 4.0}, "--gpus-per-job: 4"),
    ):
        with pytest.raises(OptionError, match=f"{text} are more than the"):
            cluster._limits(ray, True, **wish)
    assert cluster._limits(ray, False, 99, None).at_once == 1
    limits = cluster._limits(ray, True, 1, None)
    assert (limits.cpus, limits.gpus, limits.at_once) == (1, 0.0, 2)
    assert 0.1 < limits.memory < 4096


class Objects:
    """Stands for Ray's object store."""

    def __init__(self) -> None:
        self.put_in: list[bytes] = []

    def put(self, data: bytes) -> int:
        self.put_in.append(data)
        return len(self.put_in)


def test_a_file_is_put_once_as_long_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "STORED", 6)
    objects = Objects()
    store = cluster._Store(objects)
    style, one, two, three = (Blob.of("x", data) for data in (b"ss", b"11", b"22", b"33"))
    assert store.put([one, style]) == [1, 2]
    assert store.put([one, style]) == [1, 2]
    assert store.put([two, style]) == [3, 2]
    assert store.put([three, style]) == [4, 2]
    assert objects.put_in == [b"11", b"ss", b"22", b"33"]
    assert store.put([one, style]) == [5, 2]


def test_where_no_ray_answers_it_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent:
        @staticmethod
        def is_initialized() -> bool:
            return False

        @staticmethod
        def init(**_: Any) -> None:
            raise ConnectionError("nobody\n\x1b[31mthere")

    monkeypatch.setattr(cluster, "_ray", lambda: Silent)
    with (
        pytest.raises(RunError, match=r"^--ray 10\.0\.0\.1:1: no Ray answers there \(nobody\)"),
        cluster.start("10.0.0.1:1"),
    ):
        pass
    with pytest.raises(RunError, match=r"^--ray: Ray could not be started \(nobody\)"), cluster.start():
        pass


def test_a_machine_too_busy_to_start_ray_in_time_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        """As Ray does, with a bare Exception."""

        def __init__(self, times: int) -> None:
            self.times, self.ended = times, 0

        def is_initialized(self) -> bool:
            return False

        def init(self, **_: Any) -> None:
            if self.times:
                self.times -= 1
                raise Exception("The current node timed out during startup. Some process failed.")

        def shutdown(self) -> None:
            self.ended += 1

        def cluster_resources(self) -> dict[str, float]:
            return {"CPU": 2.0}

    monkeypatch.setattr(cluster, "_ray", lambda: slow)
    slow = Slow(1)
    with cluster.start():
        assert (slow.times, slow.ended) == (0, 1)
    assert slow.ended == 2
    slow = Slow(2)
    with (
        pytest.raises(RunError, match=r"^--ray: Ray could not be started \(The current node timed out"),
        cluster.start(),
    ):
        pass


def test_the_command_uses_the_ray_that_is_there(
    gallery: Path,
    two_workers: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["batch", "one.png", "two.png", "--ray", *FLAGS]) == 0
    assert "2 painted" in capfd.readouterr().err
    assert ray.is_initialized()
    assert sys.stdout is not None
