"""The report's experiments still run, by their one command; small, on a thin network."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import many

ROOT = Path(__file__).resolve().parents[1]


def test_a_figure_of_the_report_is_painted_and_measured(tmp_path: Path, thin_path: str) -> None:
    for seed, name in enumerate(("tubingen", "kandinsky", "starry_night", "seated_nude", "the_scream")):
        many.draw(tmp_path / f"{name}.png", seed)
        (tmp_path / f"{name}.png").rename(tmp_path / f"{name}.jpg")  # what is in a file says its bytes
    command = [sys.executable, str(ROOT / "examples" / "report" / "run.py"), "fig6", "--pictures", str(tmp_path)]
    run = subprocess.run(
        [*command, "--out", str(tmp_path / "out"), "--net", thin_path, "--size", "48"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    out = tmp_path / "out"
    assert (out / "fig6-kandinsky-starry_night.jpg").is_file()
    rows = list(csv.DictReader((out / "fig6.csv").read_text("utf-8").splitlines()))
    assert len(rows) == 6
    assert all(float(row["content"]) > 0 and float(row["total"]) > 0 for row in rows)
