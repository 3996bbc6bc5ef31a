"""What one pass is worth beside the optimiser, and what it costs.

    python benchmarks/instant.py PAIRS.txt --vgg19 FILE.h5 --size 512 --out FOLDER \
        --ways instant "instant transform=whiten" style-loss=gram style-loss=neighbours

A way is impasto's options without their dashes. PAIRS.txt: a photo, a tab and a painting in each line; behind a second
tab a model for that painting, for ways that hold the word MODEL. Every picture is painted by a process of its own.

Writes instant.json and instant.md: for every way the geometric mean over the pairs of the judge's relative style, the
mean of its content, of its total at β = 20, and of style and content place by place (places.py); how much nearer to the
painting than the photo itself a result is by that style, 1 − style/style of the photo; seconds of the whole process,
and its peak of memory. Also the multiplications a pixel of the network and of the decoder. Not on Windows.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import judge
import places
import torch
from common import caption, machine, significant, table
from looks import MIB, once
from PIL import Image
from torch import Tensor

BETA = 20.0
MODEL = "MODEL"


def main() -> None:
    """Paint all pairs in all ways, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--vgg19", type=Path, required=True)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--ways", nargs="+", default=["instant"])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    pairs = [line.split("\t") for line in given.pairs.read_text("utf-8").splitlines() if line.strip()]
    net = judge.load(given.vgg19)
    rows = []
    for way in given.ways:
        judged = [
            judged_pair(net, pair, way, given.out / f"{number:02}-{_plain(way)}.png", given.size)
            for number, pair in enumerate(pairs, 1)
        ]
        rows.append({"way": way, "pairs": judged})
        shown = [summary(row["way"], row["pairs"]) for row in rows]
        about = {**machine(), **multiplications()}
        record = {"machine": about, "size": given.size, "rows": rows}
        (given.out / "instant.json").write_text(json.dumps(record, indent=1, ensure_ascii=False), "utf-8")
        text = f"{caption(about)}; {len(pairs)} pairs, {given.size} px.\n\n{table(shown)}\n\n{costs(about)}\n"
        (given.out / "instant.md").write_text(text, "utf-8")
    print(text)


def judged_pair(net: judge.Net, pair: list[str], way: str, out: Path, size: int) -> dict[str, Any]:
    """One pair painted in one way, and what the judges say."""
    photo, painting, *model = pair
    style = model[0] if MODEL in way else painting
    options = [part for one in way.split() if one != MODEL for part in f"--{one}".split("=", 1)]
    command = [sys.executable, "-m", "impasto", photo, style, "-o", str(out), "--overwrite", "--size", str(size)]
    seconds, peak = once([*command, "--quiet", *options])
    with Image.open(out) as picture:
        shape = picture.size
        said = json.loads(picture.text.get("impasto", "{}")) if hasattr(picture, "text") else {}
    pixels = judge.pixels(out)
    content, style_loss = (value.item() for value in judge.between(net, Path(photo), Path(painting), shape)(pixels))
    with Image.open(painting) as file:
        scale = max(shape) / max(file.size)
        own = max(1, round(file.width * scale)), max(1, round(file.height * scale))
    seen = {
        "result": places.observe(net, pixels),
        "photo": places.observe(net, judge.pixels(Path(photo), shape)),
        "painting": places.observe(net, judge.pixels(Path(painting), own)),
    }
    near, before = (places.style(seen[name], seen["painting"]) for name in ("result", "photo"))
    return {
        "photo": photo,
        "painting": painting,
        "losses": said.get("losses", {}),
        "content": content,
        "style": style_loss,
        "total": content + BETA * style_loss,
        "places_style": near,
        "places_content": places.content(seen["result"], seen["photo"]),
        "nearer": 1 - near / before,
        "seconds": seconds,
        "peak": peak,
    }


def summary(way: str, judged: list[dict[str, Any]]) -> dict[str, str | None]:
    """A row of the table."""

    def mean(key: str) -> float:
        return statistics.fmean(one[key] for one in judged)

    return {
        "way": f"`{way}`",
        "style": significant(math.exp(statistics.fmean(math.log(max(1e-9, one["style"])) for one in judged))),
        "content": significant(mean("content")),
        "total, β = 20": significant(mean("total")),
        "style by places": significant(mean("places_style")),
        "content by places": significant(mean("places_content")),
        "nearer than the photo": f"{100 * mean('nearer'):.0f} %",
        "seconds, whole process": significant(mean("seconds")),
        "peak, MiB": f"{max(one['peak'] for one in judged) / MIB:.0f}",
    }


def multiplications() -> dict[str, int]:
    """For each pixel of the picture, of the encoder as far as relu4_1 and of the decoder."""
    from impasto.layers import CONVOLUTIONS
    from impasto.network.weights.loading import load
    from impasto.onepass.decoder import Decoder
    from impasto.onepass.models import embedded

    first = CONVOLUTIONS[: CONVOLUTIONS.index("conv4_1") + 1]

    def share(key: str, tensor: Tensor) -> float:
        name = key.partition(".")[0]
        return tensor.numel() / 4 ** (int(name[4]) - 1) if name in first and tensor.dim() == 4 else 0.0

    encoder = sum(share(key, tensor) for key, tensor in load("lite").tensors.items())
    return {"encoder": round(encoder), "decoder": Decoder(embedded().tensors).multiplications}


def costs(about: dict[str, Any]) -> str:
    """A line on the multiplications."""
    return f"Multiplications a pixel: encoder {about['encoder']:,}, decoder {about['decoder']:,}."


def _plain(way: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in way).split())


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
