"""Pictures over HTTP: whatever the library reads comes in, and comes back small; what impasto made says how."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from studio import Studio, png

import hostile

SAMPLES = hostile.samples()


@pytest.mark.parametrize("name", SAMPLES)
def test_everything_that_can_be_read_comes_in(server: Studio, name: str) -> None:
    answer = server.put(SAMPLES[name], name, **{"content-type": "application/octet-stream"})
    assert answer.status_code == 201, answer.text
    told = answer.json()
    for path, most in (("thumbnail", 256), ("view", 1024), ("view?side=64", 64)):
        small = server.client.get(f"/api/pictures/{told['id']}/{path}")
        picture = Image.open(io.BytesIO(small.content))
        assert (picture.format, max(picture.size) <= most) == ("WEBP", True)
        assert "immutable" in small.headers["cache-control"]


@pytest.mark.parametrize("name", list(SAMPLES)[:8])
def test_half_of_one_is_one_line(server: Studio, name: str) -> None:
    for data in list(hostile.cuts(SAMPLES[name]))[:3]:
        answer = server.put(data, name)
        assert answer.status_code in (201, 400, 415), answer.text
        if answer.status_code != 201:
            assert list(answer.json()) == ["error"]


def test_the_newest_is_first_and_the_same_bytes_are_one_picture(server: Studio) -> None:
    first, second = server.picture(31), server.picture(32)
    listed = [one["id"] for one in server.client.get("/api/pictures").json()]
    assert listed.index(second) < listed.index(first)
    again = server.put(png(31), "another name.png").json()
    assert (again["id"], again["name"]) == (first, "another name.png")
    assert (again["width"], again["height"], again["kind"]) == (64, 48, "picture")


def test_notices_come_with_the_picture(server: Studio) -> None:
    buffer = io.BytesIO()
    Image.fromarray(hostile.photo(seed=40)).save(
        buffer, "GIF", save_all=True, append_images=[Image.fromarray(hostile.photo(seed=41))]
    )
    told = server.put(buffer.getvalue(), "moving.gif").json()
    assert any("first" in notice for notice in told["notices"]), told


def test_a_large_view_is_made_when_it_is_asked_for(server: Studio) -> None:
    key = server.put(png(50, (1500, 2000))).json()["id"]
    sizes = []
    for side in (1024, 2000, 100_000):
        answer = server.client.get(f"/api/pictures/{key}/view", params={"side": side})
        sizes.append(Image.open(io.BytesIO(answer.content)).size)
    assert sizes == [(1024, 768), (2000, 1500), (2000, 1500)]
    for wrong in ("0", "-1", "x", "1e9"):
        assert server.client.get(f"/api/pictures/{key}/view", params={"side": wrong}).status_code == 400


def test_a_picture_is_forgotten_unless_it_is_needed(server: Studio) -> None:
    body = server.body(size=96, iterations=[20_000], optimizer="adam")
    body["content"] = key = server.picture(60)
    job = server.begin(body)
    answer = server.client.delete(f"/api/pictures/{key}")
    assert answer.status_code == 400
    assert "stop that one first" in answer.json()["error"]
    server.client.post(f"/api/jobs/{job['id']}/stop")
    server.wait(job["id"], "stopped")
    assert server.client.delete(f"/api/pictures/{key}").status_code == 204
    assert server.client.get(f"/api/pictures/{key}/thumbnail").status_code == 404
    assert server.client.delete(f"/api/pictures/{key}").status_code == 404
    server.client.post(f"/api/jobs/{job['id']}/continue")
    failed = server.wait(job["id"])
    assert (failed["state"], "no longer here" in failed["error"]) == ("failed", True)


def test_a_picture_of_ours_brings_back_how_it_was_made(server: Studio) -> None:
    body = server.body(style_weight=9, style_loss=["neighbours"], seed=4)
    job = server.wait(server.begin(body)["id"])
    data = server.client.get(f"/api/jobs/{job['id']}/picture").content
    told = server.put(data, "earlier.png").json()
    assert told["recipe"] == {"size": 64, "style_loss": ["neighbours"], "style_weight": 9, "iterations": [4], "seed": 4}
    assert told["inputs"] == {"content": body["content"], "styles": body["styles"]}
    again = server.wait(server.begin({**body, "recipe": told["recipe"]})["id"])
    assert np.array_equal(server.pixels(again), server.pixels(job))
    server.client.delete(f"/api/pictures/{body['styles'][0]}")
    (listed,) = [one for one in server.client.get("/api/pictures").json() if one["id"] == told["id"]]
    assert listed["inputs"] == {"content": body["content"], "styles": [None]}


def test_what_a_strangers_picture_says_is_not_believed(server: Studio) -> None:
    from torch import rand

    from impasto.pictures.encode import encode
    from impasto.recipe import Recipe

    recipe = {**Recipe(size=99).model_dump(mode="json"), "net": "/etc/passwd", "init": "/etc/shadow", "keep": "x.png"}
    data = encode(rand(3, 24, 32), None, "x.png", metadata={"recipe": recipe, "inputs": {"content": [{"sha256": 3}]}})
    told = server.put(data, "stranger.png").json()
    assert told["recipe"] == {"size": 99}
    assert told["inputs"]["content"] is None
    broken = encode(rand(3, 24, 32), None, "x.png", metadata={"recipe": {"sise": 3}})
    assert "recipe" not in server.put(broken, "broken.png").json()
