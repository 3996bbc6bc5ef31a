"""impasto in a pipe: a picture on standard input, the result on standard output; and -o with a folder."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from commands import Command, names, pixels, traced
from impasto.cli import streams
from impasto.cli.flags import gather
from impasto.cli.paths import target
from impasto.errors import OptionError, OutputError

QUICK = ("--size", "24", "--iterations", "3", "--levels", "1")
GIVEN = {"photo.png", "one.png", "two.png"}


def piped(*arguments: str, given: bytes | None = None, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """A run in a process of its own; status, bytes on stdout, text on stderr."""
    command = [sys.executable, "-m", "impasto", *arguments]
    options = {"input": given, **options} if given is not None else {"stdin": subprocess.DEVNULL, **options}
    return subprocess.run(
        command, check=False, timeout=600, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    )


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


# ---- standard input ----


def test_a_photo_comes_in_and_a_picture_goes_out(impasto: Command, folder: Path) -> None:
    assert impasto("photo.png", "one.png", "-o", "x.png", *QUICK).status == 0
    run = piped("-", "one.png", "-o", "-", *QUICK, given=(folder / "photo.png").read_bytes())
    assert run.returncode == 0
    picture = opened(run.stdout)
    assert (picture.format, picture.info["impasto"].count('"standard input"')) == ("PNG", 1)
    assert np.array_equal(np.asarray(picture), pixels(folder / "x.png"))
    opening, *_, ending = run.stderr.decode().splitlines()
    assert opening.startswith("painting to standard output: 24×16, 1 level, 3 steps")
    assert ending.startswith("painted to standard output (24×16, ")
    assert names(folder) == GIVEN | {"x.png"}


def test_a_painting_comes_in(impasto: Command, folder: Path) -> None:
    assert impasto("photo.png", "one.png", "two.png", "-o", "x.png", *QUICK).status == 0
    run = piped("photo.png", "one.png", "-", "-o", "y.png", *QUICK, given=(folder / "two.png").read_bytes())
    assert (run.returncode, run.stdout) == (0, b"")
    assert np.array_equal(pixels(folder / "x.png"), pixels(folder / "y.png"))


@pytest.mark.parametrize(
    ("arguments", "given", "status", "line"),
    [
        (
            ["-", "one.png", "-o", "-"],
            b"",
            3,
            "content standard input: is empty (0 bytes); pipe a picture into it",
        ),
        (["photo.png", "-", "-o", "-"], b"no picture", 3, "style standard input: is not JPEG"),
        (["-", "-", "-o", "x.png"], b"", 2, "-: standard input is one picture; name files for the others"),
        (
            ["-", "one.png"],
            b"",
            2,
            "-o is needed to say where the result goes: -o out.png for a file, -o - for standard output",
        ),
        (
            ["/dev/stdin", "one.png", "-o", "-"],
            b"P",
            3,
            "content /dev/stdin: is a named pipe; use - for standard input",
        ),
        (["photo.png", "one.png", "-o", "-", "--format", "gif"], b"", 2, "gif"),
        (["batch", "-", "--style", "one.png", "--out", "out"], b"", 5, "content -: no such file"),
        (["recipe", "-"], b"", 3, "-: no such file"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], given: bytes, status: int, line: str, folder: Path) -> None:
    run = piped(*arguments, "--quiet" if arguments[0] == "batch" else "--", given=given)
    err = run.stderr.decode()
    assert (run.returncode, run.stdout) == (status, b"")
    assert err.startswith("impasto: ")
    assert line in err
    assert err.count("\n") == 1
    assert names(folder) - {"out"} == GIVEN


def test_a_lone_dash_is_a_picture_and_no_flag() -> None:
    assert gather(["-", "a", "-o", "-"]) == ["\0", "a", "--output=-"]
    assert gather(["--output", "-", "--mask", "sky", "-", "--", "-"]) == ["--output=-", "--mask=sky", "\0", "--", "-"]


# ---- standard output ----


@pytest.mark.parametrize(
    ("form", "known"), [("png", "PNG"), ("jpeg", "JPEG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("tiff", "TIFF")]
)
def test_formats(form: str, known: str, folder: Path) -> None:
    run = piped("photo.png", "one.png", "-o", "-", "--format", form, "--quiet", *QUICK)
    assert (run.returncode, run.stderr) == (0, b"")
    assert (opened(run.stdout).format, opened(run.stdout).size) == (known, (24, 16))


def test_trace_and_previews_go_on_and_no_checkpoint_is_kept(folder: Path) -> None:
    more = ("--trace", "t.jsonl", "--preview-every", "1", "--keep-previews")
    run = piped("photo.png", "one.png", "-o", "-", *more, *QUICK)
    assert run.returncode == 0
    assert len(traced(folder / "t.jsonl")) == 4
    assert names(folder) == GIVEN | {"t.jsonl", *(f"stdout.preview-000{n}.png" for n in (1, 2, 3))}
    again = piped("photo.png", "one.png", "-o", "-", "--trace", "u.jsonl", "--preview-every", "2", *QUICK)
    assert again.stdout == run.stdout
    assert names(folder) == GIVEN | {"t.jsonl", "u.jsonl", *(f"stdout.preview-000{n}.png" for n in (1, 2, 3))}


def test_a_format_for_a_name_without_one(impasto: Command, folder: Path) -> None:
    assert impasto("photo.png", "one.png", "-o", "x", "--format", "webp", "--preview-every", "1", *QUICK).status == 0
    assert opened((folder / "x").read_bytes()).format == "WEBP"
    assert impasto("photo.png", "one.png", "-o", "x.JPG", "--format", "jpeg", *QUICK).status == 0
    assert opened((folder / "x.JPG").read_bytes()).format == "JPEG"
    run = impasto("photo.png", "one.png", "-o", "y.png", "--format", "tiff", *QUICK)
    assert run.status == 2
    assert run.line == "impasto: --format: tiff is not what y.png says; leave it out, or choose another name"
    assert names(folder) == GIVEN | {"x", "x.JPG"}


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_a_terminal_is_shown_no_picture(folder: Path) -> None:
    ours, theirs = os.openpty()
    run = piped("photo.png", "one.png", "-o", "-", *QUICK, stdout=theirs)
    assert run.returncode == 6
    assert run.stderr.decode() == (
        "impasto: -o -: standard output is a terminal, which shows no picture; name a file, or pipe it on\n"
    )
    run = piped("-", "one.png", "-o", "-", *QUICK, stdin=theirs)
    assert run.returncode == 3
    assert run.stderr.startswith(b"impasto: content standard input: is a terminal; pipe a picture into it")
    os.close(ours)
    os.close(theirs)


def test_closed_streams(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputError, match=r"^-o -: standard output is closed; name a file"):
        streams.check()
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(OSError, match=r"^style standard input: is closed; pipe a picture into it"):
        streams.read("style")


def kept_elsewhere(run: subprocess.CompletedProcess[bytes], said: str) -> None:
    line = run.stderr.decode().splitlines()[-1]
    found = re.fullmatch(rf"impasto: {said}; the picture is in (.+\.png) instead", line)
    assert found, line
    assert pixels(Path(found[1])).shape == (16, 24, 3)


@pytest.fixture
def temporary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "temporary"))


def test_a_reader_that_has_gone_costs_no_picture(folder: Path, temporary: None) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    run = piped("photo.png", "one.png", "-o", "-", *QUICK, stdout=writing)
    os.close(writing)
    assert run.returncode == 141
    kept_elsewhere(run, "standard output: its reader closed it before the whole picture was written")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_a_full_disk_costs_no_picture(folder: Path, temporary: None) -> None:
    with Path("/dev/full").open("wb") as full:
        run = piped("photo.png", "one.png", "-o", "-", *QUICK, stdout=full)
    assert run.returncode == 6
    kept_elsewhere(run, r"standard output: cannot be written \(No space left on device\); send it elsewhere")


def test_a_reader_that_reads_a_little(folder: Path, temporary: None) -> None:
    """What is larger than a pipe holds is cut short by `head`."""
    command = f"{sys.executable} -m impasto photo.png one.png -o - --size 256 --iterations 1 --levels 1 --format tiff"
    script = f"{command} | head -c 10; exit ${{PIPESTATUS[0]}}"
    run = subprocess.run(["bash", "-c", script], check=False, capture_output=True, timeout=600)
    assert (run.returncode, run.stdout[:4], len(run.stdout)) == (141, b"II*\0", 10)
    assert b"Traceback" not in run.stderr
    assert b"Exception ignored" not in run.stderr


def interrupting(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    from impasto.paint.transfer import Transfer

    steps = Transfer.steps

    def interrupted(self: Transfer) -> Any:
        for number, progress in enumerate(steps(self), start=1):
            yield progress
            if number == count:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Transfer, "steps", interrupted)


def standing_in(monkeypatch: pytest.MonkeyPatch, path: Path) -> Callable[[], None]:
    def again() -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))

    again()
    return again


def test_an_interrupt_writes_the_best_picture(impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = list[bytes]()
    monkeypatch.setattr(streams, "write", written.append)
    interrupting(monkeypatch, 3)
    run = impasto("photo.png", "one.png", "-o", "-", *QUICK[:3], "9", *QUICK[4:])
    assert (run.status, run.out) == (130, "")
    assert run.err.splitlines()[-1].endswith("; the best picture so far is written to standard output")
    assert opened(written[0]).size == (24, 16)
    assert names(folder) == GIVEN


def test_a_stopped_run_goes_on_with_the_same_picture_on_standard_input(
    impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = standing_in(monkeypatch, folder / "photo.png")
    command = ("-", "one.png", "-o", "x.png", "--checkpoint", "run.checkpoint", *QUICK[:3], "9", *QUICK[4:])
    with monkeypatch.context() as within:
        interrupting(within, 4)
        run = impasto(*command)
    assert run.status == 130
    assert run.err.splitlines()[-1].endswith(
        "; to go on, give the same command with the same picture on standard input"
    )
    standing_in(monkeypatch, folder / "two.png")
    assert "is of another run (content is" in impasto(*command).err
    again()
    run = impasto("resume", "run.checkpoint")
    assert run.status == 0
    assert "going on from" in run.err
    again()
    assert impasto("-", "one.png", "-o", "whole.png", *command[6:]).status == 0
    assert (folder / "whole.png").read_bytes() == (folder / "x.png").read_bytes()


# ---- a folder for the result ----


@pytest.mark.parametrize(
    ("content", "styles", "form", "name"),
    [
        ("in/beach.final.jpg", ("a/night.png",), None, "beach.final-night.png"),
        ("beach.jpg", ("night.png", "day.jpg"), "jpeg", "beach-night+day.jpg"),
        ("-", ("night.png",), "tiff", "stdin-night.tif"),
        ("a b?*\n\udcff\x1b[2J.png", (".hidden.png",), None, "a-b-2J-hidden.png"),
        ("été.png", ("...",), "webp", "été-picture.webp"),
        ("x" * 300, ("y",), None, "x" * 200 + ".png"),
    ],
)
def test_a_result_in_a_folder_is_named_after_its_pictures(
    content: str, styles: tuple[str, ...], form: str | None, name: str, folder: Path
) -> None:
    (folder / "there.png").mkdir()
    assert target("there.png", content, styles, form) == Path("there.png") / name
    assert target("new/", content, styles, form) == Path("new") / name


def test_a_name_is_no_folder(folder: Path) -> None:
    assert target("x.png", "photo.png", ("one.png",), None) == Path("x.png")
    assert target("nul\0", "photo.png", ("one.png",), None) == Path("nul\0")
    with pytest.raises(OptionError, match=r"^--format: png is not what x\.final says"):
        target("x.final", "photo.png", ("one.png",), "png")


def test_a_folder_for_the_result(impasto: Command, folder: Path) -> None:
    run = impasto("photo.png", "one.png", "-o", "out/", *QUICK)
    assert run.status == 6
    assert run.line == ("impasto: out/photo-one.png: the folder out does not exist; make it first (mkdir -p)")
    (folder / "out").mkdir()
    for place in ("out/", "out"):
        command = ("photo.png", "one.png", "two.png", "-o", place, *QUICK)
        assert impasto(*command, *(["--overwrite"] if place == "out" else [])).status == 0
        assert names(folder / "out") == {"photo-one+two.png"}
        assert impasto(*command).line.startswith("impasto: out/photo-one+two.png: exists already; choose another name")
    assert impasto("photo.png", "one.png", "-o", ".", "--format", "jpg", *QUICK).status == 0
    assert names(folder) == GIVEN | {"out", "photo-one.jpg"}
