"""Runs that are stopped and go on, to the same last bit from wherever they were; and files that are no checkpoints."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

import impasto
from impasto import Recipe, Transfer
from impasto.errors import DivergenceError, MemoryShortError, OptionError, OutputError
from impasto.network.tiles import Plan
from impasto.paint import checkpoint, memory
from impasto.paint.checkpoint import KEY, Keeper, read
from impasto.paint.curvature import Curvature
from impasto.paint.estimate import Need
from impasto.paint.place import pack, unpack
from impasto.paint.trace import continued


def picture(seed: int, height: int, width: int) -> np.ndarray:
    """Blots with some grain."""
    random = np.random.default_rng(seed)
    blots = Image.fromarray(random.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize((width, height), 3)
    return np.clip(np.asarray(blots) / 255 + random.normal(0, 0.05, (height, width, 3)), 0, 1).astype(np.float32)


CONTENT, STYLES = picture(1, 36, 48), [picture(2, 40, 32), picture(3, 30, 44)]
LEFT = np.repeat(np.float32(np.arange(48) < 20)[None, :, None], 36, 0).repeat(3, 2)
FILES: dict[str, Any] = {"left": LEFT, "kept": LEFT[:, ::-1].copy()}
SHORT = {"size": 48, "levels": 2, "iterations": (7, 5), "precision": "float32", "device": "cpu", "max_memory": 4.0}
CASES: dict[str, dict[str, Any]] = {
    "gram": {},
    "moments": {"style_loss": "moments"},
    "neighbours": {"style_loss": "neighbours", "match_every": 3, "polish": 3, "iterations": (7,)},
    "patches": {"style_loss": "patches", "match_every": 3},
    "sum": {"style_loss": "neighbours,gram:0.5,patches,moments", "match_every": 2, "polish": 2, "iterations": (6,)},
    "masks": {"mask": ("left", "rest"), "keep": "kept", "style_mask": ("none", "left")},
    "masked neighbours": {"style_loss": "neighbours", "mask": ("left", "rest"), "match_every": 3, "polish": 2},
    "masked patches": {"style_loss": "patches", "mask": ("left", "rest"), "match_every": 2, "match_copies": "mirrored"},
    "luminance": {"color": "luminance", "laplacian": "4:10", "tv_weight": 1.0},
    "strips": {"tile": 16, "init": "noise", "seed": 4},
    "bfloat16": {"precision": "bfloat16"},
}


@pytest.fixture
def make(thin_path: str) -> Callable[..., Transfer]:
    def made(content: Any = CONTENT, files: Any = FILES, **options: Any) -> Transfer:
        styles = STYLES if {"mask", "style_mask"} & set(options) else STYLES[:1]
        return Transfer(content, styles, Recipe(**{"net": thin_path, **SHORT, **options}), files=files)

    return made


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every step be written."""
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "SHARE", math.inf)


def seen(transfer: Transfer) -> list[tuple[Any, ...]]:
    """All that is told of the steps that are left."""
    return [(p.level, p.step, p.loss, dict(p.losses), p.fraction) for p in transfer.steps()]


def check_from_everywhere(make: Callable[[], Transfer], folder: Path, optimizer: str) -> int:
    """Leave a run after each of its steps, and go on from the file: the same steps, the same picture. How many."""
    whole, kept, told = make(), [], []
    for number, progress in enumerate(whole.steps(), 1):
        keeper = Keeper(folder / f"{number}", whole)
        keeper.write()
        kept.append((number, keeper.path))
        told.append((progress.level, progress.step, progress.loss, dict(progress.losses), progress.fraction))
    result = whole.result()
    for number, path in kept:
        again = make()
        Keeper(path, again).resume()
        taken = again.taken
        assert taken == number - 1 or (taken < number and optimizer == "lbfgs")  # from before a line search
        assert seen(again) == told[taken:]
        assert torch.equal(again.result().image, result.image)
        assert again.result().losses == result.losses
    return len(kept)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("name", CASES)
def test_a_run_ends_the_same_wherever_it_was_left(name: str, optimizer: str, make: Any, tmp_path: Path) -> None:
    options = {**CASES[name], "optimizer": optimizer}
    assert check_from_everywhere(lambda: make(**options), tmp_path, optimizer) >= 10


def test_moves_remembered_in_bfloat16_are_kept_as_they_are(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "history", lambda *_: (3, torch.bfloat16))
    check_from_everywhere(lambda: make(iterations=(9, 9)), tmp_path, "lbfgs")


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_a_return_to_the_best_picture_is_repeated(
    optimizer: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two numbers are lost on the way, in every run at the same steps."""
    from impasto.paint.objective import Objective

    whole, running = Objective.__call__, list[Transfer]()

    def failing(self: Objective, picture: torch.Tensor) -> Any:
        found = whole(self, picture)
        lost = running[-1].taken in (3, 9)
        return type(found)(math.nan, found.gradient, found.terms) if lost else found

    def made() -> Transfer:
        running.append(make(optimizer=optimizer))
        return running[-1]

    monkeypatch.setattr(Objective, "__call__", failing)
    check_from_everywhere(made, tmp_path, optimizer)


def test_a_file_says_what_it_is_and_is_ours_alone(make: Any, tmp_path: Path) -> None:
    transfer = make()
    keeper = Keeper(tmp_path / "x.checkpoint", transfer, said=lambda: {"mine": [1, "ü"]})
    keeper.write()
    assert list(tmp_path.iterdir()) == []  # nothing has been done yet
    next(transfer.steps())
    keeper.write()
    assert [path.name for path in tmp_path.iterdir()] == ["x.checkpoint"]
    found = read(tmp_path / "x.checkpoint")
    assert found.said == {"mine": [1, "ü"]}
    assert found.about["recipe"] == transfer.recipe.model_dump(mode="json")
    assert found.about["threads"] == torch.get_num_threads()
    keeper.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_stop_in_the_middle_of_a_writing_leaves_is_no_harm(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the new file takes the old one's place, and while it is written."""
    path = tmp_path / "x.checkpoint"
    first = make()
    steps = first.steps()
    next(steps)
    Keeper(path, first).write()
    before = path.read_bytes()
    next(steps)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "_clear", lambda folder: None)  # a killed process clears nothing
        for name, where in (("save_file", checkpoint), ("replace", checkpoint.files)):
            for left in tmp_path.glob(".impasto-*"):
                shutil.rmtree(left)

            def killed(tensors: Any, target: Any, *rest: Any, name: str = name) -> None:
                Path(target).write_bytes(b"half of it")
                raise KeyboardInterrupt

            with patched.context() as hook:
                hook.setattr(where, name, killed)
                with pytest.raises(KeyboardInterrupt):
                    Keeper(path, first).write()
            assert path.read_bytes() == before
            for left in tmp_path.glob(".impasto-*"):
                (left / "x").write_bytes(b"left")
    again = make()
    assert Keeper(path, again).resume() == {}
    assert [left.name for left in tmp_path.iterdir()] == ["x.checkpoint"]
    assert len(seen(again)) == 12
    assert sum(1 for _ in steps) == 10


def test_it_is_written_so_often_that_it_takes_little_time(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writing takes 3 s here: 2 % of 150."""
    now, wrote = [0.0], []
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    save = checkpoint.save_file

    def slow(*arguments: Any) -> None:
        wrote.append(now[0])
        now[0] += 3
        save(*arguments)

    monkeypatch.setattr(checkpoint, "save_file", slow)
    transfer = make(iterations=(400,), levels=1, optimizer="adam", size=16)
    keeper = Keeper(tmp_path / "x", transfer)
    for progress in transfer.steps():
        now[0] += 1
        keeper.step(progress)
    assert wrote == [30, 183, 336]


@pytest.mark.parametrize(("pace", "kept"), [(0.1, False), (1.0, True)])
def test_a_short_run_is_not_kept_unasked(pace: float, kept: bool, make: Any, tmp_path: Path, at_once: None) -> None:
    transfer = make()
    keeper = Keeper(tmp_path / "x", transfer, least=10.0)
    for count, progress in enumerate(transfer.steps(), 1):
        slow = type(progress)(**{**vars(progress), "seconds": count * pace, "fraction": count / 12})
        keeper.step(slow)
        assert keeper.kept == (tmp_path / "x").exists() == kept


# ---- what is refused ----


@pytest.fixture
def begun(make: Any, tmp_path: Path) -> Path:
    """A checkpoint of three steps."""
    transfer = make()
    for progress in transfer.steps():
        if progress.step == 3:
            break
    Keeper(tmp_path / "x.checkpoint", transfer).write()
    return tmp_path / "x.checkpoint"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"style_weight": 5.0}, "style_weight is 20.0 there and 5.0 here"),
        ({"iterations": (9, 9)}, "iterations is 7 5 there and 9 9 here"),
        ({"seed": 2}, "seed is 0 there and 2 here"),
        ({"content": picture(9, 36, 48)}, "content is "),
        ({"optimizer": "adam"}, "optimizer is lbfgs there and adam here"),
        ({"precision": "bfloat16"}, "precision is float32 there and bfloat16 here"),
        ({"keep": "kept"}, "keep"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(options: dict[str, Any], text: str, begun: Path, make: Any) -> None:
    with pytest.raises(OptionError, match="is of another run") as caught:
        Keeper(begun, make(**options)).resume()
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_network_other_threads_and_versions_are_refused(
    begun: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(text: str) -> None:
        with pytest.raises(OptionError, match=text):
            Keeper(begun, make()).resume()

    with monkeypatch.context() as patched:
        patched.setattr(torch, "get_num_threads", lambda: 7)
        refused("threads is 1 there and 7 here")
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "__version__", "9.9")
        refused(f"impasto is {impasto.__version__} there and 9.9 here")
    with pytest.raises(OptionError, match="net is "):
        Keeper(begun, make(net="lite")).resume()
    for name, value in {"torch": "1.0", "device": "cuda", "processor": "SSE9"}.items():
        rewrite(begun, lambda held, _, name=name, value=value: held["about"].update({name: value}))
        refused(f"{name} is {value} there and ")
        rewrite(begun, lambda held, _, name=name: held["about"].update({name: checkpoint.about(make())[name]}))
    Keeper(begun, make()).resume()


def test_the_network_is_walked_as_before_whatever_memory_is_free_now(begun: Path, make: Any) -> None:
    """Strips change the order of sums."""
    transfer = make()
    other = [Need(Plan(rows=8, kept=frozenset()), need.bytes, need.kept) for need in transfer.needs]
    before = [need.plan for need in transfer.needs]
    transfer.needs = other
    Keeper(begun, transfer).resume()
    assert [need.plan for need in transfer.needs] == before
    transfer.needs, transfer.limit = other, 1000.0
    with pytest.raises(MemoryShortError, match="free some first"):
        Keeper(begun, transfer).resume()


def header_of(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt") as file:
        return json.loads(file.metadata()[KEY])


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, torch.Tensor]], object]) -> None:
    """Change what a checkpoint holds."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    held = header_of(path)
    change(held, tensors)
    save_file(tensors, path, {KEY: json.dumps(held)})


def grow(held: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    name = held["place"]["optimizer"]["x"]["$tensor"]
    tensors[name] = torch.zeros(5000, 3, 1)


CHANGES: dict[str, Callable[[Any, Any], object]] = {
    "newer": lambda held, _: held.update(format=2),
    "no number": lambda held, _: held.update(format="1"),
    "no place": lambda held, _: held.pop("place"),
    "a list": lambda held, _: held.update(place=[1]),
    "no round": lambda held, _: held["place"].pop("round"),
    "no such round": lambda held, _: held["place"].update(round=99),
    "before the first": lambda held, _: held["place"].update(round=-1),
    "other levels": lambda held, _: held["place"].update(plans=[]),
    "text": lambda held, _: held["place"]["optimizer"].update(unit="much"),
    "no tensor": lambda _, tensors: tensors.clear(),
    "another tensor": grow,
    "no order": lambda held, _: held["place"]["picture"].update(order=[0, 0, 0]),
    "no best": lambda held, _: held["place"]["optimizer"]["best"].update(x=None),
    "Adam": lambda held, _: held["place"].update(
        optimizer={
            "number": 3,
            "point": held["place"]["picture"],
            "moments": None,
            "best": {},
            "highest": 0.0,
            "unit": 1.0,
            "learning_rate": 0.1,
        }
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_that_was_tampered_with_is_refused_in_one_line(name: str, begun: Path, make: Any) -> None:
    rewrite(begun, CHANGES[name])
    with pytest.raises(OptionError, match="newer impasto" if name == "newer" else "is damaged or no checkpoint") as it:
        Keeper(begun, make()).resume()
    assert "\n" not in str(it.value)
    assert len(str(it.value)) < 400


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("it was loaded",))


def hostile() -> dict[str, bytes]:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    deep = json.dumps({"__metadata__": {KEY: "[" * 100_000}}).encode()
    return {
        "empty": b"",
        "pickle": pickle.dumps(Bomb()),
        "text": b"recipe = 1\n",
        "a longer header than there is": struct.pack("<Q", 1 << 60) + b"{}",
        "more than there is": struct.pack("<Q", len(header)) + header,
        "no JSON": struct.pack("<Q", 4) + b"\xff\xfe\x00\x01",
        "deep": struct.pack("<Q", len(deep)) + deep,
        "somebody else's": struct.pack("<Q", 2) + b"{}",
    }


@pytest.mark.parametrize("name", hostile())
def test_what_is_no_checkpoint_is_refused_and_never_run(name: str, tmp_path: Path, make: Any) -> None:
    path = tmp_path / "x.checkpoint"
    path.write_bytes(hostile()[name])
    with pytest.raises(OptionError, match=r"x\.checkpoint: is (damaged or )?no checkpoint") as caught:
        Keeper(path, make()).resume()
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == hostile()[name]


def test_a_file_that_was_cut_short_is_refused_wherever_it_was_cut(begun: Path, make: Any) -> None:
    data, transfer = begun.read_bytes(), make()
    for share in (0.0001, 0.01, 0.3, 0.9, 0.9999):
        begun.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(OptionError, match="is damaged or no checkpoint"):
            Keeper(begun, transfer).resume()


def test_no_file_and_no_regular_file(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no such checkpoint"):
        read(tmp_path / "none")
    with pytest.raises(OptionError, match="is no regular file"):
        read(tmp_path)


# ---- from Python ----


def paint(net: str, **options: Any) -> impasto.Result:
    return impasto.stylize(CONTENT, STYLES[0], net=net, **SHORT, **options)


def test_stylize_goes_on_where_it_was_stopped(thin_path: str, tmp_path: Path, at_once: None) -> None:
    path = tmp_path / "run.checkpoint"
    whole = paint(thin_path)
    for progress in impasto.steps(CONTENT, STYLES[0], net=thin_path, **SHORT, checkpoint=path):
        if (progress.level, progress.step) == (2, 2):
            break
    assert path.exists()
    found = list(impasto.steps(CONTENT, STYLES[0], net=thin_path, **SHORT, checkpoint=path))
    assert (found[0].level, found[-1].step) == (2, 5)
    assert not path.exists()
    assert torch.equal(found[-1].transfer.result().image, whole.image)
    with pytest.raises(OutputError, match="is a folder"):
        paint(thin_path, checkpoint=tmp_path / "..")
    with pytest.raises(OutputError, match="does not exist"):
        paint(thin_path, checkpoint=tmp_path / "no" / "x")
    assert torch.equal(paint(thin_path, checkpoint=str(path)).image, whole.image)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_of_once_and_the_painting_goes_on(
    thin_path: str, tmp_path: Path, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise checkpoint.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = paint(thin_path, checkpoint=tmp_path / "x")
    (one,) = caught
    assert str(one.message).endswith(
        "x: cannot be written (No space left on device); choose another place; the painting goes on without"
    )
    assert torch.equal(result.image, paint(thin_path).image)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_diverged_leaves_no_checkpoint_as_it_would_again(
    thin_path: str, tmp_path: Path, at_once: None
) -> None:
    with pytest.raises(DivergenceError):
        paint(thin_path, checkpoint=tmp_path / "x", style_weight=1e38, content_weight=1e38, units="paper")
    assert list(tmp_path.iterdir()) == []


# ---- the parts ----


def test_a_tensor_comes_back_as_it_lay_in_memory() -> None:
    from impasto.paint.optimize import Best, Evaluation, Lbfgs
    from impasto.paint.place import Place

    lying = torch.arange(24.0).reshape(4, 2, 3).permute(1, 2, 0)
    now = Evaluation(1.5, lying.clone(memory_format=torch.preserve_format), {"a": 1 / 3}, 0.1)
    place = Place(
        2,
        lying,
        {},
        (Plan(8, frozenset({3, 1})),),
        optimizer=Lbfgs(lying, now, Best(lying, now, 3), ((lying, lying, 1 / 7),), 1.0, 2.0, 0.1),
    )
    values, tensors = pack(place)
    assert len(tensors) == 2  # each tensor once
    back = unpack(json.loads(json.dumps(values)), tensors.__getitem__, torch.device("cpu"))
    assert back.plans == place.plans
    assert isinstance(back.optimizer, Lbfgs)
    assert back.optimizer.pairs[0][2] == 1 / 7
    assert back.optimizer.now.terms == {"a": 1 / 3}
    for one in (back.picture, back.optimizer.x, back.optimizer.now.gradient):
        assert torch.equal(one, lying)
        assert one.stride() == lying.stride()
    assert isinstance(Curvature(2, None, None, back.optimizer.pairs).pairs[0][0], torch.Tensor)


def test_a_trace_goes_on_after_its_steps() -> None:
    header = {"recipe": {"size": 1}}
    lines = [json.dumps(header), "1", "2", "3"]
    text = "\n".join(lines) + "\n"
    assert continued(text, header, 2) == "\n".join(lines[:3]) + "\n"
    assert continued(text, header, 9) == text
    assert continued(text, {"recipe": {"size": 2}}, 2) is None
    assert continued("", header, 0) is None
