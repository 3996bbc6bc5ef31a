"""The page of a sweep: everything in one file, everything escaped, every cell with its picture, losses and curves."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from impasto.show import page
from impasto.show.page import Figure
from impasto.show.sheet import Grid

HOSTILE = """</script></template><img src=x onerror=alert(1)>"'&amp;$title<!-- ü"""


class Tree(HTMLParser):
    """Elements with their attributes, text and the tags around; fails where tags are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[dict[str, Any]] = []
        self._open: list[dict[str, Any]] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = {"tag": tag, "text": "", "in": [one["tag"] for one in self._open], **dict(attrs)}
        self.elements.append(element)
        if tag not in {"meta", "img"}:  # tags without an end
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element["text"] += data

    def all(self, tag: str, kind: str | None = None) -> list[dict[str, Any]]:
        return [
            one for one in self.elements if one["tag"] == tag and (kind is None or kind in one.get("class", "").split())
        ]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    image = Image.new("RGB", (60, 40), (200, 40, 30))
    image.paste((20, 60, 180), (30, 0, 60, 40))
    image.save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def line(level: int, losses: Mapping[str, float | None], loss: float | None, **others: Any) -> dict[str, Any]:
    return {"level": level, "levels": 2, "width": 8 * level, "height": 6, "loss": loss, "losses": losses, **others}


def trace(path: Path, lines: Sequence[Any], *, end: str = "\n") -> Path:
    records = [{"impasto": "0"}, *lines]
    path.write_text("\n".join(json.dumps(record) for record in records) + end, encoding="utf-8")
    return path


def shown(label: str = "one", **fields: Any) -> Figure:
    values = {"picture": None, "reason": "", "losses": {}, "trace": None, "command": "impasto a b -o c.png", **fields}
    return Figure(label=label, **values)


def parsed(*cells: Figure, **options: Any) -> Tree:
    return Tree(page.html("Title", [Grid((cells,))], caption=[], **options))


def decoded(image: Mapping[str, Any]) -> Image.Image:
    head, _, data = image["src"].partition(",")
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


def points(d: str) -> list[list[tuple[float, float]]]:
    """The runs of a path of absolute M and L."""
    runs = [re.sub("h0$", "", run).split("L") for run in d.split("M")[1:]]
    return [[(float(x), float(y)) for x, y in (point.split() for point in run)] for run in runs]


def curves(tree: Tree) -> dict[str, list[list[tuple[float, float]]]]:
    """The runs of each line by its name."""
    titles = [one["text"] for one in tree.all("title") if "svg" in one["in"]]
    drawn = [one for one in tree.all("path", "curve") if "ul" not in one["in"]]
    return {name: points(one["d"]) for name, one in zip(titles, drawn, strict=True)}


def test_two_axes_are_a_table_with_headings(picture: Path) -> None:
    rows = tuple(tuple(shown(f"down {d}, across {a}", picture=picture) for a in "xyz") for d in "pq")
    grid = Grid(rows, "First 1", "across it", "down it", ("x", "y", "z"), ("p", "q"))
    tree = Tree(page.html("Title", [grid], caption=["a photo", "all the rest"]))
    heads = {one["text"]: one["scope"] for one in tree.all("th")}
    assert heads == dict.fromkeys("xyz", "col") | {"down it": "col", "across it": "colgroup", "p": "row", "q": "row"}
    labels = [one["aria-label"] for one in tree.all("button", "cell")]
    assert labels == [f"down {d}, across {a}" for d in "pq" for a in "xyz"]
    assert all(one["in"][-2:] == ["tr", "td"] for one in tree.all("button", "cell"))
    assert [one["text"] for one in tree.all("h2")] == ["First 1", ""]  # the last is the dialog's
    assert [one["text"] for one in tree.all("p")][:2] == ["a photo", "all the rest"]


def test_one_axis_is_a_row_of_figures_that_wraps(picture: Path) -> None:
    rows = tuple((shown(f"{n}", picture=picture), shown(f"{n + 1}", picture=picture)) for n in (1, 3))
    tree = Tree(page.html("size", [Grid(rows, title="size")], caption=[]))
    assert [one["text"] for one in tree.all("figcaption")] == ["1", "2", "3", "4"]
    assert len(tree.all("div", "flow")) == 1
    assert [one["text"] for one in tree.all("h2")] == [""]  # the page's title is not said twice


def test_every_cell_is_a_button_with_its_template_behind_it(picture: Path) -> None:
    tree = parsed(shown("good", picture=picture), shown("bad", reason="no memory"))
    tags = [one for one in tree.elements if one["tag"] in {"button", "template"} and "dialog" not in one["in"]]
    assert [one["tag"] for one in tags if "template" not in one["in"]] == ["button", "template"] * 2
    assert all(one["type"] == "button" and one["aria-haspopup"] == "dialog" for one in tree.all("button", "cell"))
    assert [one["alt"] for one in tree.all("img")] == ["good"]
    for identity in ("label", "close", "previous", "next"):
        assert sum(one.get("id") == identity for one in tree.elements) == 1
    assert [one["aria-labelledby"] for one in tree.all("dialog")] == ["label"]


def test_a_failed_cell_says_why_and_keeps_its_command() -> None:
    tree = parsed(shown("bad", reason="no memory"))
    (cell,) = tree.all("button", "cell")
    assert (cell["text"], cell["aria-label"]) == ("failed: no memory", "bad, failed: no memory")
    assert not tree.all("img")
    (template,) = tree.all("template")
    assert "failed: no memory" in template["text"]
    assert "impasto a b -o c.png" in template["text"]


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_picture_that_cannot_be_read_is_a_failed_cell(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "gone.png"
    if content is not None:
        path.write_bytes(content)
    (cell,) = parsed(shown(picture=path)).all("button", "cell")
    assert cell["text"].startswith("failed: ")
    assert "gone.png" in cell["text"]


def test_pictures_are_embedded_small_enough_and_like_the_originals(tmp_path: Path, picture: Path) -> None:
    Image.new("RGB", (2048, 512), (90, 120, 60)).save(tmp_path / "wide.png")
    tree = parsed(shown(picture=picture), shown(picture=tmp_path / "wide.png"), thumbnail=200)
    small, wide = (decoded(one) for one in tree.all("img"))
    assert (small.size, wide.size) == ((60, 40), (1024, 256))
    assert [(one["width"], one["height"]) for one in tree.all("img")] == [("60", "40"), ("1024", "256")]
    for place, colour in (((10, 20), (200, 40, 30)), ((50, 20), (20, 60, 180))):
        assert small.convert("RGB").getpixel(place) == pytest.approx(colour, abs=8)
    assert tree.all("body")[0]["style"] == "--side: 200px"


def test_many_pictures_share_their_room(monkeypatch: pytest.MonkeyPatch, picture: Path) -> None:
    monkeypatch.setattr(page, "AREA", 4 * 30 * 30)
    sizes = [decoded(one).size for one in parsed(*[shown(picture=picture)] * 4).all("img")]
    assert sizes == [(30, 20)] * 4


def test_transparent_pictures_stay_so_and_deep_ones_are_read(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (10, 200, 30, 0)).save(tmp_path / "clear.png")
    Image.new("I;16", (8, 8), 32_896).save(tmp_path / "deep.png")
    clear, deep = parsed(shown(picture=tmp_path / "clear.png"), shown(picture=tmp_path / "deep.png")).all("img")
    assert decoded(clear).convert("RGBA").getchannel("A").getextrema() == (0, 0)
    assert decoded(deep).convert("RGB").getpixel((4, 4)) == pytest.approx((128, 128, 128), abs=3)


def test_hostile_words_stay_words(tmp_path: Path, picture: Path) -> None:
    path = trace(tmp_path / "t.jsonl", [line(1, {HOSTILE: 2.0}, 3.0), line(1, {HOSTILE: 1.0}, 2.0)])
    cells = (
        shown(HOSTILE, picture=picture, losses={HOSTILE: 1.0}, trace=path, command=HOSTILE),
        shown(HOSTILE, reason=HOSTILE),
    )
    table = Grid((cells,), HOSTILE, HOSTILE, HOSTILE, (HOSTILE, HOSTILE), (HOSTILE,))
    text = page.html("Title", [table, Grid((cells,))], caption=[HOSTILE])
    tree = Tree(text)
    assert len(tree.all("script")) == 1
    assert len(tree.all("template")) == 4
    assert not [key for one in tree.elements for key in one if key.startswith("on")]
    assert len(tree.all("img")) == 2
    assert all(one["src"].startswith("data:") for one in tree.all("img"))
    for kind in ("h2", "p", "th", "figcaption", "code", "title", "li"):
        assert HOSTILE in {one["text"] for one in tree.all(kind)}, kind
    assert {one["data-label"] for one in tree.all("button", "cell")} == {HOSTILE}
    assert tree.all("title")[0]["text"] == "Title"


def test_the_command_is_exact_and_all_else_is_printable() -> None:
    command = "impasto 'a\nb' \"$'\\r\" 'c\rd' -o e.png"
    tree = parsed(shown("a\x1b\u202eb", command=command, reason="x\ny"))
    assert tree.all("code")[0]["text"] == command
    assert tree.all("button", "cell")[0]["data-label"] == "a\\x1b\\u202eb"


def test_names_that_are_no_unicode_can_be_written() -> None:
    bad = b"\xff.png".decode("utf-8", "surrogateescape")
    grid = Grid(((shown(bad, reason=bad, command=f"impasto {bad}"),),))
    text = page.html(bad, [grid], caption=[bad]).encode().decode()
    assert "\\udcff.png" in text


def test_nothing_comes_from_elsewhere(tmp_path: Path, picture: Path) -> None:
    path = trace(tmp_path / "t.jsonl", [line(1, {"content": 2.0}, 3.0)])
    text = page.html("Title", [Grid(((shown(picture=picture, trace=path, losses={"total": 1.0}),),))], caption=[])
    plain = re.sub(r"base64,[\w+/=]+", "", text)
    assert "http:" not in plain
    assert "https:" not in plain
    assert "//" not in re.sub(r"(?m)(^| )// .*$", "", plain)  # comments of the script
    assert not re.search(r"url\(|@import|\bimport\b|fetch\(|XMLHttp", plain)
    tree = Tree(text)
    assert {one["tag"] for one in tree.elements}.isdisjoint({"link", "iframe", "object", "embed", "base", "form", "a"})
    assert [key for one in tree.elements for key in one if key in {"href", "srcset", "action"}] == []
    assert [one for one in tree.all("script") if "src" in one] == []


def test_the_policy_lets_this_script_run_and_no_other() -> None:
    tree = parsed(shown())
    (policy,) = (one["content"] for one in tree.all("meta") if "http-equiv" in one)
    script = tree.all("script")[0]["text"]
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert policy.startswith("default-src 'none'")


def test_losses_are_a_table_with_the_total_last() -> None:
    tree = parsed(shown(losses={"total": 1234.5678, "content": 0.5, "style": 1e-7}))
    (table,) = tree.all("table", "losses")
    assert table["text"] == "content0.5style1e-07total1235"
    assert not parsed(shown()).all("table", "losses")


def test_curves_agree_with_the_trace(tmp_path: Path) -> None:
    steps = [
        line(1, {"content": 100.0, "style": 1e4}, 1e4),
        line(1, {"content": 10.0, "style": 1e3}, 1e3),
        line(2, {"content": 1.0, "style": 1e2}, 1e2),
        line(2, {"content": 1.0, "style": 1e1}, 1e2),
        line(2, {"content": 1.0, "style": 1e0}, 1e1),
    ]
    tree = parsed(shown(trace=trace(tmp_path / "t.jsonl", steps)))
    found = curves(tree)
    assert list(found) == ["content", "style", "total"]
    left, right, top, bottom = page.LEFT, page.WIDTH - page.RIGHT, page.TOP, page.HEIGHT - page.BOTTOM
    places = [left + n * (right - left) / 4 for n in range(5)]
    decade = (bottom - top) / 4
    for name, logs in (("content", [2, 1, 0, 0, 0]), ("style", [4, 3, 2, 1, 0]), ("total", [4, 3, 2, 2, 1])):
        (run,) = found[name]
        assert [x for x, _ in run] == pytest.approx(places, abs=0.051)
        assert [y for _, y in run] == pytest.approx([bottom - log * decade for log in logs], abs=0.051)
    (between,) = tree.all("path", "level")
    assert float(between["d"][1:].split()[0]) == pytest.approx((places[1] + places[2]) / 2, abs=0.051)
    words = [one["text"] for one in tree.all("text")]
    assert words == ["1", "10", "100", "1000", "10000", "1", "2", "3", "4", "5", "step", "loss", "8×6", "16×6"]
    assert [one["text"] for one in tree.all("li")] == ["content", "style", "total"]
    assert [one["aria-label"] for one in tree.all("svg") if "role" in one] == [
        "Loss curves of content, style, total over 5 steps"
    ]


def test_only_finite_positive_values_are_drawn(tmp_path: Path) -> None:
    steps = [
        line(1, {"tv": 1.0, "zero": 0.0}, 1.0),
        line(1, {"tv": None, "zero": -1.0}, math.inf),
        line(1, {"tv": 10.0, "zero": math.nan, "late": 5.0}, 3.0),
        line(1, {"tv": 10.0, "zero": None}, None),
    ]
    found = curves(parsed(shown(trace=trace(tmp_path / "t.jsonl", steps))))
    assert {name: [len(run) for run in runs] for name, runs in found.items()} == {
        "tv": [1, 2],
        "late": [1],
        "total": [1, 1],
    }


@pytest.mark.parametrize("value", [5e-324, 1.0, 1.7e308])
def test_a_single_step_has_curves_too(tmp_path: Path, value: float) -> None:
    found = curves(parsed(shown(trace=trace(tmp_path / "t.jsonl", [line(1, {}, value)]))))
    assert found == {"total": [[(page.LEFT, (page.TOP + page.HEIGHT - page.BOTTOM) / 2)]]}


def test_long_traces_are_thinned_and_keep_their_peaks(tmp_path: Path) -> None:
    losses = [1000.0 if n == 3210 else 1 + 0.01 * (n % 7) for n in range(8000)]
    ((run,),) = curves(parsed(shown(trace=trace(tmp_path / "t.jsonl", [line(1, {}, one) for one in losses])))).values()
    assert len(run) <= page.WIDTH
    peak = min(run, key=lambda point: point[1])
    assert peak[1] == page.TOP
    assert peak[0] == pytest.approx(page.LEFT + 3210 / 7999 * (page.WIDTH - page.LEFT - page.RIGHT), abs=0.051)
    assert run == sorted(run)


def test_an_interrupted_trace_is_drawn_up_to_its_last_whole_line(tmp_path: Path) -> None:
    steps = [line(1, {}, 4.0), line(1, {}, 2.0), line(1, {}, 1.0)]
    path = trace(tmp_path / "t.jsonl", steps)
    path.write_bytes(path.read_bytes()[:-9])
    ((run,),) = curves(parsed(shown(trace=path))).values()
    assert len(run) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n\n",
        b"{}\n{}\n",
        b"{}\n[1]\n",
        b"{}\n3\n",
        b"{}\nnull\n",
        b"{}\n\xff\xfe\n",
        b"\x00\x01" * 200,
        b"{}\n" + b"[" * 100_000 + b"\n",
        b"{}\n" + json.dumps(line(1, {"a": 1}, 1)).encode()[:-4] + b"\n{}\n",
        b"{}\n" + json.dumps(line(1, {"a": [1]}, 1)).encode() + b"\n",  # type: ignore[dict-item]
        b"{}\n" + json.dumps(line(1, {"a": "x"}, 1)).encode() + b"\n",  # type: ignore[dict-item]
        b"{}\n" + json.dumps(line(1, {"a": 10**400}, 1)).encode() + b"\n",
        b"{}\n" + json.dumps({**line(1, {"a": 1}, 1), "width": "<b>"}).encode() + b"\n",
        b"{}\n" + json.dumps({**line(1, {"a": 1}, 1), "level": None}).encode() + b"\n",
        b"{}\n" + json.dumps({**line(1, {}, 1), "losses": [1]}).encode() + b"\n",
    ],
)
def test_damaged_traces_have_no_curves(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.jsonl").write_bytes(content)
    tree = parsed(shown(trace=tmp_path / "t.jsonl"))
    assert not tree.all("svg")
    assert len(tree.all("code")) == 1


@pytest.mark.parametrize("name", ["missing.jsonl", ".", "a\0b"])
def test_missing_traces_have_no_curves(tmp_path: Path, name: str) -> None:
    assert not parsed(shown(trace=tmp_path / name)).all("svg")


def test_colours_begin_again_dashed(tmp_path: Path) -> None:
    losses = {f"term {n}": float(n + 1) for n in range(8)}
    tree = parsed(shown(trace=trace(tmp_path / "t.jsonl", [line(1, losses, 9.0)] * 2)))
    kinds = [one["class"] for one in tree.all("path", "curve") if "ul" not in one["in"]]
    assert kinds == [*(f"curve c{n}" for n in range(6)), "curve c0 dashed", "curve c1 dashed", "curve total"]
