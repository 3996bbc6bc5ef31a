"""The page's own files: small, complete, and nothing in them that the page's rules forbid."""

from __future__ import annotations

import re
from pathlib import Path

import impasto

HOME = Path(impasto.__file__).parent / "web" / "static"
TEXT = {path.name: path.read_text("utf-8") for path in HOME.iterdir()}
MODULES = {name: text for name, text in TEXT.items() if name.endswith(".js")}


def test_all_of_it_is_small() -> None:
    assert sum(path.stat().st_size for path in HOME.iterdir()) < 150_000


def test_what_the_modules_look_for_is_in_the_page() -> None:
    ids = set(re.findall(r'\bid="([\w-]+)"', TEXT["index.html"]))
    asked = {name for text in MODULES.values() for name in re.findall(r'\bat\("([\w-]+)"\)', text)}
    assert len(asked) > 20
    assert asked <= ids


def test_what_is_imported_is_there_and_exported() -> None:
    for text in MODULES.values():
        for names, module in re.findall(r'import \{([^}]+)\} from "/static/([\w.]+)"', text):
            for name in names.split(","):
                assert re.search(rf"export (async )?(function|class|const) {name.strip()}\b", TEXT[module]), name


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page = TEXT["index.html"]
    assert not re.search(r"\son\w+=|\sstyle=|<style|<script(?![^>]*src=)", page)
    for name, text in TEXT.items():
        assert not re.search(r'(src|href|from|import|fetch\()\s*=?\s*["\'(]+https?:', text), name
        assert "innerHTML" not in text, name
        assert "eval(" not in text, name


def test_every_control_has_a_name() -> None:
    page = TEXT["index.html"]
    labelled = re.sub(r"<label.*?</label>", "", page, flags=re.DOTALL)
    for control in re.findall(r"<(?:input|select)\b[^>]*>", labelled):
        assert "aria-label" in control, control
