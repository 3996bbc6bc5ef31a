"""impasto: neural style transfer. A photo and one or more paintings in, a new picture out.

>>> import impasto
>>> result = impasto.stylize("photo.jpg", "painting.jpg")  # doctest: +SKIP
>>> result.save("out.png")  # doctest: +SKIP

Importing the package does not import torch; the first use of `stylize`, `steps` or a network does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from impasto._version import __version__

if TYPE_CHECKING:
    from impasto import losses
    from impasto.errors import (
        DivergenceError,
        ImageReadError,
        ImpastoError,
        MemoryShortError,
        OptionError,
        OutputError,
        RunError,
        SomeFailedError,
        WeightsError,
    )
    from impasto.files import Blob
    from impasto.network.encoder import Encoder
    from impasto.onepass.run import instant
    from impasto.paint.result import Progress, Result
    from impasto.paint.run import steps, stylize
    from impasto.paint.targets import Targets
    from impasto.paint.transfer import Transfer
    from impasto.pictures import color
    from impasto.recipe import Recipe

__all__ = [
    "Blob",
    "DivergenceError",
    "Encoder",
    "ImageReadError",
    "ImpastoError",
    "MemoryShortError",
    "OptionError",
    "OutputError",
    "Progress",
    "Recipe",
    "Result",
    "RunError",
    "SomeFailedError",
    "Targets",
    "Transfer",
    "WeightsError",
    "__version__",
    "color",
    "instant",
    "losses",
    "steps",
    "stylize",
]

_HOME = {
    **dict.fromkeys((name for name in __all__ if name.endswith("Error")), "errors"),
    "Blob": "files",
    "Encoder": "network.encoder",
    "Recipe": "recipe",
    "Targets": "paint.targets",
    **dict.fromkeys(("Progress", "Result"), "paint.result"),
    "Transfer": "paint.transfer",
    "instant": "onepass.run",
    **dict.fromkeys(("steps", "stylize"), "paint.run"),
}

_ROOMS = {"color": "pictures.color", "losses": "losses"}


def __getattr__(name: str) -> object:
    """Import a public name from its module on first use (PEP 562)."""
    if name in _ROOMS:
        return importlib.import_module(f"impasto.{_ROOMS[name]}")
    if name in _HOME:
        return getattr(importlib.import_module(f"impasto.{_HOME[name]}"), name)
    raise AttributeError(f"module 'impasto' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
