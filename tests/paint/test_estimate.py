from __future__ import annotations

import ctypes
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
import torch

import plain
from impasto import Recipe, Transfer, stylize
from impasto.errors import MemoryShortError
from impasto.network.encoder import Encoder
from impasto.network.looks import Look
from impasto.network.tiles import WHOLE, Plan
from impasto.network.weights.loading import load as load_weights
from impasto.paint import estimate, memory, objective, phases
from impasto.paint.estimate import Load

ENCODER = Encoder(load_weights("lite"), border=0)
LOOKS = [
    Look("conv4_2", "map", "content"),
    Look("conv4_2", "rows"),
    *(Look(name, "gram") for name in ("relu1_1", "relu3_1", "relu5_1")),
]
SIZE = (3000, 4000)


def load(
    size: tuple[int, int] = SIZE, base: float = 0.0, painting: tuple[int, int] = (300, 400), **options: Any
) -> Load:
    """One level of a size, with one painting, L-BFGS at its fullest."""
    return Load(ENCODER, Recipe(**options), base, (size,), (99,), (painting,))


def test_less_is_kept_where_less_memory_is() -> None:
    plans = [WHOLE, Plan(256, frozenset({3, 4, 5})), Plan(256, frozenset()), Plan(16, frozenset())]
    needs = [load().need(0, plan) for plan in plans]
    found = [need.bytes for need in needs]
    assert found == sorted(found, reverse=True)
    assert all(need.kept > need.bytes for need in needs)
    for limit, expected in [
        (estimate.SURE * needs[0].kept, WHOLE),
        (estimate.SURE * needs[1].kept, plans[1]),  # strips whose buffers can be kept rather than one piece without
        (estimate.SURE * needs[2].kept, plans[2]),
        (estimate.SURE * needs[3].bytes, plans[3]),
    ]:
        assert estimate.choose(load(), 0, limit=limit).plan == expected
    least = estimate.choose(load(), 0, limit=0.0)
    assert least == load().need(0, Plan(8, frozenset()))


def test_strips_can_be_fixed() -> None:
    assert estimate.choose(load(), 0, limit=1e15, rows=24).plan.rows == 24


def test_twice_the_sides_is_four_times_the_pictures_and_maps() -> None:
    """Beside matrices, which no size changes, everything is in proportion to pixels; history is at its shortest."""
    small, large = (load((2048 * k, 2048 * k), border=0).need(0, WHOLE).bytes for k in (2, 4))
    assert memory.history(4096, 4096) == memory.history(8192, 8192) == (3, torch.bfloat16)
    assert large == pytest.approx(4 * small, rel=0.01)


def test_what_the_process_has_already_comes_on_top() -> None:
    assert load(base=5e9).need(0, WHOLE).bytes == pytest.approx(load().need(0, WHOLE).bytes + 5e9)


def test_short_runs_fill_less_of_the_history() -> None:
    size = (300, 400)
    full, short = load(size), replace(load(size), counts=(3,))
    moves = memory.history(*size)[0] - 2
    held = 2 * moves * 3 * 300 * 400 * 4
    assert full.need(0, WHOLE).bytes - short.need(0, WHOLE).bytes == pytest.approx(estimate.GAPS * held)


def test_a_large_painting_and_several_need_more_than_a_small_one() -> None:
    """In its own size a painting is looked at in strips: it costs what its pixels do, not all its maps at once."""
    size = (384, 512)
    small, large = (load(size, painting=own).need(0, WHOLE).bytes for own in ((384, 512), (3072, 4096)))
    whole = estimate.GAPS * phases.forward(ENCODER, (3072, 4096), LOOKS, WHOLE)
    pixels = 3072 * 4096
    assert small + 24 * pixels < large < whole
    alone = replace(load(size, style_loss="neighbours"), counts=(1,))  # the targets are the peak, not the history
    several = replace(alone, paintings=((384, 512),) * 3)
    maps = 2 * 96 * 128 * 4 * sum(ENCODER.width(name) for name in ("relu1_1", "relu2_1"))  # of two more, in places
    assert several.need(0, WHOLE).bytes > alone.need(0, WHOLE).bytes + maps


def test_the_terms_of_one_look_by_hand() -> None:
    """A map of relu4_1 of 64×64 pixels, 8×8 positions, float32; a Gram matrix as large as VGG-19 has it."""
    width = ENCODER.width("relu4_1")
    assert phases.maps(ENCODER, (64, 64), [Look("relu4_1", "map")]) == width * 64 * 4
    assert phases.maps(ENCODER, (64, 64), [Look("relu1_1", "gram")]) == 64**2 * 4  # of VGG-19
    assert phases.maps(ENCODER, (64, 64), [Look("relu1_1", "map", step=4)]) == ENCODER.width("relu1_1") * 256 * 4


def test_history_depends_on_the_size_alone() -> None:
    assert memory.history(384, 512) == memory.history(768, 1024) == (20, torch.float32)
    assert memory.history(1536, 2048) == (17, torch.bfloat16)  # 0.6 GiB over 2 · 2 bytes · 3 channels
    assert memory.history(3072, 4096) == (4, torch.bfloat16)


def test_what_transfers_share_is_counted_up_to_its_limit(thin_path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "working", lambda _: 0.0)
    transfer = Transfer(plain.picture(48, 64), plain.picture(48, 64), Recipe(net=thin_path, size=64, levels=1))
    encoder = transfer.encoder(16)
    alone, little, much = (Load.of(transfer.scene, encoder, limit).base for limit in (0, 100.0, 1e9))
    looks = objective.looks(transfer.recipe)
    maps = sum(
        phases.maps(encoder, (48, 64), [one for one in looks if one.whose == whose]) for whose in ("content", "style")
    )
    assert little == alone + 100
    assert much == alone + maps


def test_the_largest_picture_that_fits() -> None:
    limit = estimate.SURE * estimate.choose(load().at(2000), 0, limit=0.0).bytes
    longer = estimate.largest(load(), limit)
    assert longer in (1920, 1984)  # a multiple of 64 below 2000; history is cut in whole moves
    assert estimate.largest(load(), 0.0) == 0


def test_buffers_are_kept_only_where_memory_is_ample() -> None:
    assert not memory.keep_buffers(needed=1.1, limit=1.0)


def test_what_an_earlier_picture_kept_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(memory, "give_back", lambda: order.append("given back"))
    monkeypatch.setattr(memory, "_free", lambda: order.append("measured") or 10.0)
    monkeypatch.setattr(memory.groups, "left", lambda: None)
    monkeypatch.setattr(memory, "resident", lambda: 5.0)
    assert memory.available(torch.device("cpu")) == pytest.approx(0.7 * 10 + 5)
    monkeypatch.setattr(memory.groups, "left", lambda: 4.0)
    assert memory.available(torch.device("cpu")) == pytest.approx(0.7 * 4 + 5)
    assert order == ["given back", "measured"] * 2


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_kept_buffers_stay_with_the_process() -> None:
    """In a process of its own, since the setting cannot be taken back: freed memory stays resident."""
    program = """
import psutil, torch
from impasto.paint import memory
assert memory.keep_buffers(needed=1.0, limit=2.0)
for count in (3, 30):
    for _ in range(count):
        torch.ones(2**24)  # 64 MiB, touched and let go
    print(psutil.Process().memory_info().rss)
memory.available(torch.device("cpu"))
print(psutil.Process().memory_info().rss)
"""
    bare = program.replace("assert memory.keep_buffers(needed=1.0, limit=2.0)", "")
    kept, given_back = (
        [
            int(line)
            for line in subprocess.run([sys.executable, "-c", text], capture_output=True, check=True).stdout.split()
        ]
        for text in (program, bare)
    )
    assert kept[0] - given_back[0] > 2**25
    assert kept[1] - kept[0] < 15 * 2**26  # of thirty more, less than half: gaps are filled again
    assert kept[1] - kept[2] > 2**25  # until the next picture asks what is free


def test_the_expected_time_counts_every_pixel_that_the_network_sees(
    thin_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that takes one second an evaluation: the small version's pixels, border and all, set the pace.

    A level's targets, photo and one painting, count as one evaluation.
    """
    ticks = iter(range(1000))
    monkeypatch.setattr("impasto.paint.estimate.time.perf_counter", lambda: float(next(ticks)))
    content = plain.picture(200, 400)
    transfer = Transfer(
        content, content, Recipe(style_loss="gram", net=thin_path, size=400, levels=2, iterations=(3, 5), border=16)
    )
    pace = 1 / ((128 + 32) * (256 + 32))
    assert transfer.scene.sizes == [(100, 200), (200, 400)]
    assert transfer.expected_seconds() == pytest.approx(pace * (4 * 132 * 232 + 6 * 200 * 400))


def test_a_size_that_cannot_fit_is_refused_with_one_that_can(thin_path: str) -> None:
    content = plain.picture(30, 40)
    room = memory.resident() / memory.GIB + 0.4
    with pytest.raises(MemoryShortError, match=r"4000×3000 pixels need about .* GiB may be used; --size \d+ fits"):
        Transfer(content, content, Recipe(net=thin_path, size=4000, max_memory=room))
    with pytest.raises(MemoryShortError, match="no size fits"):
        Transfer(content, content, Recipe(net=thin_path, size=400, max_memory=0.001))


def test_memory_and_strips_change_no_picture(thin_path: str) -> None:
    """The same picture to rounding: float32 sums in another order."""
    content, style = plain.picture(60, 80), plain.picture(50, 50, 1)
    options = {"net": thin_path, "size": 80, "levels": 1, "iterations": 3, "precision": "float32", "style_weight": 20}
    whole, strips = (stylize(content, style, tile=tile, **options) for tile in (0, 8))
    assert torch.allclose(whole.image, strips.image, atol=2e-3)
    assert strips.losses["total"] == pytest.approx(whole.losses["total"], rel=1e-3)


def test_available_is_a_positive_amount() -> None:
    assert 0 < memory.available(torch.device("cpu")) < 1e15


def test_expected_seconds_grow_with_the_work(thin_path: str) -> None:
    content = plain.picture(48, 64)
    made = [Transfer(content, content, Recipe(net=thin_path, size=64, iterations=n)) for n in (1, 1000)]
    few, many = (transfer.expected_seconds() for transfer in made)
    assert 0 < few < many
