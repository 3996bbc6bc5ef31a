"""A hook of MkDocs: links that lead out of docs/ lead to the repository's files, which the site does not hold."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["on_page_markdown"]

OUTSIDE = re.compile(r"\[([^\]]+)\]\(\.\./[^)\s]+\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with such links as plain words."""
    return OUTSIDE.sub(r"\1", markdown)
