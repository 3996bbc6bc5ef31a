"""Pictures and other results out: checked before the work, encoded in memory, written whole or not at all.

Imports no torch until a picture is written, so that `impasto recipe PICTURE` answers at once.
"""

from __future__ import annotations

import io
import json
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image, PngImagePlugin, TiffImagePlugin

from impasto.decode import Samples
from impasto.errors import OptionError, OutputError, shown
from impasto.files import guarded, open_file, open_header
from impasto.profiles import srgb_profile

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["SUFFIXES", "atomic_write_bytes", "check_target", "read_metadata", "same_file", "write"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
LONGEST = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}  # pixels a side that the format can hold
KEY = "impasto"  # the iTXt keyword in PNG, the Software tag in TIFF
REMEDY = "choose another name, or --overwrite (overwrite=True)"
MAX_METADATA = 1_000_000  # characters; a recipe with its hashes has a few thousand


def check_target(
    path: str | os.PathLike[str],
    *,
    overwrite: bool,
    inputs: Iterable[str | os.PathLike[str]] = (),
    size: tuple[int, int] | None = None,
) -> Path:
    """The path of a result, after making sure that it can be written; meant to be called before any work.

    `size` (height, width), if known, is checked against what the format can hold. Raises OutputError.
    """
    target, name = Path(path), shown(path)
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        raise OutputError(f"{name}: unknown suffix {shown(target.suffix)!r}; use one of {' '.join(SUFFIXES)}")
    if size is not None and max(size) > LONGEST.get(suffix, max(size)):
        most = LONGEST[suffix]
        raise OutputError(f"{name}: {size[1]}×{size[0]} is above {suffix}'s {most:,} pixels a side; use .png or .tif")
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


def write(
    path: str | os.PathLike[str],
    rgb: Tensor,
    alpha: Tensor | None = None,
    *,
    metadata: dict[str, Any] | None = None,
    overwrite: bool = False,
    bits: Literal[8, 16] | None = None,
) -> Path:
    """Write float RGB 3×H×W (and alpha 1×H×W) 0…1 as PNG, JPEG, WebP or TIFF by suffix, atomically; returns the path.

    PNG has 8 bits; TIFF has 16 unless `bits` = 8; JPEG has quality 95, 4:4:4, and shows alpha over white; WebP is
    lossless, because its lossy form always halves the colour resolution, which smears the strokes of a painting.
    All carry the sRGB profile and no EXIF. `metadata` goes into PNG (iTXt "impasto") and TIFF (ImageDescription).
    Raises OutputError for what cannot be written, OptionError for metadata that is no JSON and for impossible bits.
    """
    from impasto.images import to_array

    target = check_target(path, overwrite=overwrite, size=(rgb.shape[1], rgb.shape[2]))
    suffix = target.suffix.lower()
    tiff = suffix in (".tif", ".tiff")
    if bits == 16 and not tiff:
        raise OptionError(f"{shown(path)}: 16 bits are written to .tif only, not to {suffix}")
    text = None if metadata is None else _to_json(metadata)
    if alpha is not None and suffix in (".jpg", ".jpeg"):  # JPEG has no alpha: show the picture over white
        rgb, alpha = rgb * alpha + (1 - alpha), None
    values = to_array(rgb, alpha, bits or (16 if tiff else 8))
    try:
        data = _encode_tiff(values, text) if tiff else _encode(values, suffix, text)
    except (OSError, ValueError, MemoryError) as error:
        raise OutputError(f"{shown(path)}: cannot be encoded ({shown(error) or type(error).__name__})") from error
    atomic_write_bytes(target, data)
    return target


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a whole file or leave everything as it was, whatever happens; raises OutputError if it cannot be written.

    The bytes go to a new file beside the target, which takes its place once it is safe on the disk. A link stays a
    link; a file that is replaced hands on its permissions.
    """
    target = Path(os.path.realpath(path))
    temporary = _beside(target)
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            why = error.strerror or shown(error)
            raise OutputError(f"{shown(path)}: cannot be written ({why}); choose another place") from error
        raise


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The dict that `write` stored in a PNG or TIFF, or None where there is none; reads no pixels.

    Raises ImageReadError for what is no picture, OptionError for a damaged or oversized entry.
    """
    name = shown(path)
    with open_file(path, name) as file, guarded(name, []):
        picture = open_header(file, name)
        text: object = None
        if isinstance(picture, PngImagePlugin.PngImageFile):
            text = picture.info.get(KEY)
        elif isinstance(picture, TiffImagePlugin.TiffImageFile) and picture.tag_v2.get(305) == KEY:
            text = picture.tag_v2.get(TiffImagePlugin.IMAGEDESCRIPTION)
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > MAX_METADATA:
        raise OptionError(f"{name}: what it says about its making is no text of at most {MAX_METADATA:,} characters")
    try:
        value = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{name}: what it says about its making is damaged ({shown(error)[:100]})") from None
    if not isinstance(value, dict):
        raise OptionError(f"{name}: what it says about its making is a {type(value).__name__}, not a table")
    return value


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


def _beside(target: Path) -> Path:
    """A new name in the same folder, whatever the length of the target's."""
    return target.parent / f".impasto-{secrets.token_hex(8)}.tmp"


def _to_json(metadata: dict[str, Any]) -> str:
    try:
        text = json.dumps(metadata, ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(f"metadata: cannot be written as JSON ({shown(error)[:100]})") from None
    if len(text) > MAX_METADATA:
        raise OptionError(f"metadata: {len(text):,} characters are too many (at most {MAX_METADATA:,})")
    return text


def _encode(values: Samples, suffix: str, text: str | None) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(values)
    common: dict[str, Any] = {"icc_profile": srgb_profile()}
    if suffix == ".png":
        notes = PngImagePlugin.PngInfo()
        if text is not None:
            notes.add_itxt(KEY, text)
        picture.save(buffer, "PNG", pnginfo=notes, **common)
    elif suffix == ".webp":
        picture.save(buffer, "WEBP", lossless=True, exact=True, **common)
    else:
        picture.save(buffer, "JPEG", quality=95, subsampling=0, **common)
    return buffer.getvalue()


def _encode_tiff(values: Samples, text: str | None) -> bytes:
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer,
        values,
        photometric="rgb",
        extrasamples=["unassalpha"] if values.shape[2] == 4 else None,
        compression="zlib",
        predictor=True,
        software=KEY,
        description=text,
        metadata=None,
        iccprofile=srgb_profile(),
    )
    return buffer.getvalue()


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
