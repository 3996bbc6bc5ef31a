"""A run kept in a file while it goes on, so that one that was stopped ends as the one that was not, bit for bit.

The file is a safetensors file: where the run stands (place.py), and in its header what the run is: recipe, pictures,
network, versions, threads. It is written whole or not at all, and nothing in it is ever run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from impasto import files
from impasto._version import __version__
from impasto.errors import DivergenceError, OptionError, OutputError
from impasto.paint.place import pack, unpack
from impasto.paint.result import Progress
from impasto.paint.transfer import Transfer
from impasto.text import shown

__all__ = ["LONG", "Checkpoint", "Keeper", "about", "read"]

KEY, FORMAT = "impasto checkpoint", 1  # of the header, and how what it holds is laid out
EVERY = 30.0  # seconds between two writings, at least
LONG = 120.0  # seconds: a run that takes longer is worth a file unasked
SHARE = 0.02  # of the time that writing may take, at most
BROKEN = (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Checkpoint:
    """The header of a file: `about` the run, what its owner has `said` beside, and where it stands, but for tensors."""

    path: Path
    about: Mapping[str, Any]
    said: Mapping[str, Any]
    values: Any = field(repr=False)

    def check(self, transfer: Transfer) -> None:
        """Make sure that it is of such a run; raises OptionError naming what differs."""
        there, here = _listed(self.about), _listed(about(transfer))
        for key in dict.fromkeys([*here, *there]):
            if there.get(key) != here.get(key):
                raise OptionError(
                    f"{shown(self.path)}: is of another run ({shown(key[1])} is {_said(there.get(key))} there and"
                    f" {_said(here.get(key))} here); repeat it as it was, or remove the file to begin anew"
                )

    def restore(self, transfer: Transfer) -> None:
        """Let an equal transfer go on from it; raises OptionError for one of another run, or damaged."""
        self.check(transfer)
        with _opened(self.path) as file:
            place = unpack(self.values, file.get_tensor, transfer.device)
            transfer.go_on(place)


def about(transfer: Transfer) -> dict[str, Any]:
    """What a run's every bit depends on; on the CPU that is the number of threads and the kind of processor as well."""
    device = transfer.device.type
    own = {"threads": torch.get_num_threads(), "processor": torch.backends.cpu.get_cpu_capability()}
    return {
        "impasto": __version__,
        "torch": torch.__version__,
        "device": device,
        **(own if device == "cpu" else {}),
        "precision": str(transfer.encoder(0).dtype).removeprefix("torch."),
        "network": transfer.weights.sha256,
        "inputs": {role: [one["sha256"] for one in several] for role, several in transfer.scene.inputs.items()},
        "recipe": transfer.recipe.model_dump(mode="json"),
    }


def read(path: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint in a file; raises OptionError for whatever is none, or is one of a newer impasto."""
    with _opened(path) as file:
        header = (file.metadata() or {}).get(KEY)
        if header is None:
            raise OptionError(f"{shown(path)}: is no checkpoint of impasto; name another file")
        held = json.loads(header)
        version = held["format"]
        if isinstance(version, int) and version > FORMAT:
            raise OptionError(f"{shown(path)}: was written by a newer impasto (format {version}); update this one")
        if version != FORMAT or not all(isinstance(held[part], dict) for part in ("about", "said", "place")):
            raise ValueError("its header is not ours")
    return Checkpoint(Path(path), held["about"], held["said"], held["place"])


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Any]:
    """A safetensors file; whatever is wrong with it, or with what is made of it, is an OptionError."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            raise OptionError(f"{shown(path)}: is no regular file; name a checkpoint")
        with safe_open(path, "pt") as file:
            yield file
    except OptionError:
        raise
    except FileNotFoundError:
        raise OptionError(f"{shown(path)}: no such checkpoint; check the name") from None
    except OSError as error:
        raise OptionError(f"{shown(path)}: cannot be read ({error.strerror or shown(error)})") from None
    except BROKEN as error:
        why = shown(" ".join(str(error).split()))[:100]
        raise OptionError(
            f"{shown(path)}: is damaged or no checkpoint ({why}); name another file, or remove it to begin anew"
        ) from None


class Keeper:
    """Keeps a transfer in a file: `step` is to hear of every step, and writes every so often.

    `said` gives what the file holds for its owner, of JSON. `least`: seconds that a run must take, by its pace, to be
    kept. `tell` hears, once, why the file cannot be written; the painting goes on. Without a path nothing is kept.
    To be entered around the work: when that is done, or has diverged, the file is removed; after another end it stays.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        transfer: Transfer,
        *,
        said: Callable[[], Mapping[str, Any]] = dict,
        least: float = 0.0,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.path = None if path is None else Path(os.path.realpath(path))
        self.transfer, self.said, self.least, self.tell = transfer, said, least, tell
        self.kept = False  # whether the file is there, and ours
        self._given, self._told = Path(path or ""), False
        self._again, self._long = time.monotonic() + EVERY, least <= 0

    def resume(self) -> Mapping[str, Any] | None:
        """Go on from the file, if there is one, and return what its owner has said; raises as `Checkpoint.restore`."""
        if self.path is not None:
            _clear(_temporary(self.path))
        if self.path is None or not os.path.lexists(self.path):
            return None
        found = read(self._given)
        found.restore(self.transfer)
        self.kept = self._long = True
        return found.said

    def step(self, progress: Progress) -> None:
        """After a step: write, if it is time."""
        self._long = self._long or progress.seconds + progress.remaining >= self.least
        if time.monotonic() >= self._again:
            self.write()

    def write(self) -> None:
        """Write now, if the run is one to be kept and has begun."""
        place = self.transfer.place
        if self.path is None or place is None or not self._long:
            return
        begun = time.monotonic()
        values, tensors = pack(place)
        held = {"format": FORMAT, "about": about(self.transfer), "said": self.said(), "place": values}
        folder = _temporary(self.path)
        try:
            _clear(folder)
            folder.mkdir()
            files.replace(
                self.path,
                folder / "whole",
                lambda path: save_file(tensors, path, {KEY: json.dumps(held)}),
                shown(self._given),
            )
            self.kept = True
        except (OSError, SafetensorError, MemoryError) as error:
            if not self._told:
                self.tell(f"{_why(shown(self._given), error)}; the painting goes on without")
            self._told = True
        finally:
            _clear(folder)
        ended = time.monotonic()
        self._again = ended + max(EVERY, (ended - begun) / SHARE)

    def remove(self) -> None:
        """Take the file away, and what a stop in the middle of a writing has left."""
        if self.path is not None:
            _clear(_temporary(self.path))
            if self.kept:
                with suppress(OSError):
                    self.path.unlink()
        self.kept = False

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, DivergenceError):
            self.remove()


def _temporary(path: Path) -> Path:
    """A folder that a file is written in first, the same for all its writings: a stop leaves nothing for long."""
    return path.with_name(f".impasto-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.tmp")


def _clear(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _listed(about: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """All of it by part and name, the recipe first; what runs have chosen may be called as an option is."""
    found: dict[tuple[str, str], Any] = {}
    for part in ("recipe", "inputs"):
        own = about.get(part)
        found.update({(part, name): value for name, value in own.items()} if isinstance(own, dict) else {})
    return {**found, **{("", name): value for name, value in about.items() if name not in ("recipe", "inputs")}}


def _said(value: object) -> str:
    """A value as it is typed; a hash by its first digits."""
    several = value if isinstance(value, list | tuple) else [value]
    return (
        shown(
            " ".join("none" if one is None else f"{one:.60}" if isinstance(one, str) else str(one) for one in several)
        )[:80]
        or "none"
    )


def _why(name: str, error: Exception) -> str:
    """Why a file cannot be written; safetensors wraps what the system says."""
    if isinstance(error, OutputError):
        return str(error)
    said = re.search(r"I/O error: (.+?) \(os error", str(error))
    why = said[1] if said else getattr(error, "strerror", None) or str(error) or type(error).__name__
    return f"{name}: cannot be written ({why}); choose another place"
