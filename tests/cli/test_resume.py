"""Runs on the command line that are stopped, by whatever, and go on; and what they leave meanwhile."""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from commands import Command, names, pixels, traced
from impasto.cli.console import Console
from impasto.paint import checkpoint
from impasto.paint.transfer import Transfer
from impasto.pictures.metadata import read_metadata
from impasto.recipe import Recipe

PLAIN = ("photo.png", "one.png", "-o", "x.png")
SHORT = ("--size", "32", "--iterations", "8", "6", "--levels", "2", "--precision", "float32", "--max-memory", "4")
RUN = (*PLAIN, *SHORT)
KEPT = (*RUN, "--checkpoint", "run.checkpoint")
GIVEN = {"photo.png", "one.png", "two.png"}
# A child that writes after every step, and is killed where a hook says.
CHILD = """
import math, os, signal, sys
from impasto.paint import checkpoint
from impasto import files
checkpoint.EVERY, checkpoint.SHARE = 0.0, math.inf
moment, _, count = os.environ.get("MOMENT", " 0").rpartition(" ")
count = int(count)
if "LIMIT" in os.environ:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LIMIT"]),) * 2)
def dying(call):
    def counted(*arguments, **options):
        global count
        count -= 1
        if count == 0 and moment != "after":
            os.kill(os.getpid(), signal.SIGKILL)
        answer = call(*arguments, **options)
        if count == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return counted
if moment == "before the rename":
    from pathlib import Path
    Path.replace = dying(Path.replace)
elif moment:
    checkpoint.save_file = dying(checkpoint.save_file)
from impasto.__main__ import main
sys.exit(main())
"""


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every step be written."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """Let something happen after so many steps of a run in this process."""

    @contextlib.contextmanager
    def stopping(count: int, happening: Callable[[], object]) -> Iterator[None]:
        steps = Transfer.steps

        def interrupted(self: Transfer) -> Iterator[Any]:
            for progress in steps(self):
                yield progress
                if self.taken == count:
                    happening()

        with monkeypatch.context() as patched:
            patched.setattr(Transfer, "steps", interrupted)
            yield

    return stopping


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def killed() -> None:
    """As near as this process comes to it: nothing is saved."""
    raise SystemExit(9)


def child(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], text=True, stderr=subprocess.PIPE, env={**os.environ, **environment}
    )


@pytest.fixture(scope="module")
def painted() -> list[bytes]:
    """The picture of a run that is not stopped, once it has been painted: the folder is always the same."""
    return []


@pytest.fixture
def whole(painted: list[bytes], impasto: Command, folder: Path) -> bytes:
    """The same, painted if need be."""
    if not painted:
        assert impasto(*RUN, "--quiet").status == 0
        painted.append((folder / "x.png").read_bytes())
        (folder / "x.png").unlink()
    return painted[0]


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("moment", ["before 2", "before the rename 1", "before the rename 6", "after 9"])
def test_a_killed_run_goes_on_to_the_same_bytes(moment: str, whole: bytes, impasto: Command, folder: Path) -> None:
    process = child(*KEPT, MOMENT=moment)
    process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "x.png").exists()
    if not (folder / "run.checkpoint").exists():
        assert moment == "before the rename 1"
        assert "run.checkpoint: no such checkpoint" in impasto("resume", "run.checkpoint").line
        assert impasto(*KEPT, "--quiet") == (0, "", "")
    else:
        assert impasto("resume", "run.checkpoint", "--quiet") == (0, "", "")
    assert (folder / "x.png").read_bytes() == whole
    assert names(folder) == {*GIVEN, "x.png"}


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_run_that_is_killed_again_and_again_comes_to_its_end(whole: bytes, folder: Path) -> None:
    """Every life is six writings long, and ends in the middle of the last."""
    ends: list[int] = []
    while len(ends) < 12 and 0 not in ends:
        process = child(*KEPT, MOMENT="before the rename 6")
        _, err = process.communicate(timeout=600)
        ends.append(process.returncode)
        assert process.returncode in (0, -signal.SIGKILL), err
    assert ends[-1] == 0
    assert len(ends) > 2
    assert (folder / "x.png").read_bytes() == whole
    assert names(folder) == {*GIVEN, "x.png"}


@pytest.mark.parametrize("way", ["resume", "again"])
@pytest.mark.parametrize("count", [3, 11])
def test_ctrl_c_keeps_picture_and_checkpoint_and_says_how_to_go_on(
    count: int, way: str, whole: bytes, impasto: Command, stop_after: Any
) -> None:
    folder = Path.cwd()
    with stop_after(count, interrupt):
        run = impasto(*KEPT)
    assert run.status == 130
    assert run.err.splitlines()[-1].endswith(
        "; the best picture so far is saved in x.png; to go on, give the same command, or impasto resume run.checkpoint"
    )
    assert names(folder) == {*GIVEN, "x.png", "run.checkpoint"}
    assert (folder / "x.png").read_bytes() != whole
    run = impasto("resume", "run.checkpoint") if way == "resume" else impasto(*KEPT)
    assert run.status == 0, run.err
    assert f"going on from {folder / 'run.checkpoint' if way == 'resume' else 'run.checkpoint'}: " in run.err
    assert (folder / "x.png").read_bytes() == whole
    assert names(folder) == {*GIVEN, "x.png"}


def test_a_picture_that_was_changed_since_is_not_written_over(
    whole: bytes, impasto: Command, folder: Path, stop_after: Any
) -> None:
    with stop_after(5, interrupt):
        impasto(*KEPT)
    (folder / "x.png").write_bytes((folder / "two.png").read_bytes())
    for command in (KEPT, ("resume", "run.checkpoint")):
        run = impasto(*command)
        assert run.status == 6
        assert "x.png: exists already" in run.line
    assert names(folder) == {*GIVEN, "x.png", "run.checkpoint"}
    assert impasto("resume", "run.checkpoint", "--overwrite", "--quiet") == (0, "", "")
    assert (folder / "x.png").read_bytes() == whole


def test_a_stop_between_the_saving_and_its_end_is_no_harm(
    whole: bytes, impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.Keeper, "remove", lambda self: killed())
        assert impasto(*KEPT).status == 9
    assert (folder / "x.png").read_bytes() == whole
    assert impasto("resume", "run.checkpoint", "--quiet") == (0, "", "")
    assert (folder / "x.png").read_bytes() == whole
    assert names(folder) == {*GIVEN, "x.png"}


def test_it_goes_on_from_another_folder(
    whole: bytes, impasto: Command, folder: Path, stop_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stop_after(6, killed):
        assert impasto(*KEPT).status == 9
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert impasto("resume", "../run.checkpoint", "--quiet") == (0, "", "")
    assert Path.cwd() == folder / "elsewhere"
    assert (folder / "x.png").read_bytes() == whole
    assert names(folder / "elsewhere") == set()


def test_a_long_run_is_kept_beside_its_result_unasked(
    whole: bytes, impasto: Command, folder: Path, stop_after: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stop_after(6, interrupt):
        assert impasto(*RUN).err.splitlines()[-1].endswith("is saved in x.png")  # a short one
    assert names(folder) == {*GIVEN, "x.png"}
    (folder / "x.png").unlink()
    monkeypatch.setattr(checkpoint, "LONG", 1e-3)
    with stop_after(6, interrupt):
        assert impasto(*RUN, "--no-checkpoint").err.splitlines()[-1].endswith("is saved in x.png")
    assert names(folder) == {*GIVEN, "x.png"}
    (folder / "x.png").unlink()
    with stop_after(6, interrupt):
        assert impasto(*RUN).err.splitlines()[-1].endswith("or impasto resume x.png.checkpoint")
    assert names(folder) == {*GIVEN, "x.png", "x.png.checkpoint"}
    run = impasto(*RUN, "--style-weight", "3")
    assert (run.status, "style_weight is 20.0 there and 3.0 here" in run.line) == (2, True)
    run = impasto(*RUN, "--style-weight", "3", "--overwrite")
    assert run.status == 0
    assert "note: x.png.checkpoint: is of another run (style_weight is 20.0 there and 3.0 here)" in run.err
    assert names(folder) == {*GIVEN, "x.png"}
    assert impasto(*RUN, "--overwrite", "--quiet").status == 0
    assert (folder / "x.png").read_bytes() == whole


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((*KEPT, "--style-weight", "3"), "style_weight is 20.0 there and 3.0 here"),
        (("two.png", *KEPT[1:]), "content is "),
        ((KEPT[0], "two.png", *KEPT[2:]), "styles is "),
        ((*KEPT, "--keep", "two.png"), "keep is "),
        ((*KEPT, "--init", "two.png"), "init is "),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    arguments: tuple[str, ...], text: str, impasto: Command, folder: Path, stop_after: Any
) -> None:
    with stop_after(6, killed):
        impasto(*KEPT)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for more in ((), ("--overwrite",)):
        run = impasto(*arguments, "--quiet", *more)
        assert run.status == 2
        assert f"run.checkpoint: is of another run ({text}" in run.line
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_changed_picture_is_refused_when_going_on(impasto: Command, folder: Path, stop_after: Any) -> None:
    with stop_after(6, killed):
        impasto(*KEPT)
    (folder / "one.png").write_bytes((folder / "two.png").read_bytes())
    assert "is of another run (styles is " in impasto("resume", "run.checkpoint", "--quiet").line
    (folder / "one.png").unlink()
    run = impasto("resume", "run.checkpoint")
    assert (run.status, "style one.png: no such file" in run.line) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("resume",), 2, "FILE"),
        (("resume", "none"), 2, "none: no such checkpoint; check the name"),
        (("resume", "photo.png"), 2, "photo.png: is damaged or no checkpoint"),
        (("resume", "."), 2, "is no regular file"),
        ((*RUN, "--checkpoint", "photo.png"), 2, "photo.png: is damaged or no checkpoint"),
        ((*RUN, "--checkpoint", "no/x"), 6, "the folder no does not exist"),
        ((*RUN, "--checkpoint", "x.png"), 6, "x.png: would be the checkpoint, and is the result of this run"),
        ((*RUN, "--checkpoint", "x", "--no-checkpoint"), 2, "--checkpoint, --no-checkpoint: give one of them"),
    ],
)
def test_refused(arguments: tuple[str, ...], status: int, text: str, impasto: Command, folder: Path) -> None:
    run = impasto(*arguments)
    assert (run.status, run.out) == (status, "")
    assert text in run.line
    assert names(folder) == GIVEN


def test_a_program_s_checkpoint_is_the_program_s(impasto: Command, folder: Path) -> None:
    transfer = Transfer("photo.png", "one.png", Recipe(size=16))
    next(iter(transfer.steps()))
    checkpoint.Keeper("x.checkpoint", transfer).write()
    run = impasto("resume", "x.checkpoint")
    assert (run.status, "was not written by this command" in run.line) == (2, True)


def test_the_number_of_threads_is_that_of_the_beginning(impasto: Command, folder: Path, stop_after: Any) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with stop_after(6, killed):
            impasto(*KEPT)
        torch.set_num_threads(1)
        run = impasto("resume", "run.checkpoint")
        assert run.status == 0
        assert "note: with 2 threads, as the run began\n" in run.err
        assert read_metadata(folder / "x.png")["threads"] == 2  # type: ignore[index]
    finally:
        torch.set_num_threads(before)


def test_trace_and_previews_go_on(impasto: Command, folder: Path, stop_after: Any) -> None:
    more = ("--trace", "t.jsonl", "--preview-every", "3", "--keep-previews")
    assert impasto(*KEPT, *more).status == 0
    steps = [{**line, "seconds": 0} for line in traced(folder / "t.jsonl")]
    series = {name: (folder / name).read_bytes() for name in names(folder) if "preview" in name}
    assert set(series) == {f"x.preview-{number:04}.png" for number in (3, 6, 9, 12)}
    run = impasto(*PLAIN[:3], "x.png", *KEPT[4:], *more)
    assert run.status == 6
    for name in ("x.png", "t.jsonl", *series):
        (folder / name).unlink()
    with stop_after(8, killed):
        impasto(*KEPT, *more)
    (folder / "x.preview-0006.png").write_bytes(b"half")
    with (folder / "t.jsonl").open("a") as trace:
        trace.write('{"a line that the disk has lost the end of')
    assert impasto("resume", "run.checkpoint").status == 0
    assert [{**line, "seconds": 0} for line in traced(folder / "t.jsonl")] == steps
    for name in ("x.preview-0009.png", "x.preview-0012.png"):
        assert (folder / name).read_bytes() == series[name]


def test_a_trace_of_another_run_is_left_alone(impasto: Command, folder: Path, stop_after: Any) -> None:
    with stop_after(8, killed):
        impasto(*KEPT, "--trace", "t.jsonl")
    (folder / "t.jsonl").write_text("mine\n")
    run = impasto("resume", "run.checkpoint", "--quiet")
    assert (run.status, run.line) == (6, "impasto: t.jsonl: is not the trace of this run; move it away")
    assert (folder / "t.jsonl").read_text() == "mine\n"
    assert names(folder) == {*GIVEN, "t.jsonl", "run.checkpoint"}


@pytest.mark.skipif(os.name != "posix", reason="limits are POSIX")
def test_a_full_disk_costs_the_checkpoint_and_not_the_picture(whole: bytes, folder: Path) -> None:
    """Of files of at most 60,000 bytes: the picture has room, the checkpoint has none."""
    process = child(*KEPT, LIMIT="60000")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert err.count("note: run.checkpoint: cannot be written (File too large)") == 1
    assert (folder / "x.png").read_bytes() == whole
    assert names(folder) == {*GIVEN, "x.png"}


def test_a_run_that_diverges_leaves_no_checkpoint(impasto: Command, folder: Path) -> None:
    run = impasto(*KEPT, "--style-weight", "1e38", "--units", "paper", "--content-weight", "1e38", "--quiet")
    assert run.status == 5
    assert names(folder) == {*GIVEN, "x.png"}


# ---- previews ----


def cut_out(folder: Path) -> None:
    """The photo with a transparent half."""
    with Image.open(folder / "photo.png") as photo:
        values = np.dstack([np.asarray(photo), np.full((16, 24), 255, np.uint8)])
    values[:, 12:, 3] = 0
    Image.fromarray(values).save(folder / "photo.png")


@pytest.mark.parametrize(("result", "channels"), [("x.png", 4), ("x.tif", 4), ("x.jpg", 3)])
def test_previews_have_the_alpha_that_the_result_has(
    result: str, channels: int, impasto: Command, folder: Path
) -> None:
    cut_out(folder)
    run = impasto("photo.png", "one.png", "-o", result, *SHORT, "--preview-every", "7", "--keep-previews", "--quiet")
    assert run.status == 0
    for number, size in ((7, (11, 16)), (14, (21, 32))):
        values = pixels(folder / f"x.preview-{number:04}.png")
        assert values.shape == (*size, channels)
        right = values[:, -4:]
        assert right[..., 3].max() == 0 if channels == 4 else right.min() == 255


def test_kept_previews_come_every_ten_steps_and_take_nobody_s_place(impasto: Command, folder: Path) -> None:
    assert impasto(*RUN, "--keep-previews", "--quiet").status == 0
    assert names(folder) == {*GIVEN, "x.png", "x.preview-0010.png"}
    (folder / "x.png").unlink()
    run = impasto(*RUN, "--keep-previews")
    assert (run.status, "x.preview-0010.png: exists already" in run.line) == (6, True)
    run = impasto("x.preview-0010.png", *RUN[1:], "--keep-previews", "--overwrite")
    assert (run.status, "would be preview 1, and is the content" in run.line) == (6, True)
    assert impasto(*RUN, "--keep-previews", "--overwrite", "--quiet").status == 0


# ---- without a terminal ----


def test_a_log_has_a_plain_line_for_each_tenth(impasto: Command, folder: Path) -> None:
    run = impasto("photo.png", "one.png", "-o", "x.png", "--size", "24", "--levels", "1", "--iterations", "40")
    opening, *between, closing = run.err.splitlines()
    assert opening.startswith("painting x.png: ")
    assert [line.partition(":")[0] for line in between] == [f"{tenth}0%" for tenth in range(1, 10)]
    assert between[0].startswith("10%: level 1/1, step 4/40 (")
    assert closing.startswith("painted x.png (")
    assert all(character.isprintable() for line in run.err.splitlines() for character in line)


def test_a_slow_run_has_a_line_every_half_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.cli import console as module
    from impasto.paint.result import Progress

    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    console = Console()
    for step in range(1, 13):
        now[0] += 8
        console.step(
            Progress(1, 1, (9, 9), step, 1000, 1.0, {}, fraction=step / 1000, seconds=now[0], transfer=None)  # type: ignore[arg-type]
        )
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("step ")[2].partition("/")[0] for line in lines] == ["4", "8", "12"]


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_a_dumb_terminal_sees_no_control_characters(folder: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "impasto", *RUN]
    with subprocess.Popen(command, stderr=theirs, env={**os.environ, "TERM": "dumb"}) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end is closed
            while some := os.read(ours, 4096):
                shown += some
    os.close(ours)
    assert process.returncode == 0
    lines = shown.decode().replace("\r\n", "\n").splitlines()
    assert lines[0].startswith("painting x.png")
    assert lines[-1].startswith("painted x.png")
    assert all(re.match(r"\d+%: level [12]/2, step ", line) for line in lines[1:-1])
    assert len(lines) > 5
    assert "\x1b" not in shown.decode()
    assert "\r" not in "".join(lines)
