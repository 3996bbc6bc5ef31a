"""Print the commands of the README's "Quick start", one a line, so that what is tested is what is written there.

python scripts/quick_start.py
"""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def commands(text: str) -> list[str]:
    """The lines in the fenced blocks of the section "Quick start" of a page in Markdown."""
    section = re.search(r"^## Quick start\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    blocks = re.findall(r"^```\w*\n(.*?)^```$", section[1] if section else "", re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


if __name__ == "__main__":
    print("\n".join(commands(README.read_text(encoding="utf-8"))))
