"""What can be asked for: all of Recipe's fields, for whoever draws controls; and the document of the interface."""

from __future__ import annotations

import pytest
from studio import Studio

from impasto.options import GROUPS
from impasto.recipe import Recipe
from impasto.web.wishes import JobBody, changed, recipe_of, schema, writable

KINDS = {"integer", "number", "boolean", "text", "choice", "several"}


def test_every_option_is_told_as_recipe_has_it(server: Studio) -> None:
    told = server.client.get("/api/schema").json()
    assert told == schema()
    assert told["groups"] == list(GROUPS)
    fields = {field["name"]: field for field in told["fields"]}
    assert set(fields) == set(Recipe.model_fields) - {"mask", "style_mask", "keep"}
    for name, field in fields.items():
        assert field["help"] == Recipe.model_fields[name].description
        assert field["kind"] in KINDS
        assert field["default"] == Recipe().model_dump(mode="json")[name]
        assert (field["kind"] == "choice") == ("choices" in field)
        assert field["several"] == (field["kind"] == "several") == isinstance(field["default"], list)
        for limit in ("minimum", "maximum"):
            if limit in field and not field["several"] and field.get("multiple", 1) == 1:
                Recipe(**{name: field[limit] or 1e-3 if name == "learning_rate" else field[limit]})
    assert (fields["size"]["minimum"], fields["size"]["maximum"]) == (0, 30_000)
    assert fields["color"]["choices"] == ["style", "luminance", "match", "histogram", "swap"]
    assert (fields["iterations"]["of"], fields["iterations"]["minimum"]) == ("integer", 1)
    assert fields["net"]["choices"] == ["lite", "vgg19"]
    assert fields["init"]["choices"] == ["content", "style", "noise", "instant"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": 300},
        {"style_loss": "neighbours"},
        {"style_loss": ("neighbours", "gram"), "content_weight": 0.5},
        {"style_loss": "patches", "tv_weight": 0.0},
        {"instant": True},
        {"instant": True, "strength": 0.5},
        {"strength": 0.7},
        {"strength": 0.7, "match_mix": 0.2},
        {"laplacian": ("4:10",), "blend": (1.0, 2.0)},
    ],
    ids=str,
)
def test_a_recipe_is_what_of_it_has_to_be_said(options: dict[str, object]) -> None:
    recipe = Recipe(**options)
    said = changed(recipe)
    assert Recipe(**said) == recipe
    assert len(said) <= len(options)


def test_a_recipe_from_a_picture_names_no_file() -> None:
    recipe = Recipe(net="/a.h5", init="b.png", mask=("c.png",), keep="d.png", size=100)
    assert changed(Recipe(**writable(recipe.model_dump(mode="json")))) == {"size": 100}


def test_the_original_network_is_asked_for_by_name_and_never_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    from impasto.errors import OptionError

    monkeypatch.setenv("IMPASTO_CACHE", "/nowhere")
    monkeypatch.setenv("KERAS_HOME", "/nowhere")
    body = JobBody(content="a", styles=["b"], recipe={"net": "vgg19"})
    with pytest.raises(OptionError, match="impasto weights fetch vgg19"):
        recipe_of(body)


def test_the_document_says_what_there_is(server: Studio) -> None:
    document = server.client.get("/api/openapi.json").json()
    assert set(document["paths"]) >= {"/api/jobs", "/api/pictures", "/api/events", "/api/sweeps", "/api/estimate"}
    assert document["info"]["title"] == "impasto"
    assert "http" not in str(document.get("servers", ""))


def test_a_wrong_route_and_a_wrong_method_are_one_line(server: Studio) -> None:
    for method, path, status in (("GET", "/api/nothing", 404), ("PATCH", "/api/jobs", 405), ("GET", "/static/x", 404)):
        answer = server.client.request(method, path)
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]


BODIES = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\xff\xfe",
    b'{"content": 1}',
    b"[" * 100_000,
    b'{"content": "\\ud800", "styles": ["\\ud800"]}',
    b'{"content": "a", "styles": ["b"], "recipe": {"size": NaN}}',
    b'{"content": "a", "styles": ["b"], "recipe": {"seed": 1' + b"0" * 400 + b"}}",
    b'{"content": "a", "styles": ["b"], "recipe": {"seed": 1' + b"0" * 5000 + b"}}",
    b'{"content": "a", "styles": ["b"], "recipe": {"style_weight": 1e999}}',
    b'{"content": "a", "styles": ["b"], "recipe": {"blend": [[1]]}}',
    b'{"content": "a", "styles": ["b"], "recipe": {"\\u0000\\n": 1}}',
    b'{"content": "a", "styles": ["b"], "recipe": {"style_layer": ["\\ud800"]}}',
    b'{"job": {}, "vary": {}}',
    b'{"job": {"content": "a", "styles": ["b"]}, "vary": {"size": []}}',
    b'{"job": {"content": "a", "styles": ["b"]}, "vary": {"\\ud800": [1]}}',
    b'{"job": {"content": "a", "styles": ["b"]}, "vary": {"size": [1, 1e400]}}',
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body[:60].decode("latin-1"))
def test_bodies_that_are_none_are_one_line(server: Studio, body: bytes) -> None:
    for route in ("/api/jobs", "/api/estimate", "/api/sweeps"):
        answer = server.client.post(route, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400, answer.text
        assert list(answer.json()) == ["error"]
        assert "\n" not in answer.json()["error"]
