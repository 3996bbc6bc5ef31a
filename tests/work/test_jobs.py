"""Jobs: their names, what is kept and what is done again, and whatever can go wrong between; the painter last."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import impasto
import thin
from impasto.cli import app as cli
from impasto.cli.console import Console
from impasto.errors import DivergenceError, OptionError, OutputError, SomeFailedError
from impasto.paint import targets, transfer
from impasto.pictures import saving
from impasto.recipe import Recipe
from impasto.work import jobs, manifest, painter
from impasto.work.interrupts import Interrupted
from impasto.work.jobs import Order, Outcome, Painted, Task
from impasto.work.task import file_names

QUICK = Recipe(size=24, iterations=2, levels=1)
FULL = OSError(28, "No space left on device")


class Carrier:
    """Paints nothing: answers with the content's bytes, and remembers what it was asked for."""

    def __init__(self, failing: str = "", stop_before: int | None = None) -> None:
        self.asked: list[str] = []
        self.failing, self.stop_before = failing, stop_before

    def __call__(self, orders: Iterable[tuple[int, Order]], tell: Callable[[int, float], None]) -> jobs.Answers:
        for number, order in orders:
            if len(self.asked) == self.stop_before:
                raise KeyboardInterrupt
            name = Path(order.content.name).name
            self.asked.append(name)
            tell(number, 0.5)
            data = order.content.data + order.styles[0].data
            yield (
                number,
                f"content {name}: bad" if name == self.failing else Painted(data, "{}\n", {"total": 2.0}, 1, ()),
            )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with photos of 24×16 px and a style."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    for name in ("a", "b", "c", "style"):
        Image.fromarray(random.integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(f"{name}.png")
    return tmp_path


@pytest.fixture
def tasks(folder: Path) -> list[Task]:
    return [Task(f"{name}.png", ("style.png",), QUICK, f"sub/{name}-style") for name in "abc"]


def run(tasks: list[Task], carry: jobs.Carry | None = None, **options: Any) -> list[Outcome]:
    return jobs.run(tasks, Path("out"), carry=carry or Carrier(), console=Console(), **options)


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out/manifest.jsonl").read_bytes().splitlines()]


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


# ---- names ----


def test_the_key_is_of_bytes_and_recipe_and_not_of_names_or_speed(folder: Path) -> None:
    task = Task("a.png", ("style.png", "b.png"), QUICK, "x")
    Path("copy.png").write_bytes(Path("a.png").read_bytes())
    same = [
        Task("copy.png", task.styles, QUICK, "elsewhere"),
        Task("a.png", task.styles, QUICK.replace(device="cpu", max_memory=3, tile=8), "x"),
    ]
    other = [
        Task("c.png", task.styles, QUICK, "x"),
        Task("a.png", task.styles[::-1], QUICK, "x"),
        Task("a.png", task.styles[:1], QUICK, "x"),
        Task("a.png", task.styles, QUICK.replace(seed=1), "x"),
        Task("a.png", task.styles, QUICK.replace(init="b.png"), "x"),
        Task("a.png", task.styles, QUICK.replace(init="c.png"), "x"),
        Task("a.png", task.styles, QUICK.replace(net="b.png"), "x"),
        Task("a.png", task.styles, QUICK.replace(net="b.png@caffe"), "x"),
        Task("a.png", task.styles, QUICK.replace(net="vgg19"), "x"),
        Task("none.png", task.styles, QUICK, "x"),
        Task("gone.png", task.styles, QUICK, "x"),
        Task("nul\0.png", task.styles, QUICK, "x"),
    ]
    assert {one.key for one in same} == {task.key}
    assert len({one.key for one in [task, *other]}) == 1 + len(other)


def test_the_key_follows_a_file_that_changes(folder: Path) -> None:
    before = Task("a.png", ("style.png",), QUICK, "x").key
    Path("a.png").write_bytes(Path("a.png").read_bytes() + b"x")
    assert Task("a.png", ("style.png",), QUICK, "x").key != before


class Same(Task):
    key = ""

    def __init__(self, key: str) -> None:
        super().__init__("a.png", ("style.png",), QUICK, "p/x")
        object.__setattr__(self, "key", key)


def test_two_jobs_whose_names_would_be_the_same_get_longer_ones() -> None:
    one, other = Same("01234567" + "a" * 56), Same("01234567" + "b" * 56)
    assert file_names([one, one], ".png") == ["p/x-01234567.png"] * 2
    assert file_names([one, other], ".png") == ["p/x-01234567aaaaaaaa.png", "p/x-01234567bbbbbbbb.png"]


def test_overlong_names_are_cut_to_what_file_systems_take(folder: Path) -> None:
    outcome = run([Task("a.png", ("style.png",), QUICK, "é" * 300)], extras=True)[0]
    assert outcome.file is not None
    assert len(outcome.file.name.encode()) == 200 + len("-01234567.png")
    assert outcome.file.is_file()


@pytest.mark.parametrize("place", ["", "/tmp/x", "../x", "a/../../x", "x\0", ".."])
def test_a_place_outside_the_folder_is_refused(place: str, folder: Path) -> None:
    with pytest.raises(OptionError, match="no name below the output folder"):
        run([Task("a.png", ("style.png",), QUICK, place)])
    assert not Path("out").exists()


def test_an_unknown_suffix_is_refused(tasks: list[Task]) -> None:
    with pytest.raises(OptionError, match=r"\.gif"):
        run(tasks, suffix=".gif")


# ---- what is done and what is kept ----


def test_outcomes_come_in_the_order_of_the_tasks_and_equal_jobs_are_done_once(tasks: list[Task]) -> None:
    carrier = Carrier()
    outcomes = run([tasks[1], tasks[0], tasks[1]], carrier)
    assert carrier.asked == ["b.png", "a.png"]
    assert [outcome.task for outcome in outcomes] == [tasks[1], tasks[0], tasks[1]]
    names = [
        f"sub/{name}-style-{task.key[:8]}.png" for name, task in zip("bab", [tasks[1], tasks[0], tasks[1]], strict=True)
    ]
    assert [outcome.file for outcome in outcomes] == [Path("out", name) for name in names]
    assert outcomes[0].file is not None
    assert outcomes[0].file.read_bytes() == Path("b.png").read_bytes() + Path("style.png").read_bytes()
    entry = lines()[0]
    assert entry["key"] == tasks[1].key
    assert entry["file"] == names[0]
    assert (entry["content"], entry["styles"], entry["losses"]) == ("b.png", ["style.png"], {"total": 2.0})
    assert Recipe(**entry["recipe"]) == QUICK
    assert len(lines()) == 2


def test_equal_pictures_in_two_places_are_two_jobs(folder: Path) -> None:
    places = [Task("a.png", ("style.png",), QUICK, place) for place in ("one/x", "two/x")]
    assert len({outcome.file for outcome in run(places)}) == 2
    assert statuses(run(places)) == ["kept", "kept"]


def test_a_second_run_keeps_what_is_finished(tasks: list[Task], capsys: pytest.CaptureFixture[str]) -> None:
    first = run(tasks[:2])
    carrier = Carrier()
    second = run(tasks, carrier)
    assert carrier.asked == ["c.png"]
    assert statuses(second) == ["kept", "kept", "done"]
    assert [one.losses for one in second[:2]] == [one.losses for one in first]
    jobs.report(second, Console())
    assert "1 painted, 2 there already, 0 failed" in capsys.readouterr().err


@pytest.mark.parametrize("harm", [b"", b"other", None])
def test_only_the_hash_of_the_file_says_that_it_is_done(
    harm: bytes | None, tasks: list[Task], capsys: pytest.CaptureFixture[str]
) -> None:
    file = run(tasks)[1].file
    assert file is not None
    good = file.read_bytes()
    if harm is None:
        file.unlink()
    else:
        file.write_bytes(harm)
    assert statuses(run(tasks)) == ["kept", "done", "kept"]
    assert file.read_bytes() == good
    said = capsys.readouterr().err
    assert (f"{file}: is not what manifest.jsonl says; it is painted again" in said) == (harm is not None)


def test_without_the_manifest_all_is_done_again(tasks: list[Task]) -> None:
    run(tasks)
    Path("out/manifest.jsonl").unlink()
    assert statuses(run(tasks)) == ["done"] * 3


def test_extras_lie_beside_the_picture_and_belong_to_it(tasks: list[Task]) -> None:
    run(tasks)
    file = run(tasks, extras=True)[0].file
    assert file is not None
    assert file.with_suffix(".jsonl").read_text(encoding="utf-8") == "{}\n"
    assert Recipe.from_file(file.with_suffix(".toml")) == QUICK
    assert statuses(run(tasks, extras=True)) == ["kept"] * 3
    file.with_suffix(".toml").unlink()
    assert statuses(run(tasks, extras=True)) == ["done", "kept", "kept"]


def test_wherever_the_last_line_is_cut_only_its_job_is_done_again(tasks: list[Task]) -> None:
    run(tasks[:2])
    path = Path("out/manifest.jsonl")
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in [*range(first, first + 12), len(whole) - 2, len(whole) - 1]:
        path.write_bytes(whole[:end])
        carrier = Carrier()
        assert statuses(run(tasks[:2], carrier)) == ["kept", "done"]
        assert carrier.asked == ["b.png"]
        assert len(lines()) == 2
    for end in (1, 5, first - 1):
        path.write_bytes(whole[:end])
        assert statuses(run(tasks[:2])) == ["done", "done"]


# ---- what goes wrong ----


def test_a_failed_job_is_an_outcome_and_is_tried_again(tasks: list[Task]) -> None:
    outcomes = run(tasks, Carrier(failing="b.png"))
    assert statuses(outcomes) == ["done", "failed", "done"]
    assert (outcomes[1].file, outcomes[1].error) == (None, "content b.png: bad")
    assert lines()[1]["error"] == "content b.png: bad"
    assert statuses(run(tasks)) == ["kept", "done", "kept"]


def test_inputs_that_cannot_be_read_fail_in_their_place(tasks: list[Task]) -> None:
    Path("empty.png").touch()
    os.mkfifo("pipe.png")
    bad = ["none.png", "empty.png", "pipe.png", "."]
    other = [Task(name, ("style.png",), QUICK, f"x{number}") for number, name in enumerate(bad)]
    nets = [Task("a.png", ("style.png",), QUICK.replace(net=net), "y") for net in ("none.h5", "pipe.png", ".@caffe")]
    init = Task("a.png", ("style.png",), QUICK.replace(init="none.png"), "z")
    outcomes = run([tasks[0], *other, *nets, init, tasks[1]])
    assert statuses(outcomes) == ["done", *["failed"] * 8, "done"]
    said = [outcome.error for outcome in outcomes[1:-1]]
    assert said[0] == "content none.png: no such file; check the name"
    assert said[4] == "a.png: none.h5: cannot be read (No such file or directory); give a file of VGG-19 weights"
    assert said[7] == "a.png: init none.png: no such file; check the name"


def test_the_report_names_the_failed_and_raises(tasks: list[Task], capsys: pytest.CaptureFixture[str]) -> None:
    missing = [Task(f"none{n}.png", ("style.png",), QUICK, "x") for n in range(5)]
    outcomes = run([*tasks, missing[0]])
    with pytest.raises(SomeFailedError) as caught:
        jobs.report(outcomes, Console())
    assert str(caught.value) == "1 of 4 pictures failed: content none0.png: no such file; check the name"
    assert caught.value.exit_status == 5
    capsys.readouterr()
    with pytest.raises(
        SomeFailedError, match=r"5 of 8 pictures failed: .*none2.*; and 2 more, all in manifest\.jsonl$"
    ):
        jobs.report(run([*tasks, *missing]), Console())
    assert capsys.readouterr().err.count("\nfailed: content none") == 5


def test_what_stands_in_the_way_is_never_touched(tasks: list[Task], folder: Path) -> None:
    names = file_names(tasks, ".png")
    Path("out", names[0]).mkdir(parents=True)
    Path("precious.png").write_bytes(b"precious")
    Path("out", names[1]).symlink_to(folder / "precious.png")
    outcomes = run(tasks)
    assert statuses(outcomes) == ["failed", "failed", "done"]
    assert outcomes[1].error == f"b.png: out/{names[1]}: is no regular file; move it away"
    assert Path("precious.png").read_bytes() == b"precious"


def test_a_file_in_the_place_of_a_folder_fails_its_jobs_only(tasks: list[Task]) -> None:
    Path("out").mkdir()
    Path("out/sub").touch()
    outcomes = run([*tasks[:1], Task("b.png", ("style.png",), QUICK, "b")])
    assert statuses(outcomes) == ["failed", "done"]
    assert "Not a directory" in str(outcomes[0].error)


def test_other_files_of_the_folder_stay(tasks: list[Task]) -> None:
    Path("out/sub").mkdir(parents=True)
    Path("out/sub/a-style.png").write_bytes(b"mine")
    run(tasks)
    assert Path("out/sub/a-style.png").read_bytes() == b"mine"


@pytest.mark.parametrize("text", [b"my notes\n", b"{}\n", b"[1]\n[2]", b"mine", b'{"a": 1}\n'])
def test_a_manifest_of_something_else_is_refused_and_stays(text: bytes, tasks: list[Task]) -> None:
    Path("out").mkdir()
    Path("out/manifest.jsonl").write_bytes(text)
    with pytest.raises(OutputError, match="is no list of finished jobs"):
        run(tasks)
    assert Path("out/manifest.jsonl").read_bytes() == text


def test_two_runs_into_one_folder_are_refused(tasks: list[Task]) -> None:
    with manifest.Manifest(Path("out")), pytest.raises(OutputError, match="another run is writing to this folder"):
        run(tasks)
    assert statuses(run(tasks)) == ["done"] * 3


def test_a_folder_that_cannot_be_made_is_one_line(tasks: list[Task]) -> None:
    Path("out").touch()
    with pytest.raises(OutputError, match=r"out: cannot be made \(File exists\); choose another folder"):
        run(tasks)


def test_a_full_disk_ends_the_run_and_leaves_what_is_finished(
    tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, iter(range(100))

    def full_at_last(number: int) -> None:
        if next(calls) >= 3:  # picture a, its line, picture b; then its line
            raise FULL
        real(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_at_last)
        with pytest.raises(OutputError, match="No space left on device"):
            run(tasks)
    assert [entry["content"] for entry in lines()] == ["a.png"]
    assert statuses(run(tasks)) == ["kept", "done", "done"]
    assert not [path for path in Path("out").rglob("*") if path.suffix == ".tmp"]


def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on(tasks: list[Task]) -> None:
    with pytest.raises(Interrupted, match=r"interrupted; 2 of 3 pictures are finished; the same command goes on"):
        run(tasks, Carrier(stop_before=2))
    assert statuses(run(tasks)) == ["kept", "kept", "done"]


def test_a_signal_during_the_saving_waits_for_its_end(tasks: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    real = saving.atomic_write_bytes

    def signalled(path: Path, data: bytes) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(saving, "atomic_write_bytes", signalled)
        with pytest.raises(Interrupted, match="1 of 3"):
            run(tasks)
    assert [entry["content"] for entry in lines()] == ["a.png"]
    assert statuses(run(tasks)) == ["kept", "done", "done"]


def test_an_input_that_changes_during_the_run_fails(tasks: list[Task]) -> None:
    def changing(orders: Iterable[tuple[int, Order]], tell: Callable[[int, float], None]) -> jobs.Answers:
        for answer in Carrier()(orders, tell):
            Path("b.png").write_bytes(b"something else")
            yield answer

    outcomes = run(tasks, changing)
    assert statuses(outcomes) == ["done", "failed", "done"]
    assert outcomes[1].error == "b.png: it or a style has changed since the run began; run it again"


def test_nothing_to_do_starts_nothing(folder: Path) -> None:
    def never(orders: Iterable[tuple[int, Order]], tell: Callable[[int, float], None]) -> jobs.Answers:
        raise AssertionError
        yield

    assert run([], never) == []


# ---- the painter, for real ----


def test_a_job_gives_the_picture_that_a_single_run_gives(folder: Path, thin_path: str) -> None:
    """Also that files named in the recipe travel as bytes, and that no name of a temporary file is left anywhere."""
    net, init = Path("net.safetensors"), Path("b.png")
    net.write_bytes(Path(thin_path).read_bytes())
    recipe = QUICK.replace(net=str(net), init=str(init))
    outcome = run([Task("a.png", ("style.png", "c.png"), recipe, "x")], jobs.here, extras=True)[0]
    assert outcome.error is None
    assert outcome.file is not None
    alone = impasto.stylize("a.png", ["style.png", "c.png"], recipe)
    alone.save("alone.png")
    assert outcome.file.read_bytes() == Path("alone.png").read_bytes()
    assert outcome.losses == dict(alone.losses)
    cli.run(["a.png", "style.png", "c.png", "--recipe", "alone.png", "-o", "again.png", "--trace", "again.jsonl"])
    header, *steps = map(json.loads, outcome.file.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines())
    others = list(map(json.loads, Path("again.jsonl").read_text(encoding="utf-8").splitlines()))
    assert header == others[0]
    assert len(steps) == 2
    assert [{**step, "seconds": 0} for step in steps] == [{**step, "seconds": 0} for step in others[1:]]


def test_the_form_of_a_weights_file_goes_with_it(folder: Path) -> None:
    thin.write_pth(Path("net.pth"), {key: value.numpy() for key, value in _net().items()})
    recipes = [QUICK.replace(net=f"net.pth@{form}") for form in ("caffe", "torchvision")]
    outcomes = run([Task("a.png", ("style.png",), recipe, "x") for recipe in recipes], jobs.here)
    assert statuses(outcomes) == ["done", "done"], [one.error for one in outcomes]
    assert outcomes[0].losses != outcomes[1].losses


def _net() -> dict[str, Any]:
    import plain

    return plain.tensors()


def test_messages_name_the_files_as_the_user_does(folder: Path) -> None:
    Path("photos").mkdir()
    Path("photos/bad.jpg").write_bytes(b"\xff\xd8\xffnonsense")
    Path("net.h5").write_bytes(b"\x89HDF\r\n\x1a\nnonsense")
    tasks = [
        Task("photos/bad.jpg", ("style.png",), QUICK, "x"),
        Task("a.png", ("photos/bad.jpg",), QUICK, "y"),
        Task("a.png", ("style.png",), QUICK.replace(net="net.h5"), "z"),
        Task("a.png", ("style.png",), QUICK, "good"),
    ]
    outcomes = run(tasks, jobs.here)
    assert statuses(outcomes) == ["failed"] * 3 + ["done"]
    said = [str(outcome.error) for outcome in outcomes[:3]]
    for start, text in zip(
        ("content photos/bad.jpg: ", "a.png: style photos/bad.jpg: ", "a.png: net.h5: "), said, strict=True
    ):
        assert text.startswith(start), text
        assert "tmp" not in text
        assert "\n" not in text


def test_features_and_networks_are_computed_once_for_all_jobs(
    tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    loaded: list[str] = []
    observe, load = targets.observe, targets.load
    monkeypatch.setattr(targets, "observe", lambda *given: seen.append("observed") or observe(*given))
    monkeypatch.setattr(targets, "load", lambda net: loaded.append(net) or load(net))
    cells = [Task("a.png", ("style.png",), QUICK.replace(seed=seed), f"{seed}") for seed in range(3)]
    assert statuses(run(cells, jobs.here)) == ["done"] * 3
    assert len(seen) == 2  # the content's maps and the style's Gram matrices
    assert loaded == ["lite"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DivergenceError("the loss is lost", "a picture"), "the loss is lost"),
        (MemoryError(), "not enough memory; use a smaller --size, or smaller pictures"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate"),
            "not enough memory; use a smaller --size, or smaller pictures",
        ),
        (FULL, "the folder for temporary files cannot be used (No space left on device); set TMPDIR"),
        (KeyError("x"), "this is a bug (KeyError at test_jobs.py:"),
    ],
)
def test_whatever_happens_to_one_job_the_others_go_on(
    error: Exception, text: str, tasks: list[Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = transfer.Transfer.steps

    def steps(self: transfer.Transfer) -> Any:
        if self.inputs["content"][0]["name"] == "b.png":
            raise error
        return real(self)

    monkeypatch.setattr(transfer.Transfer, "steps", steps)
    outcomes = run(tasks, jobs.here)
    assert statuses(outcomes) == ["done", "failed", "done"]
    assert str(outcomes[1].error).startswith(f"b.png: {text}")


def test_an_order_can_be_emptied_and_filled_again() -> None:
    blobs = [painter.Blob.of(name, name.encode()) for name in "abcde"]
    order = Order(blobs[0], (blobs[1], blobs[2]), QUICK, init=(blobs[3],), net=(blobs[4],))
    bare = order.filled(b"" for _ in order.blobs)
    assert [blob.data for blob in bare.blobs] == [b""] * 5
    assert bare.filled(blob.data for blob in order.blobs) == order
