"""Pictures that have just come: read under the library's limits, made small for the page; and what jobs will take."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from impasto import files
from impasto.devices import choose_device, choose_precision
from impasto.errors import ImageReadError, ImpastoError, MemoryShortError
from impasto.files import Blob
from impasto.network.encoder import Encoder
from impasto.paint import estimate as estimates
from impasto.paint import memory
from impasto.paint.masking import Masks
from impasto.paint.scene import Scene
from impasto.paint.targets import Targets
from impasto.pictures import metadata
from impasto.pictures.encode import encode, to_array
from impasto.pictures.read import Picture, read
from impasto.pictures.reduced import Wanted
from impasto.pictures.resize import fit, resize
from impasto.recipe import Recipe
from impasto.web.talk import Talk

__all__ = ["convert", "estimate", "picture", "view", "webp"]

THUMBNAIL, VIEW = 256, 1024  # px: longer sides of what the page shows
QUALITY = 85
ONE_PASS = 160  # bytes for each pixel, about
_targets = Targets(limit=0)


def picture(message: dict[str, Any], talk: Talk) -> dict[str, Any]:
    """Read the file `original` in a folder, write its small versions beside it, and say what it is."""
    del talk
    folder = Path(message["folder"])
    found = _read(folder / "original", message["name"], VIEW)
    for name, side in (("view-1024.webp", VIEW), ("thumbnail.webp", THUMBNAIL)):
        files.write(folder / name, webp(found.rgb, found.alpha, side))
    memory.give_back()
    height, width = found.full_size
    answer: dict[str, Any] = {
        "width": width,
        "height": height,
        "sha256": found.sha256,
        "notices": [*found.notices],
        "recipe": None,
        "made_of": {},
    }
    with suppress(ImpastoError):
        said = metadata.read_metadata(folder / "original")
        if said is not None and isinstance(said.get("recipe"), dict):
            recipe = Recipe(**said["recipe"])
            answer["recipe"] = recipe.model_dump(mode="json")
            answer["made_of"] = {
                role: [str(one.get("sha256")) for one in several] for role, several in metadata.inputs(said).items()
            }
    return {"found": answer}


def view(message: dict[str, Any], talk: Talk) -> dict[str, Any]:
    """Write a version of a file with a longer side of so many pixels."""
    del talk
    found = _read(Path(message["path"]), message["name"], message["side"])
    files.write(message["to"], webp(found.rgb, found.alpha, message["side"]))
    return {}


def convert(message: dict[str, Any], talk: Talk) -> dict[str, Any]:
    """Write a PNG of ours in another format."""
    del talk
    path = Path(message["path"])
    found = read(path)
    said = metadata.read_metadata(path)
    files.write(message["to"], encode(found.rgb, found.alpha, message["to"], metadata=said, bits=8))
    return {}


def estimate(message: dict[str, Any], talk: Talk) -> dict[str, Any]:
    """Size of the result, bytes at the peak, and the pixels to be looked at; raises MemoryShortError.

    Nothing is read: of the pictures, only their sizes count.
    """
    del talk
    recipe = Recipe(**message["recipe"])
    device = choose_device(recipe.device)
    own = "auto" if device == choose_device("auto") else str(device)
    size = fit(tuple(message["content"]), recipe.size)
    height, width = size
    if recipe.instant:
        return {
            "height": height,
            "width": width,
            "memory": memory.BASE + 160 * height * width,
            "work": 0,
            "device": own,
        }
    weights = _targets.weights(recipe.net)
    dtype = choose_precision(recipe.precision, device)
    encoder = Encoder(weights, pooling=recipe.pooling, border=recipe.border, device=torch.device("cpu"), dtype=dtype)
    limit = recipe.max_memory * memory.GIB or memory.available(device)
    scene = _scene(recipe, size, [(high, wide) for high, wide in message["styles"]])
    needs = estimates.plans(estimates.Load.of(scene, encoder), limit)
    looking = (1 + len(scene.styles)) / 2
    work = sum(
        (high + 2 * scene.border(level))
        * (wide + 2 * scene.border(level))
        * (count + looking * len(scene.rounds(level)))
        for level, ((high, wide), count) in enumerate(zip(scene.sizes, scene.evaluations, strict=True))
    )
    return {"height": height, "width": width, "memory": max(need.bytes for need in needs), "work": work, "device": own}


def webp(rgb: Tensor, alpha: Tensor | None, side: int, *, quality: int = QUALITY, method: int = 1) -> bytes:
    """A picture of at most so many pixels a side as a small file."""
    height, width = fit((rgb.shape[1], rgb.shape[2]), min(side, max(rgb.shape[1:])))
    if (height, width) != tuple(rgb.shape[1:]):
        rgb = resize(rgb, (height, width))
        alpha = None if alpha is None else resize(alpha, (height, width))
    buffer = io.BytesIO()
    Image.fromarray(to_array(rgb, alpha)).save(buffer, "WEBP", quality=quality, method=method)
    return buffer.getvalue()


def _read(path: Path, name: str, longer: float) -> Picture:
    """A file by the name that it came with."""
    blob = files.read(path, f"picture {name}")
    room = memory.available(torch.device("cpu")) - memory.resident()
    try:
        return read(Blob(name, blob.data, blob.sha256), "picture", Wanted(longer, room))
    except MemoryShortError as error:
        raise ImageReadError(str(error)) from None


def _scene(recipe: Recipe, size: tuple[int, int], styles: list[tuple[int, int]]) -> Scene:
    """A scene of pictures that take no room."""

    def blank(high: int, wide: int) -> Tensor:
        return torch.zeros(()).expand(3, high, wide)

    several = tuple(blank(*fit(one, max(1, round(max(size) * _share(recipe, n))))) for n, one in enumerate(styles))
    return Scene(
        recipe=recipe,
        original=blank(*size),
        alpha=None,
        content=blank(*size),
        styles=several,
        start=blank(*size),
        masks=Masks(of_styles=(None,) * len(several)),
        blend=(1 / len(several),) * len(several),
        inputs={},
        notices=(),
    )


def _share(recipe: Recipe, number: int) -> float:
    return recipe.style_scale[min(number, len(recipe.style_scale) - 1)]
