"""Jobs: their names, what is kept and what is done again, and whatever can go wrong between; the painter last."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import impasto
import thin
from impasto import files
from impasto.cli import app as cli
from impasto.cli.batch import report
from impasto.cli.console import Console
from impasto.errors import DivergenceError, Failure, OptionError, OutputError, SomeFailedError
from impasto.files import Blob
from impasto.paint import optimize, targets, transfer
from impasto.paint import run as painting
from impasto.recipe import Recipe
from impasto.work import jobs, manifest
from impasto.work.events import Event, Note
from impasto.work.interrupts import Interrupted
from impasto.work.job import Job, file_names
from impasto.work.jobs import Entry
from impasto.work.worker import Answer, here

QUICK = Recipe(size=24, iterations=2, levels=1)
FULL = OSError(28, "No space left on device")


class Carrier:
    """Paints nothing: answers with the content's bytes, and remembers what it was asked for."""

    def __init__(self, failing: str = "", stop_before: int | None = None) -> None:
        self.asked: list[str] = []
        self.failing, self.stop_before = failing, stop_before

    def __call__(self, packed: Iterable[tuple[int, Job]], tell: Callable[[int, float], object]) -> jobs.Answers:
        for number, job in packed:
            if len(self.asked) == self.stop_before:
                raise KeyboardInterrupt
            name = Path(job.content.name).name
            self.asked.append(name)
            tell(number, 0.5)
            data = job.content.data + job.styles[0].data
            failed = Answer(failure=Failure("picture", f"content {name}: bad"))
            yield number, failed if name == self.failing else Answer(data, "{}\n", {"total": 2.0}, 1, ())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with photos of 24×16 px and a style."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    for name in ("a", "b", "c", "style"):
        Image.fromarray(random.integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(f"{name}.png")
    return tmp_path


@pytest.fixture
def three(folder: Path) -> list[Job]:
    return [Job(f"{name}.png", ("style.png",), QUICK, f"sub/{name}-style") for name in "abc"]


def run(made: list[Job], carry: jobs.Carry | None = None, **options: Any) -> list[Entry]:
    """Painted into the folder out, with everything said on stderr."""
    return jobs.run(made, Path("out"), carry=carry or Carrier(), **{"tell": Console().tell, **options})


def lines() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out/manifest.jsonl").read_bytes().splitlines()]


def said(entry: Entry) -> str:
    """Why it failed."""
    assert entry.failure is not None
    return entry.failure.message


def statuses(entries: list[Entry]) -> list[str]:
    return [entry.status for entry in entries]


# ---- names ----


def test_the_key_is_of_bytes_and_recipe_and_not_of_names_or_speed(folder: Path) -> None:
    job = Job("a.png", ("style.png", "b.png"), QUICK, "x")
    Path("copy.png").write_bytes(Path("a.png").read_bytes())
    same = [
        Job("copy.png", job.styles, QUICK, "elsewhere"),
        Job("a.png", job.styles, QUICK.replace(device="cpu", max_memory=3, tile=8), "x"),
    ]
    other = [
        Job("c.png", job.styles, QUICK, "x"),
        Job("a.png", job.styles[::-1], QUICK, "x"),
        Job("a.png", job.styles[:1], QUICK, "x"),
        Job("a.png", job.styles, QUICK.replace(seed=1), "x"),
        Job("a.png", job.styles, QUICK.replace(init="b.png"), "x"),
        Job("a.png", job.styles, QUICK.replace(init="c.png"), "x"),
        Job("a.png", job.styles, QUICK.replace(net="b.png"), "x"),
        Job("a.png", job.styles, QUICK.replace(net="b.png@caffe"), "x"),
        Job("a.png", job.styles, QUICK.replace(net="vgg19"), "x"),
        Job("none.png", job.styles, QUICK, "x"),
        Job("gone.png", job.styles, QUICK, "x"),
        Job("nul\0.png", job.styles, QUICK, "x"),
    ]
    assert {one.key for one in same} == {job.key}
    assert len({one.key for one in [job, *other]}) == 1 + len(other)


def test_the_key_follows_a_file_that_changes(folder: Path) -> None:
    before = Job("a.png", ("style.png",), QUICK, "x").key
    Path("a.png").write_bytes(Path("a.png").read_bytes() + b"x")
    assert Job("a.png", ("style.png",), QUICK, "x").key != before


class Same(Job):
    key = ""

    def __init__(self, key: str) -> None:
        super().__init__("a.png", ("style.png",), QUICK, "p/x")
        object.__setattr__(self, "key", key)


def test_two_jobs_whose_names_would_be_the_same_get_longer_ones() -> None:
    one, other = Same("01234567" + "a" * 56), Same("01234567" + "b" * 56)
    assert file_names([one, one], ".png") == ["p/x-01234567.png"] * 2
    assert file_names([one, other], ".png") == ["p/x-01234567aaaaaaaa.png", "p/x-01234567bbbbbbbb.png"]


def test_overlong_names_are_cut_to_what_file_systems_take(folder: Path) -> None:
    entry = run([Job("a.png", ("style.png",), QUICK, "é" * 300)], extras=True)[0]
    assert entry.file is not None
    assert len(entry.file.name.encode()) == 200 + len("-01234567.png")
    assert entry.file.is_file()


@pytest.mark.parametrize("place", ["", "/tmp/x", "../x", "a/../../x", "x\0", ".."])
def test_a_place_outside_the_folder_is_refused(place: str, folder: Path) -> None:
    with pytest.raises(OptionError, match="no name below the output folder"):
        run([Job("a.png", ("style.png",), QUICK, place)])
    assert not Path("out").exists()


def test_an_unknown_suffix_is_refused(three: list[Job]) -> None:
    with pytest.raises(OptionError, match=r"\.gif"):
        run(three, suffix=".gif")


# ---- what is done and what is kept ----


def test_entries_come_in_the_order_of_the_three_and_equal_jobs_are_done_once(three: list[Job]) -> None:
    carrier = Carrier()
    entries = run([three[1], three[0], three[1]], carrier)
    assert carrier.asked == ["b.png", "a.png"]
    assert [entry.job for entry in entries] == [three[1], three[0], three[1]]
    names = [
        f"sub/{name}-style-{job.key[:8]}.png" for name, job in zip("bab", [three[1], three[0], three[1]], strict=True)
    ]
    assert [entry.file for entry in entries] == [Path("out", name) for name in names]
    assert entries[0].file is not None
    assert entries[0].file.read_bytes() == Path("b.png").read_bytes() + Path("style.png").read_bytes()
    entry = lines()[0]
    assert entry["key"] == three[1].key
    assert entry["file"] == names[0]
    assert (entry["content"], entry["styles"], entry["losses"]) == ("b.png", ["style.png"], {"total": 2.0})
    assert Recipe(**entry["recipe"]) == QUICK
    assert len(lines()) == 2


def test_equal_pictures_in_two_places_are_two_jobs(folder: Path) -> None:
    places = [Job("a.png", ("style.png",), QUICK, place) for place in ("one/x", "two/x")]
    assert len({entry.file for entry in run(places)}) == 2
    assert statuses(run(places)) == ["kept", "kept"]


def test_a_second_run_keeps_what_is_finished(three: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    first = run(three[:2])
    carrier = Carrier()
    second = run(three, carrier)
    assert carrier.asked == ["c.png"]
    assert statuses(second) == ["kept", "kept", "done"]
    assert [one.losses for one in second[:2]] == [one.losses for one in first]
    report(second, Console())
    assert "1 painted, 2 there already, 0 failed" in capsys.readouterr().err


@pytest.mark.parametrize("harm", [b"", b"other", None])
def test_only_the_hash_of_the_file_says_that_it_is_done(
    harm: bytes | None, three: list[Job], capsys: pytest.CaptureFixture[str]
) -> None:
    file = run(three)[1].file
    assert file is not None
    good = file.read_bytes()
    if harm is None:
        file.unlink()
    else:
        file.write_bytes(harm)
    assert statuses(run(three)) == ["kept", "done", "kept"]
    assert file.read_bytes() == good
    said = capsys.readouterr().err
    assert (f"{file}: is not what manifest.jsonl says; it is painted again" in said) == (harm is not None)


def test_without_the_manifest_all_is_done_again(three: list[Job]) -> None:
    run(three)
    Path("out/manifest.jsonl").unlink()
    assert statuses(run(three)) == ["done"] * 3


def test_extras_lie_beside_the_picture_and_belong_to_it(three: list[Job]) -> None:
    run(three)
    file = run(three, extras=True)[0].file
    assert file is not None
    assert file.with_suffix(".jsonl").read_text(encoding="utf-8") == "{}\n"
    assert Recipe.from_file(file.with_suffix(".toml")) == QUICK
    assert statuses(run(three, extras=True)) == ["kept"] * 3
    file.with_suffix(".toml").unlink()
    assert statuses(run(three, extras=True)) == ["done", "kept", "kept"]


def test_wherever_the_last_line_is_cut_only_its_job_is_done_again(three: list[Job]) -> None:
    run(three[:2])
    path = Path("out/manifest.jsonl")
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for end in [*range(first, first + 12), len(whole) - 2, len(whole) - 1]:
        path.write_bytes(whole[:end])
        carrier = Carrier()
        assert statuses(run(three[:2], carrier)) == ["kept", "done"]
        assert carrier.asked == ["b.png"]
        assert len(lines()) == 2
    for end in (1, 5, first - 1):
        path.write_bytes(whole[:end])
        assert statuses(run(three[:2])) == ["done", "done"]


# ---- what goes wrong ----


def test_a_failed_job_is_an_entry_and_is_tried_again(three: list[Job]) -> None:
    entries = run(three, Carrier(failing="b.png"))
    assert statuses(entries) == ["done", "failed", "done"]
    assert (entries[1].file, said(entries[1])) == (None, "content b.png: bad")
    assert lines()[1]["error"] == "content b.png: bad"
    assert statuses(run(three)) == ["kept", "done", "kept"]


def test_inputs_that_cannot_be_read_fail_in_their_place(three: list[Job]) -> None:
    Path("empty.png").touch()
    os.mkfifo("pipe.png")
    bad = ["none.png", "empty.png", "pipe.png", "."]
    other = [Job(name, ("style.png",), QUICK, f"x{number}") for number, name in enumerate(bad)]
    nets = [Job("a.png", ("style.png",), QUICK.replace(net=net), "y") for net in ("none.h5", "pipe.png", ".@caffe")]
    init = Job("a.png", ("style.png",), QUICK.replace(init="none.png"), "z")
    entries = run([three[0], *other, *nets, init, three[1]])
    assert statuses(entries) == ["done", *["failed"] * 8, "done"]
    why = [said(entry) for entry in entries[1:-1]]
    assert why[0] == "content none.png: no such file; check the name"
    assert why[4] == "a.png: none.h5: no such file; give the path of a file, or lite or vgg19"
    assert why[7] == "a.png: init none.png: no such file; check the name"


def test_the_report_names_the_failed_and_raises(three: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    missing = [Job(f"none{n}.png", ("style.png",), QUICK, "x") for n in range(5)]
    entries = run([*three, missing[0]])
    with pytest.raises(SomeFailedError) as caught:
        report(entries, Console())
    assert str(caught.value) == "1 of 4 pictures failed: content none0.png: no such file; check the name"
    assert caught.value.exit_status == 5
    capsys.readouterr()
    with pytest.raises(
        SomeFailedError, match=r"5 of 8 pictures failed: .*none2.*; and 2 more, all in manifest\.jsonl$"
    ):
        report(run([*three, *missing]), Console())
    assert capsys.readouterr().err.count("\nfailed: content none") == 5


def test_what_stands_in_the_way_is_never_touched(three: list[Job], folder: Path) -> None:
    names = file_names(three, ".png")
    Path("out", names[0]).mkdir(parents=True)
    Path("precious.png").write_bytes(b"precious")
    Path("out", names[1]).symlink_to(folder / "precious.png")
    entries = run(three)
    assert statuses(entries) == ["failed", "failed", "done"]
    assert said(entries[1]) == f"b.png: out/{names[1]}: is no regular file; move it away"
    assert Path("precious.png").read_bytes() == b"precious"


def test_a_file_in_the_place_of_a_folder_fails_its_jobs_only(three: list[Job]) -> None:
    Path("out").mkdir()
    Path("out/sub").touch()
    entries = run([*three[:1], Job("b.png", ("style.png",), QUICK, "b")])
    assert statuses(entries) == ["failed", "done"]
    assert "Not a directory" in said(entries[0])


def test_other_files_of_the_folder_stay(three: list[Job]) -> None:
    Path("out/sub").mkdir(parents=True)
    Path("out/sub/a-style.png").write_bytes(b"mine")
    run(three)
    assert Path("out/sub/a-style.png").read_bytes() == b"mine"


@pytest.mark.parametrize("text", [b"my notes\n", b"{}\n", b"[1]\n[2]", b"mine", b'{"a": 1}\n'])
def test_a_manifest_of_something_else_is_refused_and_stays(text: bytes, three: list[Job]) -> None:
    Path("out").mkdir()
    Path("out/manifest.jsonl").write_bytes(text)
    with pytest.raises(OutputError, match="is no list of finished jobs"):
        run(three)
    assert Path("out/manifest.jsonl").read_bytes() == text


def test_two_runs_into_one_folder_are_refused(three: list[Job]) -> None:
    with manifest.Manifest(Path("out")), pytest.raises(OutputError, match="another run is writing to this folder"):
        run(three)
    assert statuses(run(three)) == ["done"] * 3


def test_a_folder_that_cannot_be_made_is_one_line(three: list[Job]) -> None:
    Path("out").touch()
    with pytest.raises(OutputError, match=r"out: cannot be made \(File exists\); choose another folder"):
        run(three)


def test_a_full_disk_ends_the_run_and_leaves_what_is_finished(
    three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = os.fsync, iter(range(100))

    def full_at_last(number: int) -> None:
        if next(calls) >= 3:  # picture a, its line, picture b; then its line
            raise FULL
        real(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_at_last)
        with pytest.raises(OutputError, match="No space left on device"):
            run(three)
    assert [entry["content"] for entry in lines()] == ["a.png"]
    assert statuses(run(three)) == ["kept", "done", "done"]
    assert not [path for path in Path("out").rglob("*") if path.suffix == ".tmp"]


def test_an_interrupt_keeps_what_is_finished_and_says_how_to_go_on(three: list[Job]) -> None:
    with pytest.raises(Interrupted, match=r"interrupted; 2 of 3 pictures are finished; the same command goes on"):
        run(three, Carrier(stop_before=2))
    assert statuses(run(three)) == ["kept", "kept", "done"]


def test_a_signal_during_the_saving_waits_for_its_end(three: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    real = files.write

    def signalled(path: Path, data: bytes) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        real(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", signalled)
        with pytest.raises(Interrupted, match="1 of 3"):
            run(three)
    assert [entry["content"] for entry in lines()] == ["a.png"]
    assert statuses(run(three)) == ["kept", "done", "done"]


def test_an_input_that_changes_during_the_run_fails(three: list[Job]) -> None:
    def changing(packed: Iterable[tuple[int, Job]], tell: Callable[[int, float], object]) -> jobs.Answers:
        for answer in Carrier()(packed, tell):
            Path("b.png").write_bytes(b"something else")
            yield answer

    entries = run(three, changing)
    assert statuses(entries) == ["done", "failed", "done"]
    assert said(entries[1]) == "b.png: it or a style has changed since the run began; run it again"


def test_nothing_to_do_starts_nothing(folder: Path) -> None:
    def never(packed: Iterable[tuple[int, Job]], tell: Callable[[int, float], object]) -> jobs.Answers:
        raise AssertionError
        yield

    assert run([], never) == []


# ---- the painter, for real ----


def test_a_job_gives_the_picture_that_a_single_run_gives(folder: Path, thin_path: str) -> None:
    """Also that files named in the recipe travel as bytes, and that no name of a temporary file is left anywhere."""
    net, init = Path("net.safetensors"), Path("b.png")
    net.write_bytes(Path(thin_path).read_bytes())
    recipe = QUICK.replace(net=str(net), init=str(init))
    entry = run([Job("a.png", ("style.png", "c.png"), recipe, "x")], here, extras=True)[0]
    assert entry.failure is None
    assert entry.file is not None
    alone = impasto.stylize("a.png", ["style.png", "c.png"], recipe)
    alone.save("alone.png")
    assert entry.file.read_bytes() == Path("alone.png").read_bytes()
    assert entry.losses == dict(alone.losses)
    cli.run(["a.png", "style.png", "c.png", "--recipe", "alone.png", "-o", "again.png", "--trace", "again.jsonl"])
    header, *steps = map(json.loads, entry.file.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines())
    others = list(map(json.loads, Path("again.jsonl").read_text(encoding="utf-8").splitlines()))
    assert header == others[0]
    assert len(steps) == 2
    assert [{**step, "seconds": 0} for step in steps] == [{**step, "seconds": 0} for step in others[1:]]


def test_the_form_of_a_weights_file_goes_with_it(folder: Path) -> None:
    thin.write_pth(Path("net.pth"), {key: value.numpy() for key, value in _net().items()})
    recipes = [QUICK.replace(net=f"net.pth@{form}") for form in ("caffe", "torchvision")]
    entries = run([Job("a.png", ("style.png",), recipe, "x") for recipe in recipes], here)
    assert statuses(entries) == ["done", "done"], [one.failure for one in entries]
    assert entries[0].losses != entries[1].losses


def _net() -> dict[str, Any]:
    import plain

    return plain.tensors()


def test_messages_name_the_files_as_the_user_does(folder: Path) -> None:
    Path("photos").mkdir()
    Path("photos/bad.jpg").write_bytes(b"\xff\xd8\xffnonsense")
    Path("net.h5").write_bytes(b"\x89HDF\r\n\x1a\nnonsense")
    three = [
        Job("photos/bad.jpg", ("style.png",), QUICK, "x"),
        Job("a.png", ("photos/bad.jpg",), QUICK, "y"),
        Job("a.png", ("style.png",), QUICK.replace(net="net.h5"), "z"),
        Job("a.png", ("style.png",), QUICK, "good"),
    ]
    entries = run(three, here)
    assert statuses(entries) == ["failed"] * 3 + ["done"]
    why = [said(entry) for entry in entries[:3]]
    for start, text in zip(
        ("content photos/bad.jpg: ", "a.png: style photos/bad.jpg: ", "a.png: net.h5: "), why, strict=True
    ):
        assert text.startswith(start), text
        assert "tmp" not in text
        assert "\n" not in text


def test_features_and_networks_are_computed_once_for_all_jobs(
    three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    loaded: list[str] = []
    observe, load = targets.observe, targets.load
    monkeypatch.setattr(targets, "observe", lambda *given: seen.append("observed") or observe(*given))
    monkeypatch.setattr(targets, "load", lambda net: loaded.append(net) or load(net))
    gram = QUICK.replace(style_loss="gram")
    cells = [Job("a.png", ("style.png",), gram.replace(seed=seed), f"{seed}") for seed in range(3)]
    assert statuses(run(cells, here)) == ["done"] * 3
    assert len(seen) == 2  # the content's maps and the style's Gram matrices
    assert loaded == ["lite"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DivergenceError("the loss is lost"), "the loss is lost"),
        (MemoryError(), "not enough memory for 24×16; use a smaller --size"),
        (
            RuntimeError("CUDA out of memory. Tried to allocate"),
            "not enough memory for 24×16; use a smaller --size",
        ),
        (KeyError("x"), "this is a bug (KeyError at test_jobs.py:"),
    ],
)
def test_whatever_happens_to_one_job_the_others_go_on(
    error: Exception, text: str, three: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = painting.Transfer.steps

    def steps(self: painting.Transfer) -> Any:
        if self.scene.inputs["content"][0]["name"] == "b.png":
            raise error
        return real(self)

    monkeypatch.setattr(painting.Transfer, "steps", steps)
    entries = run(three, here)
    assert statuses(entries) == ["done", "failed", "done"]
    assert said(entries[1]).startswith(f"b.png: {text}")


def test_a_packed_job_can_be_emptied_and_filled_again(folder: Path) -> None:
    Path("net.h5").write_bytes(b"weights")
    job = Job("a.png", ("b.png", "style.png"), QUICK.replace(init="c.png", net="net.h5"), "x")
    packed = job.packed(Blob.of("net.h5", b"weights"))
    assert [blob.name for blob in packed.blobs] == ["a.png", "b.png", "style.png", "c.png", "net.h5"]
    assert packed.key == job.key
    bare = packed.filled(b"" for _ in packed.blobs)
    assert [blob.data for blob in bare.blobs] == [b""] * 5
    assert bare.filled(blob.data for blob in packed.blobs) == packed


def test_a_job_that_diverges_saves_its_best_picture(
    three: list[Job], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real, calls = transfer.Objective.__call__, iter(range(1000))

    def lost(self: Any, picture: Any) -> optimize.Evaluation:
        found = real(self, picture)
        return found if next(calls) < 3 else optimize.Evaluation(float("nan"), found.gradient, found.terms)

    long = [Job("a.png", ("style.png",), QUICK.replace(iterations=40), "x")]
    with monkeypatch.context() as patch:
        patch.setattr(transfer.Objective, "__call__", lost)
        (entry,) = run(long, here, extras=True)
    assert entry.status == "failed"
    assert entry.failure is not None
    assert entry.failure.kind == "diverged"
    assert entry.file is not None
    assert said(entry).startswith("a.png: the loss is not a finite number at evaluation")
    assert said(entry).endswith(f"; the best picture so far is saved in {entry.file}")
    with Image.open(entry.file) as picture:
        assert picture.size == (24, 16)
    assert entry.file.with_suffix(".jsonl").read_text(encoding="utf-8").count("\n") == 1 + 6  # three good, three lost
    (line,) = lines()
    assert (line["kind"], line["unfinished"], "file" in line) == ("diverged", entry.file.name, False)
    capsys.readouterr()
    assert statuses(run(long, here, extras=True)) == ["done"]
    assert "is not what manifest.jsonl says" not in capsys.readouterr().err


def test_events_tell_all_there_is_to_show(three: list[Job]) -> None:
    told: list[Event] = []
    run([*three, Job("none.png", ("style.png",), QUICK, "x")], tell=told.append)
    kinds = [type(event).__name__ for event in told]
    assert kinds == ["Begun", *["Share", "Ended"] * 3, "Ended"]
    assert [event.place for event in told if isinstance(event, jobs.Ended)] == [1, 2, 3, 4]
    assert not [event for event in told if isinstance(event, Note)]


def test_neither_cyclopts_nor_rich_is_needed(three: list[Job]) -> None:
    """Batches and sweeps are a library's, too."""
    code = """
import sys
sys.modules.update(cyclopts=None, rich=None)
from pathlib import Path
from impasto.recipe import Recipe
from impasto.work import axes, batch, jobs, sweep
quick, told = Recipe(size=24, iterations=1, levels=1), []
found = batch.jobs(["a.png"], ["style.png"], quick, Path("many"))
assert [entry.status for entry in jobs.run(found, Path("many"), tell=told.append)] == ["done"]
made = sweep.run("a.png", ["style.png"], [axes.Axis("seed", (1, 2))], quick, Path("s.png"), tell=told.append)
assert [entry.status for entry in made.entries] == ["done", "done"] and made.page.is_file()
print(sorted({type(event).__name__ for event in told}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['Begun', 'Drawn', 'Ended', 'Share']\n"
    assert done.stderr == ""
