"""Writing results: refused before the work or written whole; what is inside the files; what an accident leaves."""

from __future__ import annotations

import errno
import io
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, TiffImagePlugin

import hostile
from impasto import files
from impasto.errors import ImageReadError, OptionError, OutputError
from impasto.files import SUFFIXES
from impasto.pictures import encode
from impasto.pictures.encode import check_target, write
from impasto.pictures.metadata import read_metadata
from impasto.pictures.profiles import srgb_profile
from impasto.pictures.read import read

RECIPE = {"recipe": {"size": 64, "blend": [0.5, 0.5]}, "inputs": {"é\n\udcff.png": "ab" * 32}, "loss": 0.125}


def picture(height: int = 12, width: int = 10) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(0))


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(path: object, *words: str, **options: object) -> None:
    with pytest.raises(OutputError) as caught:
        check_target(path, **{"overwrite": False, **options})
    message = str(caught.value)
    assert message.isprintable()
    for word in words:
        assert word in message


# --- before the work ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".PNG", ".Jpeg"])
def test_a_good_target_passes_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    assert check_target(str(target), overwrite=False) == target
    assert names(tmp_path) == []


def test_targets_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe.png")
    refusal(tmp_path / "out.gif", "'.gif'", *SUFFIXES)
    refusal(tmp_path / "out", "suffix")
    refusal(tmp_path / ".png", "suffix")
    refusal(tmp_path / "missing" / "out.png", "missing does not exist", "mkdir")
    refusal(tmp_path / "file" / "out.png", "is a file, not a folder")
    refusal(tmp_path / "folder.png", "is a folder", overwrite=True)
    refusal(tmp_path / "pipe.png", "no regular file", overwrite=True)
    refusal(tmp_path / ("x" * 300 + ".png"), "too long")
    refusal(tmp_path / "nul\0.png", "nul\\x00.png")
    refusal(tmp_path / "big.webp", "16,383", size=(20_000, 10))
    refusal(tmp_path / "big.JPG", "65,500", size=(10, 70_000))
    check_target(tmp_path / "big.png", overwrite=False, size=(10, 70_000))
    assert names(tmp_path) == ["file", "folder.png", "pipe.png"]


def test_a_long_name_that_the_file_system_takes(tmp_path: Path) -> None:
    target = tmp_path / ("x" * 251 + ".png")
    write(target, picture())
    assert names(tmp_path) == [target.name]


def test_a_folder_that_cannot_be_written_to() -> None:
    if not Path("/proc/self").is_dir():
        pytest.skip("no /proc here")
    refusal("/proc/out.png", "/proc/out.png", "cannot be written")


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_probe_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "touch", fail)
    refusal(tmp_path / "out.png", os.strerror(code))


def test_an_existing_result_is_kept_unless_told(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"precious")
    refusal(target, "exists already", "--overwrite", "overwrite=True")
    with pytest.raises(OutputError, match="exists already"):
        write(target, picture())
    assert target.read_bytes() == b"precious"
    assert check_target(target, overwrite=True) == target
    write(target, picture(), overwrite=True)
    assert read(target).size == (12, 10)


def test_an_input_is_never_the_target(tmp_path: Path) -> None:
    source = tmp_path / "in.png"
    source.write_bytes(b"photo")
    (tmp_path / "hard.png").hardlink_to(source)
    (tmp_path / "soft.png").symlink_to(source)
    inputs = [tmp_path / "gone.png", source, "nul\0"]
    for name in ("in.png", "hard.png", "soft.png", "../" + tmp_path.name + "/in.png"):
        refusal(tmp_path / name, "is the input", "in.png", "--overwrite", inputs=inputs)
        assert check_target(tmp_path / name, overwrite=True, inputs=inputs)
    if (tmp_path / "IN.PNG").exists():  # only where the file system ignores case
        refusal(tmp_path / "IN.PNG", "is the input", inputs=inputs)


# --- what is written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [(12, 10), (1, 1), (1, 40), (40, 1)])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    rgb = picture(*size)
    back = read(write(tmp_path / f"out{suffix}", rgb))
    error = {".jpg": 0.12, ".jpeg": 0.12, ".tif": 0.51 / 65_535, ".tiff": 0.51 / 65_535}.get(suffix, 0.51 / 255)
    assert back.size == size
    assert back.notices == ()
    assert back.alpha is None
    assert (back.rgb - rgb).abs().max() < error
    assert names(tmp_path) == [f"out{suffix}"]


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_alpha_is_kept(tmp_path: Path, suffix: str) -> None:
    alpha = torch.linspace(0.2, 1, 12 * 10).reshape(1, 12, 10)
    back = read(write(tmp_path / f"out{suffix}", picture(), alpha))
    assert (back.rgb - picture()).abs().max() < 0.51 / 255
    assert (back.alpha - alpha).abs().max() < 0.51 / 255


def test_colours_under_full_transparency_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "out.webp", torch.full((3, 4, 4), 0.6), torch.zeros(1, 4, 4))
    assert opened(tmp_path / "out.webp").getpixel((1, 1)) == (153, 153, 153, 0)


def test_jpeg_shows_alpha_over_white(tmp_path: Path) -> None:
    rgb, alpha = torch.zeros(3, 16, 16), torch.full((1, 16, 16), 0.25)
    back = read(write(tmp_path / "out.jpg", rgb, alpha))
    assert (back.rgb - 0.75).abs().max() < 0.01


def test_jpeg_keeps_full_colour_resolution(tmp_path: Path) -> None:
    write(tmp_path / "out.jpg", picture())
    layers = opened(tmp_path / "out.jpg").layer
    assert [layer[1:3] for layer in layers] == [(1, 1)] * 3


def test_bits(tmp_path: Path) -> None:
    for bits, depth in ((None, 16), (16, 16), (8, 8)):
        write(tmp_path / "out.tif", picture(), bits=bits, overwrite=True)
        with tifffile.TiffFile(tmp_path / "out.tif") as file:
            assert file.pages[0].bitspersample == depth
            assert file.pages[0].compression == 8  # deflate
    write(tmp_path / "out.png", picture(), bits=8)
    with pytest.raises(OptionError, match=r"16 bits.*\.tif"):
        write(tmp_path / "other.png", picture(), bits=16)
    assert not (tmp_path / "other.png").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_result_has_an_srgb_profile_and_no_exif(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "in.jpg").write_bytes(hostile.encode(hostile.photo(), "JPEG", exif=hostile.exif(6, gps=True)))
    source = read(tmp_path / "in.jpg")
    target = write(tmp_path / f"out{suffix}", source.rgb, metadata=RECIPE)
    image = opened(target)
    assert len(image.info["icc_profile"]) > 300
    assert "sRGB".encode("utf-16-be") in image.info["icc_profile"]
    if not suffix.startswith(".tif"):  # every tag of a TIFF counts as EXIF to Pillow
        assert dict(image.getexif()) == {}
    assert 0x8825 not in image.getexif()
    assert image.getexif().get(0x0112, 1) == 1
    assert hostile.MARK in (tmp_path / "in.jpg").read_bytes()
    assert hostile.MARK not in target.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_pictures_are_equal_files(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / f"a{suffix}", picture(), metadata=RECIPE).read_bytes()
    done = (
        hostile.child(
            "import time\ntime.sleep(1)\nimport torch\nfrom impasto.pictures.encode import write\n"
            "rgb = torch.rand(3, 12, 10, generator=torch.Generator().manual_seed(0))\n"
            f"write(sys.argv[1], rgb, metadata={RECIPE!r})\n",
            str(tmp_path / f"b{suffix}"),
        )
        if suffix == ".tif"
        else None
    )
    if done is None:
        write(tmp_path / f"b{suffix}", picture(), metadata=RECIPE)
    assert (tmp_path / f"b{suffix}").read_bytes() == first


def test_the_profile_has_a_fixed_date() -> None:
    assert srgb_profile()[24:36].hex() == "07e800010001000000000000"


def test_nan_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="NaN"):
        write(tmp_path / "out.png", torch.full((3, 2, 2), torch.nan))
    assert names(tmp_path) == []


# --- metadata -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
def test_metadata_is_read_back(tmp_path: Path, suffix: str) -> None:
    target = write(tmp_path / f"out{suffix}", picture(), metadata=RECIPE)
    assert read_metadata(target) == RECIPE
    assert b'"recipe"' in target.read_bytes()  # plain text: other tools can show it


def test_where_there_is_no_metadata(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        assert read_metadata(write(tmp_path / f"plain{suffix}", picture())) is None
    for suffix in (".jpg", ".webp"):
        assert read_metadata(write(tmp_path / f"out{suffix}", picture(), metadata=RECIPE)) is None
    other = tmp_path / "other.tif"
    for description in ('{"shape": [4, 4]}', "A boat", "{"):
        tifffile.imwrite(other, np.zeros((4, 4), np.uint8), description=description, metadata=None)
        assert read_metadata(other) is None


def test_reading_metadata_of_no_picture(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_bytes(b"not a picture")
    for path in (tmp_path / "text.png", tmp_path / "missing.png", tmp_path):
        with pytest.raises(ImageReadError):
            read_metadata(path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '"text"', "null", '{"a": NaN}', "[" * 100_000, "9" * 5000, '{"a": "' + "x" * 1_000_000 + '"}'],
)
@pytest.mark.parametrize("form", ["png", "tif"])
def test_damaged_metadata_is_named(tmp_path: Path, text: str, form: str) -> None:
    path = tmp_path / f"out.{form}"
    if form == "png":
        chunk = hostile.png_chunk(b"iTXt", b"impasto\0\0\0\0\0" + text.encode())
        path.write_bytes(hostile.png(1, 1, 8, 2, bytes(4), chunk))
    else:
        path.write_bytes(
            hostile.tiff16(np.zeros((4, 4, 3), np.uint16), photometric="rgb", description=text, software="impasto")
        )
    with pytest.raises(OptionError) as caught:
        read_metadata(path)
    assert str(caught.value).isprintable()
    assert path.name in str(caught.value)
    assert len(str(caught.value)) < 500


def test_metadata_is_found_without_decoding(tmp_path: Path) -> None:
    chunk = hostile.png_chunk(b"iTXt", b"impasto\0\0\0\0\0" + json.dumps(RECIPE).encode())
    (tmp_path / "bomb.png").write_bytes(hostile.png(60_000, 60_000, 8, 2, bytes(9), chunk))
    assert read_metadata(tmp_path / "bomb.png") == RECIPE
    (tmp_path / "text.png").write_bytes(hostile.png_text_bomb())
    assert read_metadata(tmp_path / "text.png") is None


@pytest.mark.parametrize("metadata", [{"a": float("nan")}, {"a": object()}, {"a": "x" * 1_000_001}])
def test_metadata_that_cannot_be_stored(tmp_path: Path, metadata: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="metadata"):
        write(tmp_path / "out.png", picture(), metadata=metadata)
    assert names(tmp_path) == []


# --- accidents ----------------------------------------------------------------------------------------------------


class FullDisk(io.FileIO):
    """A file on a disk that has room for `room` more bytes."""

    room = 0
    error: BaseException = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, data: bytes) -> int:
        part = bytes(data)[: self.room]
        super().write(part)
        if len(part) < len(data):
            raise self.error
        return len(part)


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt(), MemoryError()]
)
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_full_disk_or_an_interrupt_at_any_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, error: BaseException
) -> None:
    target = write(tmp_path / f"out{suffix}", picture(), metadata=RECIPE)
    earlier = target.read_bytes()
    monkeypatch.setattr(FullDisk, "error", error)
    monkeypatch.setattr(Path, "open", lambda path, mode: FullDisk(path, mode.replace("b", "")))
    expected = OutputError if isinstance(error, OSError) else type(error)
    for room in [0, 1, 7, 8, 100, len(earlier) // 2, len(earlier) - 1]:
        monkeypatch.setattr(FullDisk, "room", room)
        with pytest.raises(expected) as caught:
            write(target, 1 - picture(), metadata=RECIPE, overwrite=True)
        if expected is OutputError:
            assert "No space left" in str(caught.value)
            assert str(target) in str(caught.value)
        assert target.read_bytes() == earlier
        assert names(tmp_path) == [target.name]
    monkeypatch.setattr(FullDisk, "room", 10**9)
    write(target, 1 - picture(), metadata=RECIPE, overwrite=True)
    assert target.read_bytes() != earlier


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_an_accident_at_any_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"precious")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt):
        files.write(target, b"new")
    monkeypatch.undo()
    assert target.read_bytes() == b"precious"
    assert names(tmp_path) == ["out.png"]


LIMITED = """
import resource
import torch
from pathlib import Path
from impasto.pictures.encode import write
from impasto.errors import OutputError
target = Path(sys.argv[1])
for limit in (0, 1, 100, 5000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(target, torch.rand(3, 64, 64), overwrite=True)
    except OutputError as error:
        assert error.exit_status == 6
        print(error)
    else:
        raise SystemExit("written in spite of the limit")
"""


def test_the_system_s_own_limit_on_file_sizes(tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"precious")
    done = hostile.child(LIMITED, str(target))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("File too large") == 4
    assert target.read_bytes() == b"precious"
    assert names(tmp_path) == ["out.png"]


KILLED = """
import os, signal
from pathlib import Path
from impasto import files
if sys.argv[2] == "before rename":
    Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
else:
    os.fsync = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.write(sys.argv[1], b"new" * 100_000)
"""


@pytest.mark.parametrize("moment", ["before rename", "in writing"])
def test_a_kill_leaves_the_earlier_file(tmp_path: Path, moment: str) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"precious")
    assert hostile.child(KILLED, str(target), moment).returncode == -9
    assert target.read_bytes() == b"precious"
    assert all(name == "out.png" or name.endswith(".tmp") for name in names(tmp_path))


def test_a_failing_encoder_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("no room\nfor this")

    monkeypatch.setattr(encode, "_encode", fail)
    with pytest.raises(OutputError, match=r"no room\\nfor this"):
        write(tmp_path / "out.png", picture())
    assert names(tmp_path) == []


# --- bytes --------------------------------------------------------------------------------------------------------


def test_new_files_follow_the_umask_and_old_ones_keep_their_mode(tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    before = os.umask(0o027)
    try:
        files.write(target, b"{}")
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        target.chmod(0o604)
        files.write(target, b"{1}")
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o604
    assert target.read_bytes() == b"{1}"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "out.png"
    link.symlink_to(tmp_path / "real" / "out.png")
    for data in (b"first", b"second"):  # through a link that leads nowhere, then to a file
        files.write(link, data)
        assert link.is_symlink()
        assert (tmp_path / "real" / "out.png").read_bytes() == data
    assert names(tmp_path / "real") == ["out.png"]


def test_bytes_that_cannot_be_written(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "a.json", tmp_path):
        with pytest.raises(OutputError, match="cannot be written"):
            files.write(path, b"x")
    assert names(tmp_path) == []
    assert TiffImagePlugin.IMAGEDESCRIPTION == 270
