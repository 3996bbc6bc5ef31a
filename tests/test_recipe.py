"""Recipe: ranges, messages, and there and back as text."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from impasto.errors import OptionError
from impasto.options import parse_laplacian
from impasto.recipe import GROUPS, Recipe

UNUSUAL: dict[str, Any] = {
    "size": 0,
    "style_scale": (0.75, 0.5),
    "color": "luminance",
    "blend": (0.2, 0.8),
    "init": 'a "quoted" \\ päth\n.png',
    "units": "report-code",
    "tv_weight": 1e-5,
    "style_weight": 1e30,
    "laplacian": ("4:10", "16:0.5"),
    "laplacian_exact": True,
    "content_layer": ("conv4_2", "relu3_1:0.5"),
    "style_layer": ("relu1_1:2",),
    "iterations": (3, 2),
    "optimizer": "adam",
    "seed": 2**63 - 1,
}


def test_every_option_has_its_place_and_its_words() -> None:
    for name, field in Recipe.model_fields.items():
        assert field.description, name
        assert field.description[-1] == ".", name
        assert isinstance(field.json_schema_extra, dict)
        assert field.json_schema_extra["group"] in GROUPS, name


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(**UNUSUAL)])
def test_there_and_back(recipe: Recipe, tmp_path: Path) -> None:
    assert Recipe.from_text(recipe.to_json()) == recipe
    assert Recipe.from_text(recipe.to_toml()) == recipe
    assert tomllib.loads(recipe.to_toml()) == json.loads(recipe.to_json())
    stored = json.dumps({"impasto": "1", "recipe": json.loads(recipe.to_json())})
    assert Recipe.from_text(stored) == recipe
    file = tmp_path / "recipe.toml"
    file.write_text("\ufeff" + recipe.to_toml(), encoding="utf-8")  # some editors begin a file with that mark
    assert Recipe.from_file(file) == recipe


def test_one_value_or_a_list_in_text_serve_where_several_are_expected() -> None:
    recipe = Recipe(blend="0.2, 0.8", iterations=7, style_layer="relu1_1,relu2_1:3", laplacian="4:10")
    assert recipe.blend == (0.2, 0.8)
    assert recipe.iterations == (7,)
    assert recipe.style_layer == ("relu1_1", "relu2_1:3")
    assert recipe.laplacian == ("4:10",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": -1}, r"size: .*-1"),
        ({"size": 30_001}, r"size: .*30001"),
        ({"size": 1.5}, r"size: .*1\.5"),
        ({"style_scale": 0}, r"style_scale\.0: .*0"),
        ({"style_scale": ()}, "style_scale: "),
        ({"style_weight": float("nan")}, r"style_weight: .*nan"),
        ({"style_weight": float("inf")}, r"style_weight: .*inf"),
        ({"content_weight": -1}, r"content_weight: .*-1"),
        ({"content_weight": 0, "style_weight": 0}, "content_weight, style_weight: at least one must be above 0"),
        ({"blend": (0, 0)}, "blend: at least one"),
        ({"blend": (1, -1)}, r"blend\.1: .*-1"),
        ({"blend": (1e308, 1e308)}, "blend: "),
        ({"laplacian": ("4",)}, r"laplacian.*'4' must be POOL:GAMMA"),
        ({"laplacian": ("0:1",)}, "0:1"),
        ({"laplacian": ("4:nan",)}, "4:nan"),
        ({"content_layer": ()}, "content_layer: "),
        ({"content_layer": ("conv4_9",)}, r"conv4_9.*did you mean conv4_"),
        ({"style_layer": ("relu1_1", "relu1_1:2")}, "style_layer: a layer is named twice"),
        ({"iterations": ()}, "iterations: "),
        ({"iterations": (5, 0)}, r"iterations\.1: .*0"),
        ({"levels": 11}, r"levels: .*11"),
        ({"border": 8}, r"border: .*8"),
        ({"color": "blue"}, r"color: .*'blue'"),
        ({"optimizer": "sgd"}, r"optimizer: .*'sgd'"),
        ({"learning_rate": 1e6}, r"learning_rate: .*1000000"),
        ({"seed": -1}, r"seed: .*-1"),
        ({"net": ""}, "net: "),
        ({"style_wieght": 3}, "style_wieght: no such option; did you mean style_weight"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        Recipe(**options)
    assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match=message):
        Recipe().replace(**options)


def test_replace_checks_anew_and_leaves_the_original() -> None:
    recipe = Recipe(size=100)
    assert recipe.replace(size=200, blend=[1, 3]).size == 200
    assert recipe.size == 100
    with pytest.raises(ValueError, match="frozen"):
        recipe.size = 3  # type: ignore[misc]


def test_laplacians_given_twice_add_and_zeros_drop_out() -> None:
    assert Recipe(laplacian=("4:10", "16:1", "4:0.5", "8:0")).laplacians() == {4: 10.5, 16: 1.0}
    assert parse_laplacian(" 16:1e2 ") == (16, 100.0)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "size = ", '{"size": 1e999}', '{"recipe": [1]}', "[" * 100_000, "1" * 9_999]
)
def test_text_that_is_no_recipe(text: str) -> None:
    if text == "":
        assert Recipe.from_text(text) == Recipe()
        return
    with pytest.raises(OptionError, match=r"^mine\.toml: ") as caught:
        Recipe.from_text(text, "mine.toml")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    binary, long = tmp_path / "binary.toml", tmp_path / "long.json"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n\xff\xff")
    long.write_bytes(b"{" + b" " * 10_000_000 + b"}")
    for path, message in [
        (binary, "not a text file"),
        (long, "are too many for a recipe"),
        (tmp_path / "none", "cannot be read"),
    ]:
        with pytest.raises(OptionError, match=message) as caught:
            Recipe.from_file(path)
        assert str(path) in str(caught.value)
    with pytest.raises(OptionError, match="cannot be read"):
        Recipe.from_file(tmp_path)
