"""Which pictures are meant: patterns that no shell expanded, and the pictures in a folder, told by content.

Imports no torch.
"""

from __future__ import annotations

import glob
import mimetypes
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from impasto.errors import ImageReadError
from impasto.files import same_file
from impasto.text import shown
from impasto.work.manifest import NAME

__all__ = ["expanded", "is_picture", "kinds", "natural", "one", "pictures"]

SYSTEM = ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r")  # files that systems leave in folders; others are hidden
CHECKPOINT = ".checkpoint"
PICTURE = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif")  # what pictures are usually called
NAMED = 5  # kinds of other files that a notice names
TYPES = mimetypes.MimeTypes(filenames=())  # the same on every machine


def natural(name: str) -> list[tuple[str, int]]:
    """A key that sorts names as people count: letters of either case alike, numbers by their value.

    >>> sorted(["b10.png", "B9.png", "a.png"], key=natural)
    ['a.png', 'B9.png', 'b10.png']
    """
    return [(word.casefold(), int(digits or 0)) for word, digits in re.findall(r"(\D*)(\d*)", name)]


def expanded(names: Iterable[str], role: str) -> list[str]:
    """The names, and in place of a pattern such as `*.jpg` the files and folders that match it, in natural order.

    A name that exists is no pattern. Raises ImageReadError where nothing matches.
    """
    found: list[str] = []
    for name in names:
        if not glob.has_magic(name) or os.path.lexists(name):
            found.append(name)
            continue
        try:
            matching = glob.glob(name, recursive=True)  # noqa: PTH207  (Path.glob takes no absolute pattern)
        except (OSError, ValueError):  # ValueError: a NUL in the name
            matching = []
        if not matching:
            raise ImageReadError(f"{role} {shown(name)}: no such file, and none that matches it; check the name")
        found += sorted(matching, key=lambda path: (natural(path), path))
    return found


def one(name: str, role: str) -> str:
    """The name, or the only file that it matches as a pattern; raises ImageReadError for none or several."""
    found = expanded([name], role)
    if len(found) > 1:
        few = ", ".join(shown(path) for path in found[:3])
        raise ImageReadError(f"{role} {shown(name)}: matches {len(found)} files ({few}…); name one")
    return found[0]


def pictures(
    given: str, out: Path, ours: Callable[[Path], bool], others: Counter[str]
) -> list[tuple[str, tuple[str, ...]]]:
    """The pictures below a folder, but for `out` and what is `ours`, and the folders between; in natural order.

    Hidden files and those that systems leave behind are passed over; `others` counts all that are no pictures, by kind.
    Raises ImageReadError for a folder that cannot be listed.
    """
    found = []
    for path, below in _walked(given, out):
        if not is_picture(path):
            others[_kind(path)] += 1
        elif not ours(path):
            found.append((str(path), below))
    return sorted(found, key=lambda one: ([natural(part) for part in one[1]], natural(Path(one[0]).name), one[0]))


def is_picture(path: Path) -> bool:
    """Whether a file begins like a picture; one that is damaged behind that is one, and fails in its place.

    Not a camera's RAW file: often a JPEG of the same photo lies beside it.
    """
    from impasto.pictures.formats import told

    try:
        with path.open("rb") as file:
            kind = told(file.read(64))
    except OSError:  # it cannot be opened: as its name says
        return path.suffix.lower() in PICTURE
    return kind not in (None, "RAW")


def kinds(others: Counter[str]) -> str:
    """What other files there are, the most numerous kinds first: `3 text, 2 video`."""
    sorted_ = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in sorted_[NAMED:])
    return ", ".join([f"{count} {kind}" for kind, count in sorted_[:NAMED]] + [f"{rest} of other kinds"] * bool(rest))


def _walked(given: str, out: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Every file below a folder that is neither hidden nor of a system nor of a batch, and the folders between."""

    def failed(error: OSError) -> None:
        raise ImageReadError(f"{shown(error.filename)}: cannot be listed ({error.strerror}); check your rights to it")

    for place, folders, names in os.walk(given, onerror=failed):
        folders[:] = [name for name in folders if name[0] != "." and not same_file(Path(place, name), out)]
        below = Path(place).relative_to(given).parts
        for name in names:
            path = Path(place, name)
            passed = name[0] == "." or name.lower() in SYSTEM or name == NAME or path.suffix == CHECKPOINT
            if not passed and path.is_file():
                yield path, below


def _kind(path: Path) -> str:
    """What people call a file that is no picture: text, audio, video, else by its suffix."""
    suffix = path.suffix.lower()
    if suffix in PICTURE:
        return f"{suffix[1:]} that is no picture"
    kind = (TYPES.guess_type(f"x{suffix}")[0] or "").partition("/")[0]
    return kind if kind in ("text", "audio", "video") else shown(suffix[1:]) or "without suffix"
