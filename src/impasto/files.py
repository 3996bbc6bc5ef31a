"""Files as named bytes: read once and hashed once, written whole or not at all, and no two names of a run the same.

Imports no torch.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path

from impasto.errors import ImageReadError, OutputError
from impasto.text import shown

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "Blob",
    "check_apart",
    "check_bytes",
    "check_place",
    "clear",
    "open_file",
    "read",
    "replace",
    "same_file",
    "write",
]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")  # of the picture formats that are written
FORMATS = {"png": ".png", "jpeg": ".jpg", "webp": ".webp", "tiff": ".tif", "jpg": ".jpg", "tif": ".tif"}  # by name
REMEDY = "choose another name, or --overwrite (overwrite=True)"
MAX_BYTES = 2 * 2**30  # of a file; a larger one is no picture within the pixel limit
PIPED = "use - for standard input, or give a picture file"
NOT_REGULAR = (
    (stat.S_ISDIR, "a folder", "give a picture file"),
    (stat.S_ISFIFO, "a named pipe", PIPED),
    (stat.S_ISSOCK, "a socket", PIPED),
    (stat.S_ISCHR, "a device", PIPED),
    (stat.S_ISBLK, "a device", PIPED),
)


@dataclass(frozen=True)
class Blob:
    """A file as bytes; `name` is its path where it was read, for messages and for the name inside the result."""

    name: str
    data: bytes = field(repr=False)
    sha256: str

    @classmethod
    def of(cls, name: str, data: bytes) -> Blob:
        """The blob of a file's bytes."""
        return cls(name, data, hashlib.sha256(data).hexdigest())


def read(path: str | os.PathLike[str], label: str) -> Blob:
    """A picture's file as bytes; raises ImageReadError for whatever is not a regular file of bearable size."""
    with open_file(path, label) as file:
        try:
            return Blob.of(os.fspath(path), file.read())
        except OSError as error:
            raise ImageReadError(f"{label}: cannot be read ({error.strerror})") from None
        except MemoryError:
            raise ImageReadError(f"{label}: not enough memory to read it; make the picture smaller first") from None


@contextmanager
def open_file(path: str | os.PathLike[str], label: str) -> Iterator[BufferedReader]:
    """Open a regular, non-empty file of bearable size; anything else is an ImageReadError before it is opened."""
    try:
        status = os.stat(path)  # noqa: PTH116  (Path.stat would raise the same, but takes no bad type)
        for test, what, remedy in NOT_REGULAR:
            if test(status.st_mode):
                raise ImageReadError(f"{label}: is {what}; {remedy}")
        if status.st_size == 0:
            raise ImageReadError(f"{label}: is empty (0 bytes)")
        check_bytes(status.st_size, label)
        file = Path(path).open("rb")  # noqa: SIM115  (closed below; errors of the caller's block must not land here)
    except ImageReadError:
        raise
    except FileNotFoundError:
        link = " (a link that leads nowhere)" if Path(path).is_symlink() else ""
        hint = "; download it first" if "://" in str(path) else "; check the name"
        raise ImageReadError(f"{label}: no such file{link}{hint}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or shown(error)
        raise ImageReadError(f"{label}: cannot be opened ({why}); check the name and your rights to it") from None
    with file:
        yield file


def check_bytes(count: int, label: str) -> None:
    """Raise ImageReadError for more bytes than a picture may have."""
    if count > MAX_BYTES:
        raise ImageReadError(f"{label}: {count:,} bytes, too many for a picture (at most {MAX_BYTES:,})")


def write(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a whole file or leave everything as it was, whatever happens; raises OutputError if it cannot be written.

    The bytes go to a new file beside the target, which takes its place once it is safe on the disk. A link stays a
    link; a file that is replaced hands on its permissions.
    """
    target = Path(os.path.realpath(path))
    replace(target, _beside(target), lambda temporary: _fill(temporary, data), path)


def replace(
    target: Path, temporary: Path, fill: Callable[[Path], object], called: str | os.PathLike[str] | None = None
) -> None:
    """Let `fill` write to a path beside the target, which takes its place once it is safe on the disk, as in `write`.

    `called`: what messages call the target.
    """
    try:
        fill(temporary)
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            why = error.strerror or shown(error)
            raise OutputError(f"{shown(called or target)}: cannot be written ({why}); choose another place") from error
        raise


def _fill(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)


def check_place(
    path: str | os.PathLike[str], *, overwrite: bool, inputs: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """The path of a file to write, after making sure that it can be written; raises OutputError.

    One that exists is replaced only with `overwrite`; without it, `inputs` are the files that it might be.
    """
    target, name = Path(path), shown(path)
    folder = shown(target.parent)
    try:
        if target.parent.exists() and not target.parent.is_dir():
            raise OutputError(f"{name}: {folder} is a file, not a folder")
        if not target.parent.exists():
            raise OutputError(f"{name}: the folder {folder} does not exist; make it first (mkdir -p)")
        try:
            mode = os.lstat(target).st_mode  # raises for a name that the file system cannot hold, unlike Path.exists
        except FileNotFoundError:
            mode = 0
        if mode and target.exists():  # a link that leads nowhere is written through
            _check_existing(target, name, overwrite, inputs)
        probe = _beside(target)
        probe.touch(exist_ok=False)
        probe.unlink()
    except OutputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = getattr(error, "strerror", None) or shown(error)
        raise OutputError(f"{name}: cannot be written ({why}); choose another place") from None
    return target


def _check_existing(target: Path, name: str, overwrite: bool, inputs: Iterable[str | os.PathLike[str]]) -> None:
    if target.is_dir():
        raise OutputError(f"{name}: is a folder; name a file in it")
    if not target.is_file():
        raise OutputError(f"{name}: is no regular file; choose another name")
    if overwrite:
        return
    for other in inputs:
        if same_file(target, other):
            raise OutputError(f"{name}: is the input {shown(other)}; {REMEDY}")
    raise OutputError(f"{name}: exists already; {REMEDY}")


def same_file(one: Path, other: str | os.PathLike[str]) -> bool:
    """Whether two names are of one file or folder, there or not; False for a name that no file can have."""
    try:
        return one.absolute() == Path(other).absolute() or one.samefile(other)
    except (OSError, ValueError):
        return False


def clear(path: str | os.PathLike[str]) -> None:
    """Remove what writings of a file have left that were killed; not while another process may be writing it."""
    target = Path(os.path.realpath(path))
    with suppress(OSError):
        for left in target.parent.glob(f".impasto-{_mark(target)}-*.tmp"):
            left.unlink()


def _beside(target: Path) -> Path:
    """A new name in the same folder, whatever the length of the target's."""
    return target.parent / f".impasto-{_mark(target)}-{secrets.token_hex(8)}.tmp"


def _mark(target: Path) -> str:
    """What temporary names say of the file that they are of."""
    return hashlib.sha256(os.fsencode(target.name)).hexdigest()[:8]


def check_apart(
    read: Mapping[str, str | os.PathLike[str]],
    written: Mapping[str, str | os.PathLike[str]],
    replaced: Iterable[str] = (),
) -> None:
    """Make sure that what a run writes takes the place of nothing that it reads, and of nothing else that it writes.

    Both are paths by what messages call them; the first of `written` may replace those of `read` that are in
    `replaced`. Raises OutputError.
    """
    done: dict[str, str | os.PathLike[str]] = dict(read)
    for number, (role, path) in enumerate(written.items()):
        for name, other in done.items():
            if same_file(Path(path), other) and not (number == 0 and name in replaced):
                raise OutputError(f"{shown(path)}: would be {role}, and is {name} of this run; choose another name")
        done[role] = path
