"""A transfer of bytes and open files is that of the files they are from."""

from __future__ import annotations

import io
from pathlib import Path

import torch

import impasto


def test_bytes_and_open_files_are_painted_as_their_paths(folder: Path) -> None:
    options = {"size": 24, "iterations": 2, "levels": 1}
    by_path = impasto.stylize("photo.png", ["one.png", "two.png"], **options)
    photo, one, two = (Path(name).read_bytes() for name in ("photo.png", "one.png", "two.png"))
    with Path("two.png").open("rb") as file:
        by_bytes = impasto.stylize(io.BytesIO(photo), [bytearray(one), file], **options)
    assert torch.equal(by_path.image, by_bytes.image)
    masked = {**options, "mask": ("sky", "rest"), "files": {"sky": memoryview(photo)}}
    from_file = impasto.stylize(photo, (one, two), **{**options, "mask": ("photo.png", "rest")})
    assert torch.equal(impasto.stylize(photo, (one, two), **masked).image, from_file.image)
    assert not torch.equal(from_file.image, by_path.image)
