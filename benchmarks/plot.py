"""The plot of quality.py: judge total against seconds, both logarithmic, one panel for each β."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

COLOURS = {"reference": "#333333", "vgg19": "#1f5fa8", "lite": "#d9731a"}
LABELS = {
    "reference": "the peers' way (full-size L-BFGS, VGG-19)",
    "vgg19": "impasto, VGG-19",
    "lite": "impasto, lite",
}
FACTORS = (1.0, 1.5)


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Write the plot of all runs as PNG; a dot is the end of a whole run."""
    betas = list(dict.fromkeys(run["settings"]["beta"] for run in runs))
    figure = Figure(figsize=(6.4 * len(betas), 5.2), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(betas), squeeze=False)[0]
    for axes, beta in zip(panels, betas, strict=True):
        _panel(axes, [run for run in runs if run["settings"]["beta"] == beta])
        axes.set_title(f"style weight {beta:g}")
    figure.savefig(path)


def _panel(axes: Axes, runs: list[dict[str, Any]]) -> None:
    named: set[str] = set()
    for run in runs:
        candidate, points = run["settings"]["candidate"], run["points"]
        seconds, totals = ([point[key] for point in points] for key in ("seconds", "total"))
        usual = run["settings"].get("schedule") in (None, "default")
        style: dict[str, Any] = {
            "color": COLOURS[candidate],
            "linewidth": 1.8 if usual else 0.9,
            "alpha": 1.0 if usual else 0.6,
        }
        label = None if candidate in named else LABELS[candidate]
        axes.plot(seconds, totals, label=label, **style)
        axes.plot(seconds[-1:], totals[-1:], "o", color=COLOURS[candidate], markersize=6 if usual else 4)
        named.add(candidate)
        if candidate == "reference":
            for factor in FACTORS:
                axes.axhline(factor * totals[-1], color="#999999", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_locator(LogLocator(subs=(3, 4, 6, 7, 8, 9)))
        axis.set_minor_formatter(lambda *_: "")
    axes.set_xlabel("seconds since the process started")
    axes.set_ylabel("judge total of the saved picture")
    axes.grid(which="major", color="#e4e4e4", linewidth=0.7)
    axes.legend(frameon=False)
