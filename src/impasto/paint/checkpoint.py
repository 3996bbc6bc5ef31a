"""A run kept in a file while it goes on, so that one that was stopped ends as the one that was not, bit for bit.

The file is a safetensors file: where the run stands (place.py), and in its header what the run is: recipe, pictures,
network, versions, threads. It is written whole or not at all, and nothing in it is ever run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from impasto import files
from impasto._version import __version__
from impasto.errors import DivergenceError, OptionError, OutputError
from impasto.paint.place import pack, unpack
from impasto.paint.result import Progress
from impasto.paint.transfer import Transfer
from impasto.text import shown

__all__ = ["Checkpoint", "Keeper", "about", "read"]

KEY, FORMAT = "impasto checkpoint", 1  # of the header, and how what it holds is laid out
EVERY = 30.0  # seconds between two writings, at least
SHARE = 0.02  # of the time that writing may take, at most


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: `about` the run, what its owner has `said` beside, and where it stands."""

    path: Path
    about: Mapping[str, Any]
    said: Mapping[str, Any]
    values: Any = field(repr=False)
    tensors: Mapping[str, Tensor] = field(repr=False)

    def check(self, transfer: Transfer) -> None:
        """Make sure that it is of such a run; raises OptionError naming what differs."""
        there, here = _listed(self.about), _listed(about(transfer))
        for name in dict.fromkeys([*here, *there]):
            if there.get(name) != here.get(name):
                raise OptionError(
                    f"{shown(self.path)}: is of another run ({name} is {_said(there.get(name))} there and"
                    f" {_said(here.get(name))} here); repeat it as it was, or remove the file to begin anew"
                )

    def restore(self, transfer: Transfer) -> None:
        """Let an equal transfer go on from it; raises OptionError for one of another run, or damaged."""
        self.check(transfer)
        try:
            transfer.go_on(unpack(self.values, self.tensors, transfer.device))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged(self.path, f"{type(error).__name__}: {' '.join(str(error).split())[:100]}") from None


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
    name = Path(path)
    try:
        if not stat.S_ISREG(name.stat().st_mode):
            raise OptionError(f"{shown(path)}: is no regular file; name a checkpoint")
        with safe_open(name, "pt") as file:
            header = (file.metadata() or {}).get(KEY)
            if header is None:
                raise OptionError(f"{shown(path)}: is no checkpoint of impasto; name another file")
            held = json.loads(header)
            version = held["format"]
            if isinstance(version, int) and version > FORMAT:
                raise OptionError(f"{shown(path)}: was written by a newer impasto (format {version}); update this one")
            if version != FORMAT or not all(isinstance(held[part], dict) for part in ("about", "said", "place")):
                raise _damaged(path, "its header is not ours")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (it is no dict)
    except FileNotFoundError:
        raise OptionError(f"{shown(path)}: no such checkpoint; check the name") from None
    except OptionError:
        raise
    except OSError as error:
        raise OptionError(f"{shown(path)}: cannot be read ({error.strerror or shown(error)})") from None
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise _damaged(path, " ".join(str(error).split())[:100]) from None
    return Checkpoint(name, held["about"], held["said"], held["place"], tensors)


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
        self._called, self._told = shown(path), False
        self._again, self._long = time.monotonic() + EVERY, least <= 0

    def resume(self) -> Mapping[str, Any] | None:
        """Go on from the file, if there is one, and return what its owner has said; raises as `Checkpoint.restore`."""
        if self.path is None or not os.path.lexists(self.path):
            return None
        found = read(self.path)
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
        try:
            files.replace(
                self.path,
                _temporary(self.path),
                lambda path: _save(path, tensors, json.dumps(held)),
                self._called,
            )
            self.kept = True
        except (OutputError, SafetensorError, MemoryError) as error:
            if not self._told:
                self.tell(f"{_why(self._called, error)}; the painting goes on without")
            self._told = True
        ended = time.monotonic()
        self._again = ended + max(EVERY, (ended - begun) / SHARE)

    def remove(self) -> None:
        """Take the file away, and what a stop in the middle of a writing has left."""
        if self.path is not None:
            for path in (self.path, _temporary(self.path)):
                if self.kept or path != self.path:
                    path.unlink(missing_ok=True)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, DivergenceError):
            self.remove()


def _temporary(path: Path) -> Path:
    """One name for all writings of a file, so that a stop in the middle of one leaves nothing for long."""
    return path.with_name(f".impasto-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.tmp")


def _listed(about: Mapping[str, Any]) -> dict[str, Any]:
    """All of it by the names that messages call it."""
    found = {name: value for name, value in about.items() if name not in ("recipe", "inputs")}
    for part in ("inputs", "recipe"):
        found.update(about[part] if isinstance(about.get(part), dict) else {})
    return found


def _said(value: object) -> str:
    """A value as it is typed; a hash by its first digits."""
    several = value if isinstance(value, list | tuple) else [value]
    return (
        shown(
            " ".join("none" if one is None else f"{one:.60}" if isinstance(one, str) else str(one) for one in several)
        )[:80]
        or "none"
    )


def _save(path: Path, tensors: dict[str, Tensor], header: str) -> None:
    path.unlink(missing_ok=True)
    save_file(tensors, path, {KEY: header})


def _why(name: str, error: Exception) -> str:
    """Why a file cannot be written; safetensors wraps what the system says."""
    if isinstance(error, OutputError):
        return str(error)
    said = re.search(r"I/O error: (.+?) \(os error", str(error))
    why = said[1] if said else str(error) or type(error).__name__
    return f"{name}: cannot be written ({why}); choose another place"


def _damaged(path: str | os.PathLike[str], why: str) -> OptionError:
    return OptionError(f"{shown(path)}: is damaged or no checkpoint ({shown(why)}); name another file, or begin anew")
