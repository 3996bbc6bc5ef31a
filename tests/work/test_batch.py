"""`impasto batch`: which photos are meant, and whole runs, some of them killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from impasto.__main__ import main
from impasto.cli import app as cli
from impasto.cli.batch import batch as batch_command
from impasto.cli.console import Console
from impasto.cli.flags import gather
from impasto.errors import ImageReadError, OptionError
from impasto.recipe import Recipe
from impasto.work import batch
from impasto.work.events import Begun, Ended, Share
from many import child, draw, entries, wait_for

QUICK = ("--size", "24", "--iterations", "2", "--levels", "1")


# ---- which photos ----


def test_folders_are_searched_at_any_depth_in_order(gallery: Path) -> None:
    picture = (gallery / "one.png").read_bytes()
    for name in ("b.PNG", "a.jpg", "z/c.tiff", "z/y/d.webp", ".hidden.png", ".git/e.png", "z/notes.txt", "out/f.png"):
        path = gallery / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"text" if path.suffix == ".txt" else picture)
    (gallery / "in" / "g.png").mkdir()
    found = batch.find(["in", "one.png", "in/.hidden.png"], Path("in/out"))
    assert [(Path(path).as_posix(), below) for path, below in found] == [
        ("in/a.jpg", ()),
        ("in/b.PNG", ()),
        ("in/z/c.tiff", ("z",)),
        ("in/z/y/d.webp", ("z", "y")),
        ("one.png", ()),
        ("in/.hidden.png", ()),
    ]


def test_the_folder_itself_may_be_hidden_or_the_current_one(gallery: Path) -> None:
    draw(gallery / ".in" / "a.png", 3)
    assert batch.find([".in"], Path("out")) == [(str(Path(".in/a.png")), ())]
    assert [path for path, _ in batch.find(["."], Path("out"))] == ["one.png", "two.png"]


def test_a_folder_without_pictures_is_an_error(gallery: Path) -> None:
    (gallery / "empty").mkdir()
    with pytest.raises(ImageReadError, match=r"^empty: holds no pictures \(JPEG PNG"):
        batch.find(["one.png", "empty"], Path("out"))
    (gallery / "empty" / "notes.txt").write_text("text")
    (gallery / "empty" / "fake.jpg").write_text("text")
    with pytest.raises(ImageReadError, match=r"\), but other files: 1 jpg that is no picture, 1 text$"):
        batch.find(["one.png", "empty"], Path("out"))


def test_a_circle_of_links_ends(gallery: Path) -> None:
    draw(gallery / "in" / "a.png", 3)
    (gallery / "in" / "again").symlink_to(gallery / "in")
    assert [path for path, _ in batch.find(["in"], Path("out"))] == [str(Path("in/a.png"))]


def test_pairs_and_places(gallery: Path) -> None:
    draw(gallery / "in" / "deep" / "a.b.png", 3)
    each = batch.jobs(["in", "one.png"], ["one.png", "two.png"], Recipe(), Path("out"))
    assert [(job.styles, job.place) for job in each] == [
        (("one.png",), "deep/a.b-one"),
        (("two.png",), "deep/a.b-two"),
        (("one.png",), "one-one"),
        (("two.png",), "one-two"),
    ]
    blended = batch.jobs(["in"], ["one.png", "two.png"], Recipe(blend=(1, 2)), Path("out"), pairs="all")
    assert [(job.styles, job.place) for job in blended] == [(("one.png", "two.png"), "deep/a.b-one-two")]


def test_a_blend_that_can_fit_no_photo_is_refused_at_once(gallery: Path) -> None:
    with pytest.raises(OptionError, match="--blend: 2 weights for 1 style pictures; leave it out, or"):
        batch.jobs(["one.png"], ["one.png", "two.png"], Recipe(blend=(1, 2)), Path("out"))
    with pytest.raises(OptionError, match="--blend: 3 weights for 2 style pictures; give one each"):
        batch.jobs(["one.png"], ["one.png", "two.png"], Recipe(blend=(1, 2, 3)), Path("out"), pairs="all")


# ---- the command ----


def test_the_flags_of_ray_are_taken_apart() -> None:
    tail = ["--style", "s.png", "--out", "o"]
    for given, address in [
        (["--ray", "photo.png"], "local"),
        (["photo.png", "--ray"], "local"),
        (["--ray", "10.0.0.1:6379", "photo.png"], "10.0.0.1:6379"),
        (["--ray", "ray://head:10001", "photo.png"], "ray://head:10001"),
        (["--ray=auto", "photo.png"], "auto"),
        (["photo.png"], None),
    ]:
        flags = [*tail, "--gpus-per-job", "0.5", "--cpus-per-job", "2"]
        arguments = gather(["batch", *given, *flags])
        command, bound, _ = cli.app.parse_args(arguments, exit_on_error=False, print_error=False)
        assert command is batch_command
        assert bound.args == ("photo.png",)
        elsewhere = bound.kwargs["elsewhere"]
        assert (elsewhere.ray, elsewhere.gpus_per_job, elsewhere.cpus_per_job) == (address, 0.5, 2)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["--style", "one.png", "--out", "out"], 2, "at least one photo or folder"),
        (["one.png", "--out", "out"], 2, "--style"),
        (["one.png", "--style", "one.png"], 2, "--out"),
        (["one.png", "--style", "one.png", "--out", "out", "--pairs", "none"], 2, "none"),
        (["one.png", "--style", "one.png", "--out", "out", "--size", "-3"], 2, "--size"),
        (["one.png", "--style", "one.png", "--out", "one.png"], 6, "one.png: cannot be made"),
        (
            ["none.png", "--style", "one.png", "--out", "out"],
            5,
            "1 of 1 pictures failed: content none.png: no such file",
        ),
        (
            ["one.png", "--style", "one.png", "--style", "no.png", "--out", "out"],
            3,
            "style no.png: no such file; check",
        ),
        (["one.png", "--style", "bad", "--out", "out"], 3, "style bad: is not JPEG"),
        (["one.png", "--style", "*.jpg", "--out", "out"], 3, "style *.jpg: no such file, and none that matches it"),
        (["*.tif", "--style", "one.png", "--out", "out"], 3, "content *.tif: no such file, and none that matches it"),
        (["one.png", "--style", "one.png", "--keep", "no.png", "--out", "out"], 3, "keep no.png: no such file"),
        (["one.png", "--style", "one.png", "--init", "nois", "--out", "out"], 2, "init 'nois': neither a file nor one"),
        (["one.png", "--style", "one.png", "--out", "out", "--ray", "--cpus-per-job", "0"], 2, "--cpus-per-job: 0"),
        (["one.png", "--style", "one.png", "--out", "out", "--ray", "--gpus-per-job", "-1"], 2, "--gpus-per-job: -1"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str], status: int, text: str, gallery: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (gallery / "bad").write_bytes(b"text")
    assert main(["batch", *arguments, "--quiet"]) == status
    out, err = capfd.readouterr()
    assert status == 5 or not list(gallery.rglob("out/*.*"))  # nothing was begun
    assert out == ""
    assert err.startswith("impasto: ")
    assert err.count("\n") == 1
    assert text in err


def test_without_ray_the_command_that_installs_it_is_named(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["batch", "one.png", "--style", "two.png", "--out", "out", "--ray"]) == 2
    assert capfd.readouterr().err == 'impasto: --ray: Ray is not installed; pip install "ray>=2.40"\n'
    assert not Path("out").exists()


def test_ray_is_not_imported_unless_asked_for(gallery: Path) -> None:
    code = "import sys; from impasto.__main__ import main; main(sys.argv[1:]); assert 'ray' not in sys.modules"
    arguments = ["batch", "one.png", "--style", "two.png", "--out", "out", *QUICK]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


def test_twelve_photos_one_of_them_corrupt(photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    command = ["batch", "photos", "--style", "one.png", "--out", "photos/out", "--format", "jpg", *QUICK]
    assert main(command) == 5
    out, err = capfd.readouterr()
    assert out == ""
    assert "painting 12 pictures into photos/out" in err
    assert "\n11 painted, 0 there already, 1 failed\n" in err
    assert err.splitlines()[-1].startswith(
        "impasto: 1 of 12 pictures failed: content photos/deep/bad.jpg: cannot be decoded"
    )
    results = sorted(path.relative_to(photos / "out") for path in (photos / "out").rglob("*.jpg"))
    assert len(results) == 11
    assert {str(path.parent) for path in results} == {".", "deep/er"}
    assert all(path.name[2:7] == "-one-" for path in results)
    assert {path: path.read_bytes() for path in before} == before
    assert main(command) == 5  # the results are no photos, and none is painted again
    assert "\n0 painted, 11 there already, 1 failed\n" in capfd.readouterr().err
    assert len(list((photos / "out").rglob("*.jpg"))) == 11


def test_quiet_leaves_the_failures(gallery: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", "one.png", "none.png", "--style", "two.png", "--out", "out", "--quiet", *QUICK]) == 5
    assert capfd.readouterr().err == (
        "impasto: 1 of 2 pictures failed: content none.png: no such file; check the name\n"
    )


def test_killed_half_way_it_does_only_what_is_missing(photos: Path) -> None:
    command = ("photos", "--style", "one.png", "--out", "out", "--size", "48", "--iterations", "12", "--levels", "1")
    out = Path("out")
    with child(*command) as process:
        wait_for(lambda: len(entries(out)) >= 4, process)
        process.kill()
    done = {entry["file"]: (out / entry["file"]).stat().st_mtime_ns for entry in entries(out) if "file" in entry}
    assert 3 <= len(done) < 11
    assert main(["batch", *command]) == 5
    assert {name: (out / name).stat().st_mtime_ns for name in done} == done
    files = [entry["file"] for entry in entries(out) if "file" in entry]
    assert len(files) == len(set(files)) == len(list(out.rglob("*.png"))) == 11
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_one_line_that_says_how_to_go_on(number: int, photos: Path) -> None:
    command = ("photos", "--style", "one.png", "--out", "out", "--size", "48", "--iterations", "40", "--levels", "1")
    with child(*command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)) as process:
        wait_for(lambda: len(entries(Path("out"))) >= 2, process)
        os.kill(process.pid, number)
        assert process.wait(600) == cli.INTERRUPTED
        assert process.stderr is not None
        last = process.stderr.read().splitlines()[-1]
    assert last.startswith("impasto: interrupted; ")
    assert last.endswith(" of 12 pictures are finished; the same command goes on from there")


# ---- the bar ----


def test_one_bar_counts_pictures_and_shares() -> None:
    shown: list[dict[str, Any]] = []

    class Live:
        task_ids = (0,)

        def update(self, _: int, **fields: Any) -> None:
            shown.append(fields)

    console = Console(quiet=True)
    console.tell(Begun(4, 0, Path("out")))
    console.bars, console._live = True, Live()  # type: ignore[assignment]
    console.tell(Share(0, 0.5))
    console.tell(Share(1, 0.25))
    assert shown[-1]["completed"] == 0.75
    assert "left" in shown[-1]["clock"]
    console.tell(Ended(0, 1, 4, Path("out/x.png"), 1.0, {}, None))
    assert (shown[-1]["completed"], shown[-1]["place"]) == (1.25, "1 of 4 pictures")


# ---- results among the photos ----


def test_results_are_not_taken_for_photos_in_the_same_folder(gallery: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ["batch", ".", "--style", "one.png", "--out", ".", *QUICK]
    assert main(command) == 0
    assert "2 painted, 0 there already" in capfd.readouterr().err
    painted = sorted(entry["file"] for entry in entries(Path()))
    assert main(command) == 0
    assert "0 painted, 2 there already" in capfd.readouterr().err
    draw(gallery / "IMG-1234abcd.png", 7)  # named like a result, but the manifest knows better
    assert main(command) == 0
    assert "1 painted, 2 there already" in capfd.readouterr().err
    assert set(painted) < {path.name for path in gallery.glob("*.png")}


def test_without_a_manifest_results_say_what_they_are_or_are_refused(
    gallery: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = ["batch", ".", "--style", "one.png", "--out", ".", *QUICK]
    assert main(command) == 0
    Path("manifest.jsonl").unlink()
    assert len(batch.find(["."], Path())) == 2  # PNG files carry their recipe
    for path in gallery.glob("*-one-*.png"):
        path.unlink()
    assert main([*command, "--format", "jpg"]) == 0
    Path("manifest.jsonl").unlink()
    capfd.readouterr()
    assert main([*command, "--format", "jpg"]) == 2
    assert "no manifest.jsonl to tell photos and results apart; choose another folder" in capfd.readouterr().err
    assert len(batch.find(["."], Path("elsewhere"))) == 4  # into another folder they are pictures like any other


def test_an_output_folder_above_the_photos(gallery: Path) -> None:
    draw(gallery / "photos" / "IMG-1234abcd.jpg", 5)
    assert [path for path, _ in batch.find(["photos"], Path())] == [str(Path("photos/IMG-1234abcd.jpg"))]
