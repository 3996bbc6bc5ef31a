"""The processes that read and paint, spoken to as the server does, in a thread."""

from __future__ import annotations

import json
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from studio import PATIENCE, png

import hostile
from impasto.pictures.metadata import read_metadata
from impasto.web import worker

Say = Callable[..., list[dict[str, Any]]]


@pytest.fixture(params=["reader", "painter"])
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def say(role: str) -> Iterator[Say]:
    """Send messages and return what is said up to the answer to the last."""
    ours, theirs = multiprocessing.Pipe()
    thread = threading.Thread(target=worker.main, args=(theirs, role, "cpu"))
    thread.start()

    def heard(*messages: dict[str, Any]) -> list[dict[str, Any]]:
        for message in messages:
            ours.send_bytes(json.dumps(message).encode())
        found = []
        while ours.poll(PATIENCE):
            found.append(json.loads(ours.recv_bytes()))
            if found[-1]["kind"] in ("answer", "failure"):
                return found
        raise AssertionError(found)

    yield heard
    ours.send_bytes(b'{"kind": "end"}')
    thread.join(PATIENCE)
    assert not thread.is_alive()
    ours.close()
    theirs.close()


def order(folder: Path, **more: Any) -> dict[str, Any]:
    """What a painter has to know of a job."""
    files = {}
    for seed in (1, 2):
        path = folder / f"{seed}.png"
        path.write_bytes(png(seed))
        files[seed] = {"path": str(path), "name": f"photo {seed}.png"}
    return {
        "kind": "paint",
        "job": "a",
        "folder": str(folder),
        "content": files[1],
        "styles": [files[2]],
        "recipe": {"size": 64, "iterations": [6], **more.pop("recipe", {})},
        "files": {},
        "draft": False,
        "memory": 0.0,
        "preview": 0,
        **more,
    }


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


only = pytest.mark.parametrize


@only("role", ["painter"], indirect=True)
def test_a_painter_is_warm_before_it_paints_and_shows_the_instant_picture_first(say: Say, tmp_path: Path) -> None:
    ready, *rest = say({"kind": "unknown"}, {"kind": "stop", "job": "a"}, order(tmp_path, draft=True, memory=8.0))
    assert ready["kind"] == "ready"
    assert ready["pace"] > 0
    kinds = [one["kind"] for one in rest]
    assert (kinds[0], kinds[1], kinds[-1]) == ("draft", "step", "answer")
    answer = rest[-1]
    assert (answer["stopped"], answer["error"], answer["width"], answer["height"]) == (False, None, 64, 48)
    said = read_metadata(tmp_path / "picture.png")
    assert said is not None
    assert said["recipe"]["max_memory"] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"1.png", "2.png", "picture.png", "preview.webp"}


@only("role", ["painter"], indirect=True)
def test_a_painter_stops_keeps_and_goes_on(say: Say, tmp_path: Path) -> None:
    slow = order(tmp_path, recipe={"iterations": [40], "levels": 1})
    stopped = say(slow, {"kind": "stop", "job": "a"})[-1]
    assert stopped["stopped"]
    begun = (tmp_path / "run.checkpoint").exists()
    assert stopped["picture"] == begun == (tmp_path / "picture.png").exists()
    (tmp_path / "run.checkpoint").write_bytes(b"of another version")
    done = say({**slow, "preview": stopped.get("preview", 0)})
    assert "begun anew" in " ".join(done[-1]["notices"])
    assert (done[-1]["stopped"], done[-1]["error"]) == (False, None)
    assert not (tmp_path / "run.checkpoint").exists()


@only("role", ["painter"], indirect=True)
def test_a_painter_says_what_is_wrong_and_paints_the_next(say: Say, tmp_path: Path) -> None:
    lost = order(tmp_path)
    (tmp_path / "2.png").unlink()
    assert say(lost)[-1]["failure"] == "picture"
    wrong = say(order(tmp_path, recipe={"blend": [1, 2]}))[-1]
    assert (wrong["kind"], wrong["failure"]) == ("failure", "option")
    wild = say(order(tmp_path, recipe={"style_weight": 1e38, "units": "paper", "optimizer": "adam"}))[-1]
    assert wild["kind"] in ("answer", "failure")
    one = say(order(tmp_path, recipe={"instant": True}))[-1]
    assert one["picture"]
    start = say(order(tmp_path, recipe={"init": "instant"}))[-1]
    assert start["error"] is None


@only("role", ["reader"], indirect=True)
def test_a_reader_reads_shows_converts_and_reckons(say: Say, tmp_path: Path) -> None:
    (tmp_path / "original").write_bytes(png(3, (300, 400)))
    found = say({"kind": "picture", "folder": str(tmp_path), "name": "a.png"})[-1]["found"]
    assert (found["width"], found["height"], found["recipe"]) == (400, 300, None)
    assert size(tmp_path / "thumbnail.webp") == (256, 192)
    assert size(tmp_path / "view-1024.webp") == (400, 300)
    to, path = tmp_path / "view-100.webp", str(tmp_path / "original")
    say({"kind": "view", "path": path, "name": "a.png", "side": 100, "to": str(to)})
    assert size(to) == (100, 75)
    say({"kind": "convert", "path": path, "to": str(tmp_path / "a.tif")})
    assert size(tmp_path / "a.tif") == (400, 300)
    asked = {"kind": "estimate", "content": [300, 400], "styles": [[300, 400], [40, 30]]}
    several = [
        say({**asked, "recipe": recipe})[-1]
        for recipe in ({"size": 256}, {"size": 512}, {"size": 512, "style_loss": "neighbours"}, {"instant": True})
    ]
    assert [one["width"] for one in several] == [256, 512, 512, 512]
    assert several[1]["work"] > several[0]["work"] > 0
    assert several[1]["memory"] > several[0]["memory"]
    assert several[3]["work"] == 0
    assert say({**asked, "recipe": {"size": 8192, "max_memory": 1.0}})[-1]["failure"] == "memory"
    (tmp_path / "original").write_bytes(hostile.png_bomb())
    assert say({"kind": "picture", "folder": str(tmp_path), "name": "bomb.png"})[-1]["failure"] == "picture"


@only("role", ["reader"], indirect=True)
def test_what_is_reckoned_is_what_a_transfer_reckons(say: Say) -> None:
    from impasto.paint.transfer import Transfer
    from impasto.recipe import Recipe

    for recipe in (Recipe(size=200, style_scale=0.5), Recipe(size=160, style_loss="neighbours", levels=2)):
        transfer = Transfer(torch.rand(3, 90, 120), torch.rand(3, 70, 50), recipe)
        asked = {"kind": "estimate", "content": [90, 120], "styles": [[70, 50]]}
        told = say({**asked, "recipe": recipe.model_dump(mode="json")})[-1]
        assert (told["height"], told["width"]) == transfer.scene.size
        assert told["memory"] == pytest.approx(transfer.peak, rel=0.1)  # which stands in another process


@only("role", ["reader"], indirect=True)
def test_a_server_that_is_gone_ends_it(say: Say) -> None:
    from impasto.web.talk import StopError, Talk

    ours, theirs = multiprocessing.Pipe()
    ours.close()
    with pytest.raises(StopError):
        Talk(theirs).hear()
    with pytest.raises(StopError):
        Talk(theirs).say("step")
    theirs.close()
    ours, theirs = multiprocessing.Pipe()
    ours.send_bytes(b'{"kind": "end"}')
    assert Talk(theirs).asked_to_stop("a")
    ours.close()
    theirs.close()
