"""Jobs over HTTP: painted as the library paints, seen on their way, stopped, gone on with, steered, taken away."""

from __future__ import annotations

import io
import json
import shlex
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from studio import Studio, png

import impasto
from impasto.cli.flags import gather
from impasto.pictures.metadata import read_metadata

LONG = {"size": 96, "iterations": [20_000], "levels": 1, "optimizer": "adam"}


def own(seed: int) -> impasto.Blob:
    return impasto.Blob.of(f"photo{seed}.png", png(seed))


def test_a_job_is_painted_as_the_library_paints_it(server: Studio, tmp_path: Path) -> None:
    job = server.paint(style_weight=7.5)
    assert (job["width"], job["height"], job["fraction"], job["error"]) == (64, 48, 1.0, None)
    assert job["step"] == [4, 4]
    assert set(job["losses"]) == {"content", "style", "total"}
    assert [step for step, _ in job["trace"]][-1] == 4
    path = tmp_path / "result.png"
    path.write_bytes(server.client.get(f"/api/jobs/{job['id']}/picture").content)
    said = read_metadata(path)
    assert said is not None
    assert said["recipe"]["style_weight"] == 7.5
    assert [one["name"] for one in said["inputs"]["styles"]] == ["photo2.png"]
    assert torch.get_num_threads() == said["threads"] == 1
    result = impasto.stylize(own(1), own(2), size=64, iterations=4, style_weight=7.5)
    assert np.array_equal(server.pixels(job), np.asarray(result.to_pil()))


def test_the_first_picture_is_painted_at_once_and_the_optimiser_replaces_it(server: Studio) -> None:
    body = {**server.body(size=160, iterations=[3]), "draft": True}
    key = server.begin(body)["id"]
    seen = []
    with server.client.stream("GET", "/api/events") as stream:
        for line in stream.iter_lines():
            if line.startswith("data: "):
                told = json.loads(line[6:])
                if told["id"] == key:
                    seen.append(told)
                    assert "trace" not in told
                    if told["state"] in ("done", "failed"):
                        break
            elif line.startswith("event: "):
                assert line[7:] in ("job", "picture", "gone")
    assert seen[-1]["state"] == "done", seen[-1]
    versions = [told["preview"] for told in seen]
    assert versions == sorted(versions)
    assert versions[-1] >= 2
    answer = server.client.get(f"/api/jobs/{key}/preview", params={"v": versions[-1]})
    assert answer.headers["content-type"] == "image/webp"
    assert "immutable" in answer.headers["cache-control"]
    assert Image.open(io.BytesIO(answer.content)).size == (160, 120)
    assert server.client.get(f"/api/jobs/{key}/preview?v=1").headers["cache-control"] == "no-store"


def test_one_pass_alone(server: Studio) -> None:
    job = server.paint(instant=True)
    assert job["losses"] == {}
    assert server.pixels(job).shape == (48, 64, 3)


def test_events_come_at_most_four_times_a_second(server: Studio) -> None:
    key = server.begin(server.body(**LONG))["id"]
    server.wait(key, "running", step=1)
    begun, count = time.monotonic(), 0
    with server.client.stream("GET", "/api/events") as stream:
        for line in stream.iter_lines():
            count += line.startswith("data: ") and json.loads(line[6:])["id"] == key
            if time.monotonic() - begun > 2:
                break
    server.client.delete(f"/api/jobs/{key}")
    assert 2 <= count <= 10


def test_stop_keeps_the_best_and_go_on_ends_as_if_never_stopped(server: Studio) -> None:
    recipe = {"size": 96, "iterations": [60], "levels": 1, "seed": 3}
    whole = server.paint(**recipe)
    key = server.begin(server.body(**recipe))["id"]
    server.wait(key, "running", step=5)
    server.client.post(f"/api/jobs/{key}/stop")
    stopped = server.wait(key, "stopped", "done")
    assert stopped["state"] == "stopped", "it was done before it could be stopped"
    assert 5 <= stopped["step"][0] < 60
    assert server.pixels(stopped).shape == (72, 96, 3)
    assert not np.array_equal(server.pixels(stopped), server.pixels(whole))
    assert server.client.post(f"/api/jobs/{key}/continue").json()["state"] in ("queued", "running")
    done = server.wait(key)
    assert done["state"] == "done", done
    assert done["preview"] > stopped["preview"]
    steps = [step for step, _ in done["trace"]]
    assert steps == sorted(set(steps))
    assert np.array_equal(server.pixels(done), server.pixels(whole))


def test_what_waits_is_stopped_at_once_and_what_is_done_cannot_go_on(server: Studio) -> None:
    first, second = (server.begin(server.body(**LONG))["id"] for _ in range(2))
    assert server.client.post(f"/api/jobs/{second}/stop").json()["state"] == "stopped"
    assert server.client.get(f"/api/jobs/{second}/picture").status_code == 404
    server.wait(first, "running")
    server.client.post(f"/api/jobs/{first}/stop")
    server.wait(first, "stopped")
    done = server.paint()
    answer = server.client.post(f"/api/jobs/{done['id']}/continue")
    assert answer.status_code == 400
    assert "is done" in answer.json()["error"]


def test_jobs_are_painted_in_the_order_in_which_they_came(server: Studio) -> None:
    keys = [server.begin(server.body(seed=seed))["id"] for seed in range(3)]
    listed = [job["id"] for job in server.client.get("/api/jobs").json()]
    assert listed[:3] == keys[::-1]
    last = server.wait(keys[-1])
    assert last["state"] == "done"
    assert [server.job(key)["state"] for key in keys] == ["done"] * 3
    assert last["expected"] > 0, "the pace of those before is known"


def test_a_change_begins_from_the_current_picture(server: Studio) -> None:
    begun = server.paint(iterations=[8])
    body = {
        **server.body(iterations=[1], levels=1, style_weight=0, content_weight=1),
        "start": begun["id"],
        "draft": True,
    }
    job = server.wait(server.begin(body)["id"])
    assert job["state"] == "done", job
    assert not job["draft"]
    assert np.abs(server.pixels(job).astype(int) - server.pixels(begun)).mean() < 12
    command = server.client.get(f"/api/jobs/{job['id']}/command").json()["command"]
    assert "--init start.png" in command


def test_masks_say_where(server: Studio) -> None:
    left = np.zeros((48, 64), np.uint8)
    left[:, :32] = 255
    buffer = io.BytesIO()
    Image.fromarray(left).save(buffer, "PNG")
    mask = server.put(buffer.getvalue(), "left.png", **{"x-kind": "mask"}).json()
    assert mask["kind"] == "mask"
    job = server.wait(server.begin({**server.body(), "masks": {"keep": mask["id"]}})["id"])
    assert job["state"] == "done", job
    photo = np.asarray(Image.open(io.BytesIO(png(1))))
    assert np.array_equal(server.pixels(job)[:, :30], photo[:, :30])
    assert not np.array_equal(server.pixels(job)[:, 34:], photo[:, 34:])
    assert job["masks"] == {"keep": mask["id"]}
    assert "--keep left.png" in server.client.get(f"/api/jobs/{job['id']}/command").json()["command"]
    two = {**server.body(), "styles": [server.picture(2), server.picture(3)], "masks": {"mask": [mask["id"], "rest"]}}
    assert server.wait(server.begin(two)["id"])["state"] == "done"


@pytest.mark.parametrize(("form", "kind"), [("jpg", "JPEG"), ("webp", "WEBP"), ("tif", "TIFF"), ("png", "PNG")])
def test_taken_away_in_every_format(server: Studio, form: str, kind: str) -> None:
    job = server.paint()
    answer = server.client.get(f"/api/jobs/{job['id']}/picture", params={"format": form})
    picture = Image.open(io.BytesIO(answer.content))
    assert (picture.format, picture.size) == (kind, (64, 48))
    assert f'filename="photo1-photo2-{str(job["id"])[:6]}.{form}"' in answer.headers["content-disposition"]
    assert answer.headers["content-type"] == f"image/{kind.lower()}"


def test_taken_away_as_words(server: Studio) -> None:
    job = server.paint(style_loss=["neighbours"], laplacian=["4:10"], style_trim=False, blend=[1])
    words = server.client.get(f"/api/jobs/{job['id']}/command").json()
    from impasto.cli import app, flags

    _, bound, _ = app.app.parse_args(gather(shlex.split(words["command"])[1:]), exit_on_error=False, print_error=False)
    options = {name: value for name, value in bound.arguments.items() if name in impasto.Recipe.model_fields}
    recipe = impasto.Recipe.from_text(words["recipe"])
    assert flags.recipe_from(options) == recipe
    assert recipe.laplacian == ("4:10",)
    assert "impasto.stylize('photo1.png', 'photo2.png'" in words["python"]
    compile(words["python"], "taken", "exec")
    assert server.client.get("/api/jobs/none/command").status_code == 404


def test_a_sweep_is_jobs(server: Studio) -> None:
    body = {"job": server.body(iterations=[2]), "vary": {"style_weight": [1, 40], "color": ["style", "luminance"]}}
    found = server.client.post("/api/sweeps", json=body).json()
    assert found["rows"] == {"field": "style_weight", "values": [1, 40]}
    assert found["columns"]["field"] == "color"
    jobs = [server.wait(key) for key in found["jobs"]]
    assert [job["recipe"].get("color", "style") for job in jobs] == ["style", "luminance"] * 2
    assert {job["state"] for job in jobs} == {"done"}
    assert {job["sweep"] for job in jobs} == {found["id"]}
    assert server.client.get(f"/api/sweeps/{found['id']}").json() == found
    before = len(server.client.get("/api/jobs").json())
    wrong = server.client.post("/api/sweeps", json={**body, "vary": {"color": ["style", "sepia"]}})
    assert wrong.status_code == 400
    assert len(server.client.get("/api/jobs").json()) == before


def test_memory_and_time_are_said_beforehand(server: Studio) -> None:
    server.paint()
    small = server.client.post("/api/estimate", json=server.body()).json()
    large = server.client.post("/api/estimate", json=server.body(size=768)).json()
    assert large["memory"] > small["memory"] > 2**28
    assert large["seconds"] > small["seconds"] > 0
    assert (large["width"], large["height"]) == (768, 576)
    answer = server.client.post("/api/jobs", json=server.body(size=4096, max_memory=1.0))
    assert answer.status_code == 422
    assert "GiB may be used" in answer.json()["error"]


def test_a_job_is_forgotten_with_its_files(server: Studio) -> None:
    job = server.paint()
    assert server.client.delete(f"/api/jobs/{job['id']}").status_code == 204
    assert server.client.get(f"/api/jobs/{job['id']}").status_code == 404
    assert not (server.folder / "jobs" / str(job["id"])).exists()
    key = server.begin(server.body(**LONG))["id"]
    server.wait(key, "running", step=1)
    server.client.delete(f"/api/jobs/{key}")
    until = time.monotonic() + 20
    while server.client.get(f"/api/jobs/{key}").status_code != 404:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert server.paint()["state"] == "done"


WRONG = [
    ({"recipe": {"size": -1}}, "size: "),
    ({"recipe": {"sise": 64}}, "did you mean size"),
    ({"recipe": {"blend": [1, 2, 3]}}, "blend: 3 weights for 1 painting"),
    ({"recipe": {"net": "/etc/passwd"}}, "net: "),
    ({"recipe": {"init": "https://example.org/a.png"}}, "init: "),
    ({"recipe": {"mask": ["/etc/passwd"]}}, "mask: is given under masks"),
    ({"recipe": {"keep": "secret.png"}}, "keep: is given under masks"),
    ({"recipe": {"device": "cuda:7"}}, "device: "),
    ({"masks": {"keep": "../../etc/passwd"}}, "there is no picture"),
    ({"masks": {"mask": ["rest", "rest"]}}, "mask: 2 for 1 painting"),
    ({"content": "0" * 32}, "there is no picture"),
    ({"styles": []}, "styles: "),
    ({"start": "0" * 32}, "there is no job"),
    ({"path": "/etc/passwd"}, "path: "),
    ({"url": "http://example.org"}, "url: "),
    ({"weights": "x.pth"}, "weights: "),
]


@pytest.mark.parametrize(("change", "said"), WRONG, ids=[said for _, said in WRONG])
@pytest.mark.parametrize("route", ["/api/jobs", "/api/estimate"])
def test_what_is_wrong_is_said_in_one_line(server: Studio, change: dict[str, object], said: str, route: str) -> None:
    before = len(server.client.get("/api/jobs").json())
    answer = server.client.post(route, json={**server.body(), **change})
    assert answer.status_code == 400, answer.text
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert len(server.client.get("/api/jobs").json()) == before
