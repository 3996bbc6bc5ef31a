"""The blind comparison: sheets without labels, and a key that opens only after all verdicts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

import many

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import blind


def test_pairs_are_drawn_and_the_key_opens_after_the_verdicts(tmp_path: Path) -> None:
    pairs = []
    for number in (1, 2):
        names = [str(tmp_path / f"{role}{number}.png") for role in ("photo", "painting")]
        for seed, name in enumerate(names):
            many.draw(Path(name), 10 * number + seed)
        for seed, way in enumerate(blind.WAYS):
            many.draw(tmp_path / f"{number:02}-{way}.png", 100 * number + seed)
        pairs.append((names[0], names[1]))
    blind.sheets(pairs, tmp_path)
    key = json.loads((tmp_path / "key.json").read_text("utf-8"))
    assert set(key.values()) <= set(blind.WAYS)
    with Image.open(tmp_path / "pair-02.png") as sheet:
        assert sheet.width > 4 * 24
    (tmp_path / "verdicts.txt").write_text("01 A finer strokes\n", "utf-8")
    with pytest.raises(SystemExit, match="no verdict on 2"):
        blind.read(tmp_path)
    (tmp_path / "verdicts.txt").write_text("01 A finer strokes\n02 both\n", "utf-8")
    with pytest.raises(SystemExit, match="'02 both': is no verdict"):
        blind.read(tmp_path)
    (tmp_path / "verdicts.txt").write_text("01 A: finer strokes\n\n02 = alike\n", "utf-8")
    said = blind.read(tmp_path).splitlines()
    assert said[0].startswith(f"1: {key['1']} ")
    assert said[-1].endswith("neither 1")
    blind.sheets(pairs, tmp_path)
    assert json.loads((tmp_path / "key.json").read_text("utf-8")) == key
