"""A hook of MkDocs: links that lead out of docs/, to files that the site does not hold, become plain words."""

from __future__ import annotations

import posixpath
import re
from typing import Any

__all__ = ["on_page_markdown", "plain"]

LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """A page as the site shows it; MkDocs calls this for each."""
    return plain(markdown, page.file.src_uri)


def plain(markdown: str, place: str) -> str:
    """The Markdown of the page `place`, a path below docs/, without links that lead out of there.

    >>> plain("[the tool](../distill/README.md), [options](options.md)", "lite.md")
    'the tool, [options](options.md)'
    >>> plain("[options](../options.md), [the tool](../../distill/README.md)", "api/paint.md")
    '[options](../options.md), the tool'
    """
    folder = posixpath.dirname(place)

    def words(link: re.Match[str]) -> str:
        outside = posixpath.normpath(posixpath.join(folder, link[2])).startswith("../")
        return link[1] if outside else link[0]

    return LINK.sub(words, markdown)
