"""`impasto weights`: the networks known by name; `impasto recipe`: what made a picture."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from impasto.cli.console import Console
from impasto.cli.flags import named
from impasto.network.weights.fetching import obtain
from impasto.network.weights.known import KnownStatus, cache_folder, status
from impasto.text import shown
from impasto.work.events import Fetching

__all__ = ["fetch", "list_weights", "print_recipe"]


def list_weights() -> None:
    """List the networks known by name, and where they lie."""
    for row in status():
        print(f"{row.name:8}{row.size / 1e6:6.1f} MB  {_where(row)}\n{'':19}{row.licence}")
    print(f"cache: {shown(cache_folder())}")


def fetch(name: Annotated[str, Parameter(help="The network's name.")] = "vgg19", /) -> None:
    """Fetch a network's weights, once, and print where they are."""
    with Console() as console:
        path, notices = obtain(name, lambda done, total: console.tell(Fetching(name, done, total)))
    console.notices(notices)
    print(shown(path))


def print_recipe(picture: Annotated[str, Parameter(converter=named, help="A PNG or TIFF made by impasto.")], /) -> None:
    """Print what made a picture, as a TOML file for --recipe."""
    from impasto.pictures.metadata import described

    print(described(picture), end="")


def _where(row: KnownStatus) -> str:
    if row.path is None:
        return f"not here; impasto weights fetch {row.name}"
    return f"{'verified' if row.verified else 'damaged'}  {shown(row.path)}"
