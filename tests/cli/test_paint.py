"""The command line, mostly end to end: real runs through the entry point, small and short, on the embedded network."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
from PIL import Image

from commands import Command, child, names, pixels, traced
from impasto.cli import app as cli
from impasto.cli import paint
from impasto.cli.console import Console
from impasto.errors import DivergenceError
from impasto.network.weights.known import KNOWN, places
from impasto.paint import result as outcome
from impasto.paint import run as painting
from impasto.pictures import encode
from impasto.pictures.metadata import read_metadata
from impasto.recipe import GROUPS, Recipe, flag
from impasto.work.events import Fetching
from impasto.work.interrupts import Interrupts
from many import wait_for

KNOWN_LITE = places(KNOWN["lite"])[0]
QUICK = ("--size", "24", "--iterations", "3", "--levels", "1")
SIGNALS_SENT = [signal.SIGINT, signal.SIGTERM]


class Asked(NamedTuple):
    paths: paint.Paths
    recipe: Recipe


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """What the command line would carry out, in place of carrying it out."""
    caught: list[Asked] = []
    monkeypatch.setattr(paint, "run", lambda paths, recipe, console: caught.append(Asked(paths, recipe)))
    return caught


# ---- what is answered at once ----


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--version"], ["torch", "cyclopts", "pydantic", "rich", "PIL", "numpy"]),
        (["--help"], ["torch", "PIL", "numpy"]),
        (["demo", "--help"], ["torch", "PIL", "numpy"]),
        (["weights", "--help"], ["torch", "PIL", "numpy"]),
        (["photo.png", "one.png", "-o", "x.png", "--size", "many"], ["torch", "PIL", "numpy"]),
        (["recipe", "photo.png"], ["torch"]),
    ],
)
def test_no_heavy_import(arguments: list[str], absent: list[str], folder: Path) -> None:
    code = (
        "import sys; from impasto.__main__ import main; main(sys.argv[2:]);"
        "assert not set(sys.argv[1].split()) & set(sys.modules), set(sys.argv[1].split()) & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, " ".join(absent), *arguments], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_version_and_python_m() -> None:
    done = subprocess.run([sys.executable, "-m", "impasto", "--version"], check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("impasto 0.1.0\n", "")


def test_help_goes_to_stdout_and_shows_every_group(impasto: Command) -> None:
    run = impasto("--help")
    assert (run.status, run.err) == (0, "")
    assert "impasto CONTENT STYLE [STYLE ...] -o RESULT" in run.out
    assert all(group in run.out for group in GROUPS)
    assert all(command in run.out for command in ("demo", "recipe", "weights"))


# ---- flags and recipe ----


def test_every_field_is_a_flag_with_its_group_help_and_default_and_no_flag_is_more() -> None:
    arguments = {
        argument.name: argument
        for argument in cli.app.assemble_argument_collection()
        if {group.name for group in argument.parameter.group} & set(GROUPS)
    }
    assert set(arguments) == {flag(name) for name in Recipe.model_fields}
    for name, field in Recipe.model_fields.items():
        parameter = arguments[flag(name)].parameter
        assert parameter.help == field.description
        assert isinstance(field.json_schema_extra, dict)
        assert [group.name for group in parameter.group] == [field.json_schema_extra["group"]]
    shown = {name: argument.parameter.show_default for name, argument in arguments.items()}
    assert shown["--size"](None) == str(Recipe().size)
    assert shown["--iterations"](None) == " ".join(str(number) for number in Recipe().iterations)
    assert shown["--laplacian-exact"] is False


TYPED: dict[str, tuple[list[str], object]] = {  # field: what is typed, what arrives
    "blend": (["--blend", "0.7", "0.3"], (0.7, 0.3)),
    "init": (["--init=noise"], "noise"),
    "style_weight": (["--style-weight", "1e3"], 1000.0),
    "style_scale": (["--style-scale", ".5", "--style-scale", "1.5"], (0.5, 1.5)),
    "laplacian": (["--laplacian", "4:10", "--laplacian", "16:20"], ("4:10", "16:20")),
    "content_layer": (["--content-layer", "relu4_2:2,conv3_1"], ("relu4_2:2", "conv3_1")),
    "style_layer": (["--style-layer", "conv1_1"], ("conv1_1",)),
    "style_loss": (["--style-loss", "neighbours,gram:0.1"], ("neighbours", "gram:0.1")),
    "match_mix": (["--match-mix", "0.75"], 0.75),
    "mask": (["--mask=sky.png", "--mask=rest"], ("sky.png", "rest")),
    "style_mask": (["--style-mask=a,b.png"], ("a,b.png",)),
    "keep": (["--keep", "face.png"], "face.png"),
    "strength": (["--strength", "0.25"], 0.25),
    "match_copies": (["--match-copies", "turned,mirrored"], ("turned", "mirrored")),
    "match_layer": (["--match-layer", "relu2_1:2", "--match-layer", "relu3_1"], ("relu2_1:2", "relu3_1")),
    "patch_layer": (["--patch-layer", "relu2_1,relu3_1:2"], ("relu2_1", "relu3_1:2")),
    "iterations": (["--iterations", "9", "8,7"], (9, 8, 7)),
}


def typed(name: str) -> tuple[list[str], object]:
    """A way to give a field another value than its default: from the table, or the first that the field allows."""
    if name in TYPED:
        return TYPED[name]
    field = Recipe.model_fields[name]
    if isinstance(field.default, bool):
        return [flag(name) if not field.default else f"--no-{flag(name)[2:]}"], not field.default
    for value in (*get_args(field.annotation), 32, 2, 0.5, "other"):
        with suppress(ValueError):
            if value != field.default and type(getattr(Recipe(**{name: value}), name)) is type(value):
                return [flag(name), str(value)], value
    raise AssertionError(f"no value for {name}: add one to TYPED")


@pytest.mark.parametrize("name", list(Recipe.model_fields))
def test_every_flag_arrives_in_its_field(name: str, impasto: Command, jobs: list[Asked]) -> None:
    flags, value = typed(name)
    for arguments in (["c.png", "s.png", "-o", "x.png", *flags], [*flags, "c.png", "s.png", "-o", "x.png"]):
        assert impasto(*arguments).status == 0, arguments
        job = jobs.pop()
        assert (job.paths.content, job.paths.styles, job.paths.output) == ("c.png", ("s.png",), Path("x.png"))
        assert job.recipe == Recipe(**{name: value})
        assert job.recipe != Recipe()


def test_numbers_end_where_pictures_begin(impasto: Command, jobs: list[Asked]) -> None:
    impasto("--blend", "0.7,", "0.3", "a.jpg", "b.jpg", "--iterations", "4", "2", "--", "-c.jpg", "-o", "x.png")
    assert not jobs  # behind -- everything is a picture, so -o is missing
    impasto("--blend", "0.7", "0.3", "a.jpg", "b.jpg", "-o", "x.png", "--iterations", "4", "2", "--", "-c.jpg")
    job = jobs.pop()
    assert (job.paths.content, job.paths.styles) == ("a.jpg", ("b.jpg", "-c.jpg"))
    assert (job.recipe.blend, job.recipe.iterations) == ((0.7, 0.3), (4, 2))


def test_masks_are_all_that_follows_up_to_the_next_flag(impasto: Command, jobs: list[Asked]) -> None:
    impasto("c.png", "a.png", "b.png", "--mask", "sky.png", "rest", "--style-mask", "none", "x.png", "-o", "x.png")
    job = jobs.pop()
    assert (job.paths.content, job.paths.styles) == ("c.png", ("a.png", "b.png"))
    assert (job.recipe.mask, job.recipe.style_mask) == (("sky.png", "rest"), ("none", "x.png"))


def test_flags_override_the_recipe_file_and_the_file_the_defaults(
    impasto: Command, jobs: list[Asked], folder: Path
) -> None:
    (folder / "my.toml").write_text('size = 99\nlaplacian_exact = true\ncolor = "swap"\n')
    (folder / "my.json").write_text('{"size": 99, "laplacian_exact": true, "color": "swap"}')
    for name in ("my.toml", "my.json"):
        impasto("c", "s", "-o", "x.png", "--recipe", name)
        assert jobs.pop().recipe == Recipe(size=99, laplacian_exact=True, color="swap")
        impasto("c", "s", "-o", "x.png", "--size", str(Recipe().size), "--no-laplacian-exact", "--recipe", name)
        assert jobs.pop().recipe == Recipe(color="swap")


def test_a_picture_called_like_a_command_is_reachable(impasto: Command, jobs: list[Asked]) -> None:
    impasto("./demo", "s", "-o", "x.png")
    assert jobs.pop().paths.content == "./demo"
    impasto("c", "recipe", "-o", "x.png")
    assert jobs.pop().paths.styles == ("recipe",)


# ---- refusals: the exit status, one line that names the thing, nothing left behind ----

PAINT = ("photo.png", "one.png", "-o", "x.png", *QUICK)
PLAIN = ("photo.png", "one.png", "-o", "x.png")


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ([], 2, "CONTENT, at least one STYLE and -o RESULT are needed"),
        (["photo.png", "-o", "x.png"], 2, "at least one STYLE"),
        (["photo.png", "one.png"], 2, "-o RESULT"),
        ([*PLAIN, "--style-wight", "3"], 2, "Did you mean --style-weight?"),
        ([*PLAIN, "--color", "styl"], 2, 'Did you mean "style"?'),
        ([*PLAIN, "--style-weight", "-3"], 2, "--style-weight: Input should be greater than or equal to 0 (got -3.0)"),
        ([*PLAIN, "--style-weight", "-inf"], 2, "(got -inf)"),
        ([*PLAIN, "--tv-weight", "nan"], 2, "--tv-weight"),
        ([*PLAIN, "--size", "3.5"], 2, "'3.5' is not a whole number"),
        ([*PLAIN, "--size"], 2, "--size"),
        ([*PLAIN, "--size", "8", "--size", "9"], 2, "multiple times"),
        ([*PLAIN, "--iterations", "3", "0"], 2, "--iterations"),
        ([*PLAIN, "--blend", "1", "2"], 2, "2 weights for 1 style"),
        (["--blend", *PLAIN], 2, "'photo.png' is not a number"),
        ([*PLAIN, "--laplacian", "4"], 2, "POOL:GAMMA"),
        ([*PLAIN, "--style-layer", "relu4_9"], 2, "did you mean relu4_4?"),
        ([*PLAIN, "--device", "abacus"], 2, "present: "),
        ([*PLAIN, "--preview-every", "-1"], 2, "--preview-every: -1"),
        ([*PLAIN, "--recipe", "none.toml"], 2, "none.toml: cannot be read"),
        ([*PLAIN, "--recipe", "one.png"], 2, "one.png: holds no recipe"),
        ([*PLAIN, "--recipe", "bad.toml"], 2, "bad.toml: sise: no such option; did you mean size?"),
        (["demo", "--size", "1.5"], 2, "'1.5' is not a whole number"),
        (["recipe", "one.png"], 2, "one.png: holds no recipe"),
        (["recipe", "none.png"], 3, "none.png: no such file"),
        (["none.png", "one.png", "-o", "x.png"], 3, "content none.png: no such file"),
        (["photo.png", "bad.toml", "-o", "x.png"], 3, "style bad.toml: is not JPEG"),
        ([*PLAIN, "--net", "none.h5"], 4, "none.h5: no such file"),
        (["weights", "fetch", "vgg16"], 4, "did you mean vgg19?"),
        (["photo.png", "one.png", "-o", "x.xyz"], 6, "x.xyz: unknown suffix"),
        (["photo.png", "one.png", "-o", "no/x.png"], 6, "the folder no does not exist"),
        (["photo.png", "one.png", "-o", "two.png"], 6, "two.png: exists already"),
        (["photo.png", "one.png", "-o", "photo.png"], 6, "photo.png: is the input photo.png"),
        ([*PLAIN, "--trace", "bad.toml"], 6, "bad.toml: exists already"),
        ([*PLAIN, "--trace", "no/t.jsonl"], 6, "the folder no does not exist"),
        (
            [*PLAIN, "--trace", "one.png", "--overwrite"],
            6,
            "one.png: would be the trace, and is the style one.png of this run",
        ),
        ([*PLAIN, "--trace", "x.png"], 6, "x.png: would be the trace, and is the result of this run"),
        (
            ["x.preview.png", *PLAIN, "--preview-every", "1", "--overwrite"],
            6,
            "x.preview.png: would be the preview, and is the content of this run",
        ),
        (["one.png", *PLAIN, "--preview-every", "1"], 6, "x.preview.png: exists already"),
    ],
)
def test_refused(arguments: list[str], status: int, text: str, impasto: Command, folder: Path) -> None:
    (folder / "bad.toml").write_text("sise = 3\n")
    (folder / "x.preview.png").write_bytes((folder / "two.png").read_bytes())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run = impasto(*arguments)
    assert (run.status, run.out) == (status, "")
    assert run.line.startswith("impasto: ")
    assert text in run.line
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["-o", "x.png", "--trace", "x.preview.png", "--preview-every", "2"],
        ["-o", "x.png", "--trace", "w.safetensors", "--net", "w.safetensors"],
        ["-o", "x.png", "--trace", "hard", "--net", "w.safetensors"],
        ["-o", "x.png", "--trace", "soft", "--net", "w.safetensors"],
        ["-o", "w.png", "--net", "w.png"],
        ["-o", "x.png", "--trace", "r.toml", "--recipe", "r.toml"],
        ["-o", "x.png", "--trace", "start.png", "--init", "start.png"],
        ["-o", "./x.png", "--trace", "x.png"],
    ],
    ids=" ".join,
)
def test_no_file_of_a_run_takes_the_place_of_another(arguments: list[str], impasto: Command, folder: Path) -> None:
    for name in ("w.safetensors", "w.png"):
        (folder / name).write_bytes(Path(str(KNOWN_LITE)).read_bytes())
    (folder / "hard").hardlink_to(folder / "w.safetensors")
    (folder / "soft").symlink_to(folder / "w.safetensors")
    (folder / "r.toml").write_text("seed = 1\n")
    (folder / "start.png").write_bytes((folder / "two.png").read_bytes())
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    run = impasto("photo.png", "one.png", *arguments, "--overwrite", *QUICK)
    assert (run.status, run.out) == (6, "")
    assert re.search(r"would be the (result|trace|preview), and is .* of this run; choose another name", run.line)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_result_may_replace_its_photo_if_that_is_wished(impasto: Command, folder: Path) -> None:
    assert impasto("photo.png", "one.png", "-o", "photo.png", *QUICK).status == 6
    assert impasto("photo.png", "one.png", "-o", "photo.png", "--overwrite", *QUICK).status == 0
    assert impasto("one.png", "two.png", "-o", "photo.png", "--recipe", "photo.png", "--overwrite").status == 0


@pytest.mark.parametrize("key", ["self = 1", '{"self": 1}'])
def test_a_recipe_with_a_key_that_python_knows(key: str, impasto: Command, folder: Path) -> None:
    (folder / "r.toml").write_text(key)
    run = impasto(*PAINT, "--recipe", "r.toml")
    assert run.status == 2
    assert "r.toml: self: no such option; did you mean " in run.line


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
@pytest.mark.parametrize("arguments", [["weights"], ["--version"], ["--help"]], ids=" ".join)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_the_output(
    arguments: list[str], unbuffered: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with Path("/dev/full").open("w") as full:
        process = child(*arguments, stdout=full)
        _, err = process.communicate(timeout=600)
    assert process.returncode == 6
    assert err == "impasto: the output cannot be written (No space left on device); send it elsewhere\n"


def test_quiet_measures_no_pace(impasto: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(painting.Transfer, "expected_seconds", lambda self: pytest.fail("measured"))
    assert impasto(*PAINT, "--quiet").status == 0


def test_offline_without_the_network_says_where_to_put_the_file(
    impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IMPASTO_CACHE", "KERAS_HOME"):
        monkeypatch.setenv(name, str(folder / "nowhere"))
    monkeypatch.setenv("IMPASTO_OFFLINE", "1")
    run = impasto(*PAINT, "--net", "vgg19")
    assert run.status == 4
    assert f"put it at {folder / 'nowhere'}" in run.line
    assert "not here; impasto weights fetch vgg19" in impasto("weights").out


# ---- painting ----


def test_a_picture_is_painted_and_says_what_made_it(impasto: Command, folder: Path) -> None:
    run = impasto(*PAINT, "--trace", "t.jsonl")
    opening, *_, ending = run.err.splitlines()
    assert (run.status, run.out) == (0, "")
    assert re.fullmatch(r"painting x\.png: 24×16, 1 level, 3 steps, about \d\.\d GiB and \d+\.\d s", opening)
    assert ending.startswith("painted x.png (24×16, ")
    assert all(name in ending for name in ("content ", "style ", "total "))
    assert pixels(folder / "x.png").shape == (16, 24, 3)
    assert names(folder) == {"photo.png", "one.png", "two.png", "x.png", "t.jsonl"}

    header, *steps = traced(folder / "t.jsonl")
    assert Recipe(**header["recipe"]) == Recipe(size=24, iterations=3, levels=1)
    assert [step["step"] for step in steps] == [1, 2, 3]
    for step in steps:
        assert {"level", "levels", "width", "height", "step", "loss", "losses", "seconds"} == set(step)
        assert (step["level"], step["levels"], step["width"], step["height"]) == (1, 1, 24, 16)
        terms = step["losses"]
        assert step["loss"] == pytest.approx(terms["content"] + 20 * terms["style"], rel=1e-5)

    said = impasto("recipe", "x.png")
    assert (said.status, said.err) == (0, "")
    assert Recipe.from_text(said.out) == Recipe(size=24, iterations=3, levels=1)
    assert tomllib.loads(said.out)["size"] == 24
    assert "# content: photo.png  sha256 " in said.out
    assert said.out.startswith("# made by impasto 0.1.0 with torch ")


def test_the_recipe_inside_a_picture_repeats_it_to_the_pixel(impasto: Command, folder: Path) -> None:
    first = ("photo.png", "one.png", "two.png", "-o", "x.png", "--blend", "1", "3", "--init", "noise", *QUICK)
    assert impasto(*first).status == 0
    for suffix in (".png", ".tif"):
        run = impasto("photo.png", "one.png", "two.png", "-o", f"y{suffix}", "--recipe", "x.png")
        assert (run.status, "note:" in run.err) == (0, False)
    assert np.array_equal(pixels(folder / "x.png"), pixels(folder / "y.png"))
    run = impasto("photo.png", "two.png", "one.png", "-o", "z.png", "--recipe", "y.tif", "--seed", "5")
    assert run.status == 0
    assert run.err.count("note: the recipe was made with other pictures") == 1
    assert read_metadata(folder / "z.png")["recipe"] == {  # type: ignore[index]
        **read_metadata(folder / "y.tif")["recipe"],  # type: ignore[index]
        "seed": 5,
    }


def test_quiet_overwrite_and_formats(impasto: Command, folder: Path) -> None:
    for name in ("x.jpg", "x.webp", "x.tif"):
        assert impasto("photo.png", "one.png", "-o", name, "--quiet", *QUICK) == (0, "", "")
        assert pixels(folder / name).shape[:2] == (16, 24)
    assert impasto("photo.png", "one.png", "-o", "x.jpg", "--quiet", *QUICK).status == 6
    assert impasto("photo.png", "one.png", "-o", "x.jpg", "--quiet", "--overwrite", *QUICK) == (0, "", "")


def test_file_names_are_shown_harmlessly(impasto: Command, folder: Path) -> None:
    name = "[red]a\x1b[2J\n.gif"
    frames = [Image.effect_noise((32, 32), shade) for shade in (20, 60)]
    frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    run = impasto(name, "one.png", "-o", "[b]x[b].png", *QUICK)
    assert run.status == 0
    assert "\x1b" not in run.err
    note, opening, *_, ending = run.err.splitlines()
    assert note.startswith("note: ")
    assert r"[red]a\x1b[2J\n.gif" in note
    assert opening.startswith("painting [b]x[b].png: ")
    assert ending.startswith("painted [b]x[b].png (")


def test_previews_appear_during_the_run_and_go_with_its_end(
    impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    write = encode.write

    def watched(path: Path, *arguments: Any, **options: Any) -> Path:
        written = write(path, *arguments, **options)
        seen.append((Path(path).name, pixels(written).shape))
        return written

    for module in (encode, outcome):
        monkeypatch.setattr(module, "write", watched)
    run = impasto("photo.png", "one.png", "-o", "x.jpg", "--preview-every", "2", *QUICK[:3], "5", *QUICK[4:])
    assert run.status == 0
    assert seen == [("x.preview.png", (16, 24, 3)), ("x.preview.png", (16, 24, 3)), ("x.jpg", (16, 24, 3))]
    assert not (folder / "x.preview.png").exists()
    seen.clear()
    picture = Image.open(folder / "photo.png").convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    picture.save(folder / "cut.png")
    assert impasto("cut.png", "one.png", "-o", "y.png", "--preview-every", "2", *QUICK[:3], "5", *QUICK[4:]).status == 0
    assert [shape for _, shape in seen] == [(16, 24, 4)] * 3


# ---- what can go wrong on the way ----


@pytest.fixture
def after_two_steps(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen after the second step of a run."""
    from impasto.paint.transfer import Transfer

    def arrange(happening: Callable[[], object]) -> None:
        steps = Transfer.steps

        def interrupted(self: Transfer) -> Iterator[Any]:
            for count, progress in enumerate(steps(self), start=1):
                yield progress
                if count == 2:
                    happening()

        monkeypatch.setattr(Transfer, "steps", interrupted)

    return arrange


def failing(error: BaseException) -> Callable[[], object]:
    def happening() -> None:
        raise error

    return happening


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 5, "not enough memory for 24×16"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), 5, "use a smaller --size"),
        (MemoryError(), 5, "use a smaller --size"),
        (DivergenceError("the loss rose to 1e9"), 5, "the loss rose to 1e9"),
        (
            ZeroDivisionError("division by zero"),
            1,
            "this is a bug (ZeroDivisionError: division by zero); please report",
        ),
    ],
)
def test_a_failure_saves_what_has_been_painted(
    error: Exception, status: int, text: str, impasto: Command, after_two_steps: Any
) -> None:
    after_two_steps(failing(error))
    run = impasto(*PAINT)
    assert run.status == status
    assert text in run.err.splitlines()[-1]
    assert "the best picture so far is saved in x.png" in run.err
    assert "Traceback" not in run.err
    assert pixels(Path("x.png")).shape == (16, 24, 3)


def test_real_divergence_is_status_5_and_leaves_a_picture(impasto: Command, folder: Path) -> None:
    run = impasto(*PAINT, "--style-weight", "1e38", "--units", "paper", "--content-weight", "1e38", "--quiet")
    assert run.status == 5
    assert "is not a finite number" in run.line
    assert pixels(folder / "x.png").any()


def test_memory_short_before_the_first_step(impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.paint import scene

    monkeypatch.setattr(scene, "resize", lambda *_: failing(RuntimeError("not enough memory: you tried"))())
    run = impasto(*PAINT)
    assert run.status == 5
    assert "not enough memory; use a smaller --size" in run.line
    assert not (folder / "x.png").exists()


def test_a_bug_shows_its_traceback_on_request(impasto: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paint, "run", lambda *_: failing(ZeroDivisionError("oh"))())
    assert "IMPASTO_DEBUG=1" in impasto(*PAINT).line
    monkeypatch.setenv("IMPASTO_DEBUG", "0")
    assert "Traceback" not in impasto(*PAINT).err
    monkeypatch.setenv("IMPASTO_DEBUG", "1")
    assert "Traceback" in impasto(*PAINT).err


def test_a_result_that_cannot_be_saved_any_more_is_saved_elsewhere(
    impasto: Command, folder: Path, after_two_steps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "temporary"))
    after_two_steps(lambda: (folder / "x.png").write_bytes(b"somebody else's"))
    run = impasto(*PAINT)
    assert run.status == 6
    assert (folder / "x.png").read_bytes() == b"somebody else's"
    (saved,) = (folder / "temporary").glob("*/x.png")
    assert f"the picture is in {saved} instead" in run.err
    assert pixels(saved).shape == (16, 24, 3)


def test_a_trace_that_fails_does_not_cost_the_picture(
    impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.paint.trace import Trace

    written = Trace._line

    def full(self: Trace, record: Any) -> None:
        if record.get("step") == 2:
            raise OSError(28, "No space left on device")
        written(self, record)

    monkeypatch.setattr(Trace, "_line", full)
    run = impasto(*PAINT, "--trace", "t.jsonl")
    assert run.status == 6
    assert "note: t.jsonl: cannot be written (No space left on device)" in run.err
    assert run.err.splitlines()[-1].startswith("impasto: t.jsonl: cannot be written")
    assert pixels(folder / "x.png").shape == (16, 24, 3)
    assert [step.get("step") for step in traced(folder / "t.jsonl")] == [None, 1]


def test_a_reader_that_has_read_enough(folder: Path, impasto: Command) -> None:
    assert impasto(*PAINT).status == 0
    reading, writing = os.pipe()
    os.close(reading)
    process = child("recipe", "x.png", stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=600)
    assert (process.returncode, err) == (141, "")


# ---- interrupts ----


@pytest.mark.parametrize("number", SIGNALS_SENT, ids=lambda number: number.name)
def test_an_interrupt_saves_the_best_picture(number: signal.Signals, folder: Path) -> None:
    arguments = [*PAINT[:4], "--size", "24", "--iterations", "100000", "--levels", "1", "--optimizer", "adam"]
    process = child(*arguments, "--trace", "t.jsonl", "--preview-every", "1", "--no-checkpoint")
    trace = folder / "t.jsonl"
    wait_for(lambda: trace.exists() and trace.read_text().count("\n") > 3, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130
    last = traced(trace)[-1]
    line = err.splitlines()[-1]
    assert line.startswith(f"impasto: interrupted at level 1/1, step {last['step']}/100000; the best picture")
    assert pixels(folder / "x.png").shape == (16, 24, 3)
    assert names(folder) == {"photo.png", "one.png", "two.png", "x.png", "t.jsonl"}


def test_a_kill_leaves_trace_and_preview_whole(folder: Path) -> None:
    process = child(*PAINT[:4], "--size", "24", "--iterations", "100000", "--trace", "t.jsonl", "--preview-every", "1")
    trace, preview = folder / "t.jsonl", folder / "x.preview.png"
    wait_for(lambda: preview.exists() and trace.read_text().count("\n") > 3, process)
    process.kill()
    process.communicate(timeout=600)
    assert [step.get("step") for step in traced(trace)][:4] == [None, 1, 2, 3]
    assert pixels(preview).shape == (16, 24, 3)


def test_an_interrupt_before_the_first_step_writes_nothing(
    impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from impasto.paint import scene

    monkeypatch.setattr(scene, "resize", lambda *_: signal.raise_signal(signal.SIGINT))
    run = impasto(*PAINT, "--trace", "t.jsonl")
    assert run.status == 130
    assert run.line == "impasto: interrupted; nothing was saved"
    assert names(folder) == {"photo.png", "one.png", "two.png"}


def test_the_second_interrupt_stops_at_once(impasto: Command, folder: Path, after_two_steps: Any) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)

    after_two_steps(twice)
    run = impasto(*PAINT)
    assert run.status == 130
    assert run.err.splitlines()[-1] == "impasto: interrupted; nothing was saved"
    assert names(folder) == {"photo.png", "one.png", "two.png"}


def test_an_interrupt_during_the_saving_lets_it_finish(
    impasto: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = encode.write

    def interrupted(*arguments: Any, **options: Any) -> Path:
        signal.raise_signal(signal.SIGINT)
        return write(*arguments, **options)

    monkeypatch.setattr(outcome, "write", interrupted)
    assert impasto(*PAINT).status == 0
    assert pixels(folder / "x.png").shape == (16, 24, 3)


def test_handlers_are_put_back_and_ignored_signals_stay_ignored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
            told = []
            interrupts.patience(lambda: told.append(True))
            signal.raise_signal(signal.SIGINT)
            assert interrupts.asked
            assert told == [True]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


# ---- the terminal ----


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are POSIX")
def test_the_bar_on_a_terminal(folder: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "impasto", *PAINT[:4], "--size", "24", "--iterations", "3", "2", "--levels", "2"]
    environment = {**os.environ, "COLUMNS": "100", "TERM": "xterm"}
    with subprocess.Popen(command, stderr=theirs, stdout=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                some = os.read(ours, 4096)
            except OSError:  # how Linux says that the other end is closed
                break
            if not some:
                break
            shown += some
        assert process.stdout is not None
        assert process.stdout.read() == b""
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 0
    assert re.search(r"painting x\.png: 24×16, 2 levels, 5 steps, about \d\.\d GiB and ", text)
    assert "level 2/2  24×16  step 2/2" in text
    assert "content " in text
    assert " left" in text
    assert text.rstrip().splitlines()[-1].rpartition("\x1b[")[2].count("painted x.png (24×16, ") == 1


def test_a_download_is_announced_once(capsys: pytest.CaptureFixture[str]) -> None:
    with Console() as console:
        for done in (1, 2, 3):
            console.tell(Fetching("vgg19", done, 80_134_624))
    assert capsys.readouterr().err == "fetching vgg19 (80.1 MB)\n"


# ---- weights ----


def test_weights_lists_the_known_and_fetch_prints_the_path(impasto: Command) -> None:
    run = impasto("weights")
    assert (run.status, run.err) == (0, "")
    assert run.out.startswith(f"lite      {KNOWN['lite'].size / 1e6:4.1f} MB  verified  ")
    assert "vgg19     80.1 MB" in run.out
    path = impasto("weights", "fetch", "lite").out
    assert path.endswith("lite.safetensors\n")
    assert Path(path.strip()).is_file()
