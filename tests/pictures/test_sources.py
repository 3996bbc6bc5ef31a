"""Pictures from bytes and open files: the same as from the path, or one line."""

from __future__ import annotations

import array
import hashlib
import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch

import hostile
from impasto import files
from impasto.errors import ImageReadError
from impasto.files import Blob
from impasto.pictures import sources
from impasto.pictures.read import read

DATA = hostile.encode(hostile.photo(), "PNG")


class Trickle:
    """An open file that gives a few bytes at a time, as a socket may."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def read(self, size: int, /) -> bytes:
        part, self.rest = self.rest[: min(size, 7)], self.rest[min(size, 7) :]
        return part


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (DATA, "bytes"),
        (bytearray(DATA), "bytes"),
        (memoryview(DATA), "bytes"),
        (memoryview(bytes(reversed(DATA)))[::-1], "bytes"),
        (io.BytesIO(DATA), "file"),
        (io.BufferedReader(io.BytesIO(DATA)), "file"),  # type: ignore[arg-type]
        (Trickle(DATA), "file"),
        (Blob.of("some/where.png", DATA), "where.png"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bytes_are_read_as_their_file_is(source: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(DATA)
    picture = read(source)
    assert torch.equal(picture.rgb, read(path).rgb)
    assert (picture.name, picture.sha256) == (name, hashlib.sha256(DATA).hexdigest())


def test_an_open_file_is_read_from_where_it_stands_and_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "two in one"
    path.write_bytes(b"head" + DATA)
    with path.open("rb") as file:
        file.seek(4)
        picture = read(file, "content")
        assert (picture.size, picture.name) == ((24, 32), "two in one")
        assert not file.closed
        with pytest.raises(
            ImageReadError, match=r"^content two in one: is empty \(0 bytes\) from where it stands; seek"
        ):
            read(file, "content")


def test_a_pipe(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.write(writing, DATA)
    os.close(writing)
    with open(reading, "rb") as file:  # noqa: PTH123  (its name is a number)
        assert read(file).name == "file"


def failing(error: Exception) -> Any:
    class Failing:
        def read(self, size: int, /) -> bytes:
            raise error

    return Failing()


def closed() -> io.BytesIO:
    file = io.BytesIO(DATA)
    file.close()
    return file


class Odd:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def read(self, size: int, /) -> object:
        return self.answer


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"", "style bytes: is empty (0 bytes)"),
        (bytearray(), "style bytes: is empty (0 bytes)"),
        (b"no picture", "style bytes: is not JPEG"),
        (io.BytesIO(), "style file: is empty (0 bytes) from where it stands; seek(0) goes to its beginning"),
        (io.StringIO("text"), 'style file: is open as text; open it with "rb", or give its .buffer'),
        (Odd("text"), "style file: gives str and no bytes; open it as bytes"),
        (Odd(array.array("b", [1])), "style file: gives array and no bytes"),
        (Odd(None), "style file: is empty"),
        (closed(), "style file: cannot be read (I/O operation on closed file.)"),
        (failing(OSError(5, "Input/output error")), "style file: cannot be read (Input/output error)"),
        (failing(RuntimeError()), "style file: cannot be read (RuntimeError)"),
        (failing(MemoryError()), "style file: not enough memory to read it"),
    ],
)
def test_what_gives_no_picture_is_one_line(source: Any, said: str) -> None:
    with pytest.raises(ImageReadError) as caught:
        read(source, "style")
    assert str(caught.value).startswith(said)
    assert str(caught.value).isprintable()


def test_text_files_are_known_by_their_kind(tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(DATA)
    with path.open(encoding="utf-8") as file, pytest.raises(ImageReadError, match=r"photo\.png: is open as text"):
        read(file)  # type: ignore[arg-type]


def test_no_more_is_read_than_a_picture_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    monkeypatch.setattr(sources, "CHUNK", 100)

    class Endless:
        count = 0

        def read(self, size: int, /) -> bytes:
            self.count += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(ImageReadError, match=r"^picture file: 1,100 bytes, too many for a picture \(at most 1,000\)"):
        read(endless)
    assert endless.count == 1100
    with pytest.raises(ImageReadError, match=r"^picture bytes: 1,001 bytes, too many"):
        read(bytes(1001))


def test_pipes_and_devices_named_by_path_are_refused_with_the_way_in(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ImageReadError, match=r": is a (named pipe|device); use - for standard input"):
            read(path)
