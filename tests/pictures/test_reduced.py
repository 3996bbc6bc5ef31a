from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from impasto.errors import MemoryShortError
from impasto.files import Blob
from impasto.pictures.read import read
from impasto.pictures.reduced import Wanted, times
from impasto.pictures.resize import resize


def blob(width: int, height: int, kind: str, *, mode: str = "RGB", turned: int = 1, **options: object) -> Blob:
    """A smooth picture of coloured waves in a file of a kind."""
    y, x = np.linspace(0, 9, height)[:, None], np.linspace(0, 9, width)[None]
    samples = np.stack([128 + 90 * np.sin(a * x + b * y) for a, b in ((1, 0.3), (0.5, 1), (1, 1))], 2)
    image = Image.fromarray(samples.astype(np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = turned
    buffer = io.BytesIO()
    image.save(buffer, kind, exif=exif, **options)
    return Blob.of(f"waves.{kind.lower()}", buffer.getvalue())


@pytest.mark.parametrize(
    ("longer", "factor"), [(0, 1), (126, 1), (125, 2), (63, 2), (62, 4), (31, 8), (15, 16), (1e-3, 2**17)]
)
def test_how_many_times_smaller(longer: float, factor: int) -> None:
    assert times((1000, 700), longer) == factor
    assert longer == 0 or factor == 1 or 1000 / factor >= 4 * longer


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
def test_a_large_file_is_read_smaller_and_shows_the_same(kind: str) -> None:
    file = blob(1601, 1203, kind)
    whole, small = read(file), read(file, wanted=Wanted(100))
    assert small.size == (301, 401)  # a quarter; what is left over is a pixel as well
    assert (small.whole, small.full_size) == ((1203, 1601), (1203, 1601))
    assert (whole.whole, whole.full_size) == (None, (1203, 1601))
    assert small.sha256 == whole.sha256
    one, other = (resize(picture.rgb, (75, 100)) for picture in (whole, small))
    assert (one - other).abs().max() < 0.03
    assert (one - other).abs().mean() < 0.004


@pytest.mark.parametrize("longer", [0, 201])
def test_an_ordinary_picture_is_read_bit_for_bit_as_ever(longer: int) -> None:
    for kind in ("JPEG", "PNG"):
        file = blob(1600, 400, kind)
        assert torch.equal(read(file).rgb, read(file, wanted=Wanted(longer)).rgb)


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_orientation_is_kept(turned: int) -> None:
    for kind in ("JPEG", "PNG"):
        file = blob(1600, 800, kind, turned=turned)
        whole, small = read(file), read(file, wanted=Wanted(100))
        assert small.full_size == whole.size == ((1600, 800) if turned in (6, 8) else (800, 1600))
        size = (100, 50) if turned in (6, 8) else (50, 100)
        assert (resize(whole.rgb, size) - resize(small.rgb, size)).abs().mean() < 0.004


def test_what_means_cannot_be_taken_of_is_read_whole() -> None:
    for file in (blob(800, 600, "TIFF"), blob(800, 600, "PNG", mode="P"), blob(800, 600, "PNG", mode="I;16")):
        assert read(file, wanted=Wanted(50)).size == (600, 800)
    keyed = blob(800, 600, "PNG", transparency=(1, 2, 3))
    assert read(keyed, wanted=Wanted(50)).size == (600, 800)


def test_colours_of_hidden_pixels_are_not_mixed_in() -> None:
    samples = np.zeros((800, 800, 4), np.uint8)
    samples[:, 401:] = (200, 100, 50, 255)  # the rest is black, and hidden
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "PNG")
    picture = read(Blob.of("half.png", buffer.getvalue()), wanted=Wanted(100))
    assert picture.size == (400, 400)
    assert picture.alpha is not None
    edge = picture.rgb[:, 10, 200]
    assert picture.alpha[0, 10, 200] == pytest.approx(0.5, abs=0.01)
    assert torch.allclose(edge, torch.tensor([200, 100, 50]) / 255, atol=0.01)


def test_what_there_is_no_room_for_is_refused_before_it_is_decoded() -> None:
    file = blob(1000, 500, "JPEG")
    wanted = Wanted(0, room=9.5e6)
    read(file, wanted=wanted)
    assert wanted.needed == 18 * 500_000 + len(file.data)  # bytes a pixel
    with pytest.raises(
        MemoryShortError,
        match=r"^photo waves.jpeg: reading its 1000×500 pixels needs about 0.0084 GiB .*, 0.4. megapixels fit$",
    ):
        read(file, "photo", Wanted(0, room=8e6))
    read(file, "photo", Wanted(100, room=4e6))  # decoded at a half
