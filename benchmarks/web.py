"""The page's server: how soon the first picture is there, what the page costs the painting, and what a crowd leaves.

    python benchmarks/web.py --runs 5 --size 256 --steps 60 --minutes 10

`first`: seconds from sending the photo to the first painted pixels, of pictures that were never seen. `page`: seconds
of a job with a page that listens and fetches every preview, over those of the same recipe painted without, in turn.
`crowd`: pages that listen, jobs, and hostile files, for so many minutes; memory of the server from the start to the
end, and what has become of every job.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image

import impasto

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def drawn(seed: int, height: int = 768, width: int = 1024) -> bytes:
    """A picture of coloured waves with grain, as JPEG."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 60
    waves = [128 + 80 * np.sin(a * x + b * y + 6 * c) for a, b, c in random.random((3, 3))]
    noisy = np.stack(waves, -1) + random.normal(0, 12, (height, width, 3))
    buffer = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


class Client(httpx.Client):
    """Somebody who has been let in."""

    def __init__(self, address: str, pid: int) -> None:
        base, _, token = address.partition("/?token=")
        super().__init__(base_url=base, headers={"authorization": f"Bearer {token}"}, timeout=120, trust_env=False)
        self.address, self.pid = address, pid

    def picture(self, data: bytes) -> str:
        """Take in a picture."""
        answer = self.put("/api/pictures", content=data, headers={"content-type": "image/jpeg", "x-name": "a.jpg"})
        return str(answer.raise_for_status().json()["id"])

    def job(self, key: str) -> dict:
        """How a job stands."""
        return self.get(f"/api/jobs/{key}").json()

    def until(self, key: str, done: object) -> dict:
        """A job as soon as `done` says so."""
        while not done(job := self.job(key)):  # type: ignore[operator]
            time.sleep(0.02)
        return job


@contextmanager
def served() -> Iterator[Client]:
    """A server of its own, warm."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "impasto", "web", "--no-open", "--folder", folder]
        around = {**os.environ, "PYTHONPATH": str(Path(impasto.__file__).parents[1])}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=around)
        try:
            assert process.stdout is not None
            with Client(process.stdout.readline().strip(), process.pid) as client:
                body = {"content": client.picture(drawn(1)), "styles": [client.picture(drawn(2))]}
                recipe = {"size": 128, "iterations": [2]}
                key = client.post("/api/jobs", json={**body, "recipe": recipe, "draft": True}).json()["id"]
                client.until(key, lambda job: job["state"] == "done")
                yield client
        finally:
            process.terminate()
            process.wait(20)


def first(client: Client, runs: int) -> list[float]:
    """Seconds to the first painted pixels."""
    found = []
    for run in range(runs):
        photo, painting = drawn(100 + run), drawn(200 + run)
        begun = time.perf_counter()
        body = {"content": client.picture(photo), "styles": [client.picture(painting)], "draft": True}
        key = client.post("/api/jobs", json=body).json()["id"]
        client.until(key, lambda job: job["preview"] > 0)
        client.get(f"/api/jobs/{key}/preview").raise_for_status()
        found.append(time.perf_counter() - begun)
        client.post(f"/api/jobs/{key}/stop")
        client.until(key, lambda job: job["state"] not in ("queued", "running"))
    return found


@contextmanager
def tabs(client: Client, count: int) -> Iterator[None]:
    """Pages that listen and fetch every new preview."""
    ended = threading.Event()

    def listen() -> None:
        with suppress(httpx.HTTPError), Client(client.address, client.pid) as own:
            seen: dict[str, int] = {}
            with own.stream("GET", "/api/events") as stream:
                for line in stream.iter_lines():
                    if ended.is_set():
                        return
                    if line.startswith("data: "):
                        told = json.loads(line[6:])
                        if told.get("preview", 0) > seen.get(told["id"], 0):
                            seen[told["id"]] = told["preview"]
                            client.get(f"/api/jobs/{told['id']}/preview", params={"v": told["preview"]})

    threads = [threading.Thread(target=listen, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()


def page(client: Client, runs: int, size: int, steps: int) -> tuple[list[float], list[float]]:
    """Seconds of the painting alone, with a page open, and without."""
    photo, painting = drawn(300), drawn(301)
    body = {"content": client.picture(photo), "styles": [client.picture(painting)]}
    recipe = {"size": size, "iterations": [steps], "levels": 1}
    with_page, without = [], []
    code = (
        "import sys, json, impasto; from impasto.paint.run import follow; from impasto.paint.transfer import Transfer\n"
        "recipe = impasto.Recipe(**json.loads(sys.argv[3])); transfer = Transfer(sys.argv[1], sys.argv[2], recipe)\n"
        "transfer.keep_buffers(); print(follow(transfer).seconds)"
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / name) for name in ("a.jpg", "b.jpg")]
        for path, data in zip(paths, (photo, painting), strict=True):
            Path(path).write_bytes(data)
        for _ in range(runs):
            command = [sys.executable, "-c", code, *paths, json.dumps(recipe)]
            around = {**os.environ, "PYTHONPATH": str(Path(impasto.__file__).parents[1])}
            without.append(float(subprocess.run(command, check=True, capture_output=True, env=around).stdout))
            with tabs(client, 1):
                key = client.post("/api/jobs", json={**body, "recipe": recipe}).json()["id"]
                with_page.append(client.until(key, lambda job: job["state"] == "done")["seconds"])
    return with_page, without


def crowd(client: Client, minutes: float, pages: int, jobs: int) -> dict[str, object]:
    """What is left of a crowd."""
    import hostile

    files = [*hostile.samples().values(), *hostile.foreign().values(), hostile.png_bomb(), hostile.bmp_bomb()]
    for data in list(hostile.samples().values())[:6]:
        files += [*hostile.cuts(data), *hostile.mutations(data, 20)]
    server = psutil.Process(client.pid)
    body = {"content": client.picture(drawn(1)), "styles": [client.picture(drawn(2))], "draft": True}
    answers: dict[int, int] = {}
    memory = [server.memory_info().rss]
    keys: list[str] = []
    until = time.monotonic() + 60 * minutes
    with tabs(client, pages):
        number = 0
        while time.monotonic() < until or len(keys) < jobs:
            if len(keys) < jobs and time.monotonic() > until - 60 * minutes * (1 - len(keys) / jobs):
                recipe = {"size": 128, "iterations": [10], "seed": len(keys)}
                keys.append(client.post("/api/jobs", json={**body, "recipe": recipe}).json()["id"])
            answer = client.put("/api/pictures", content=files[number % len(files)], headers={"x-name": f"{number}"})
            answers[answer.status_code] = answers.get(answer.status_code, 0) + 1
            number += 1
            if number == 50 or number % 200 == 0:
                memory.append(server.memory_info().rss)
        states = [client.until(key, lambda job: job["state"] not in ("queued", "running"))["state"] for key in keys]
    memory.append(server.memory_info().rss)
    mebibytes = [round(one / 2**20) for one in memory]
    return {"uploads": answers, "jobs": {state: states.count(state) for state in set(states)}, "MiB": mebibytes}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--pages", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=30)
    options = parser.parse_args()
    with served() as client:
        if options.runs:
            seconds = first(client, options.runs)
            print(f"first: {statistics.median(seconds):.2f} s (median of {options.runs}, most {max(seconds):.2f})")
            with_page, without = page(client, options.runs, options.size, options.steps)
            ratios = [a / b for a, b in zip(with_page, without, strict=True)]
            print(
                f"page: {min(with_page):.2f} s with a page, {min(without):.2f} s without (fastest of {options.runs});"
                f" {statistics.median(ratios) - 1:+.1%} (median)"
            )
        if options.minutes:
            print(f"crowd: {crowd(client, options.minutes, options.pages, options.jobs)}")


if __name__ == "__main__":
    main()
