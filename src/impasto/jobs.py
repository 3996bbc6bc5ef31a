"""Many pictures into one folder: which are done, what becomes of the others, and how to go on after a stop.

A job is (content, styles, Recipe) → one picture, named by the hash of its inputs and its recipe. Where the jobs are
carried out is a `Carry`: in this process (`here`), or on a cluster (cluster.py).
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from impasto import saving
from impasto.console import Console, Jobs, duration, listed
from impasto.errors import ImageReadError, ImpastoError, OptionError, OutputError, SomeFailedError, WeightsError, shown
from impasto.fetching import obtain
from impasto.files import open_file
from impasto.interrupts import Interrupted, Interrupts
from impasto.known import KNOWN
from impasto.manifest import NAME, Manifest
from impasto.painter import Blob, Order, Painted, here, paint
from impasto.runner import INITS, memory_short
from impasto.task import Task, file_names, split_net

__all__ = ["Carry", "Order", "Outcome", "Painted", "Task", "here", "paint", "report", "run"]

Answers = Generator[tuple[int, Painted | str], None, None]  # of numbered orders, in any order
Carry = Callable[[Iterable[tuple[int, Order]], Callable[[int, float], None]], Answers]

NAMED = 3  # failed pictures that the last line tells of


@dataclass(frozen=True)
class Outcome:
    """What became of a task: painted now (`done`), found finished (`kept`), or `failed`, with a line that says why."""

    task: Task
    status: Literal["done", "kept", "failed"]
    file: Path | None
    losses: Mapping[str, float]
    seconds: float
    error: str | None
    notices: tuple[str, ...] = ()


def run(
    tasks: Sequence[Task],
    folder: Path,
    *,
    suffix: str = ".png",
    extras: bool = False,
    carry: Carry = here,
    console: Console,
) -> list[Outcome]:
    """Carry out what is not done yet and return the outcomes in the order of `tasks`; equal jobs are done once.

    The result of a task is `folder / f"{place}-{key[:8]}{suffix}"`, and with `extras` the trace `.jsonl` and the recipe
    `.toml` lie beside it. A failed job is an outcome. Raises OutputError for a folder that cannot be written or that
    another run writes to, OptionError for an impossible `suffix` or `place`, Interrupted on Ctrl-C; a second call goes
    on from there.
    """
    if suffix.lower() not in saving.SUFFIXES:
        raise OptionError(f"suffix: unknown suffix {suffix!r}; use one of {' '.join(saving.SUFFIXES)}")
    names = file_names(tasks, suffix)
    with Manifest(folder) as manifest:
        work = _Run(dict(zip(names, tasks, strict=True)), folder, suffix, extras, manifest, console)
        work.look()
        if work.missing:
            work.carry_out(carry)
    return [replace(work.outcomes[name], task=task) for name, task in zip(names, tasks, strict=True)]


def report(outcomes: Sequence[Outcome], console: Console) -> None:
    """Say how many pictures were painted, kept and failed; raises SomeFailedError, naming them, if any failed."""
    count = {status: sum(one.status == status for one in outcomes) for status in ("done", "kept", "failed")}
    console.line(f"{count['done']} painted, {count['kept']} there already, {count['failed']} failed")
    failed = list(dict.fromkeys(one.error for one in outcomes if one.error is not None))
    if not failed:
        return
    if len(failed) > NAMED:
        for error in failed:
            console.line(f"failed: {error}")
    rest = f"; and {len(failed) - NAMED} more, all in {NAME}" if len(failed) > NAMED else ""
    raise SomeFailedError(f"{count['failed']} of {len(outcomes)} pictures failed: {'; '.join(failed[:NAMED])}{rest}")


@dataclass
class _Run:
    """The jobs of one run, by the names of their files, and what has become of them."""

    tasks: Mapping[str, Task]
    folder: Path
    suffix: str
    extras: bool
    manifest: Manifest
    console: Console
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    said: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Find what is done already."""
        for name, task in self.tasks.items():
            path = self.folder / name
            entry = self.manifest.kept(name, task.key)
            if entry is not None and (not self.extras or all(extra.is_file() for extra in _extras(path))):
                losses, seconds = entry.get("losses", {}), entry.get("seconds", 0.0)
                self.outcomes[name] = Outcome(task, "kept", path, losses, seconds, None)
                continue
            self.missing.append(name)
            if entry is None and path.is_file() and not path.is_symlink():  # its name says that it is ours
                self._note([f"{path}: is not what {NAME} says; it is painted again"])

    def carry_out(self, carry: Carry) -> None:
        """Do what is missing."""
        networks = self._networks()
        kept = f" ({len(self.outcomes)} there already)" if self.outcomes else ""
        opening = f"painting {_pictures(len(self.missing))} into {self.folder}{kept}"
        try:
            with (
                self.console.jobs(len(self.missing), opening) as bar,
                closing(self._carried(carry, bar, networks)) as answers,
            ):
                for number, answer in answers:
                    with Interrupts() as shield:  # what is finished is written down before an interrupt takes effect
                        shield.patience()
                        self._end(number, answer, bar)
                    if shield.asked:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            done = sum(outcome.status != "failed" for outcome in self.outcomes.values())
            raise Interrupted(
                f"interrupted; {done} of {_pictures(len(self.tasks))} are finished; the same command goes on from there"
            ) from None

    def _carried(self, carry: Carry, bar: Jobs, networks: Mapping[str, Blob | ImpastoError]) -> Answers:
        """The answers of the carrier, and those to jobs that it need not be asked about."""
        refused: list[tuple[int, str]] = []

        def orders() -> Iterator[tuple[int, Order]]:
            for number, name in enumerate(self.missing):
                try:
                    self._check(self.folder / name)
                    yield number, self._order(self.tasks[name], networks)
                except Exception as error:
                    if not (isinstance(error, ImpastoError) or memory_short(error)):
                        raise
                    refused.append((number, str(error) or "not enough memory to read the pictures"))

        with closing(carry(orders(), bar.tell)) as answers:
            for answer in answers:
                yield answer
                while refused:
                    yield refused.pop(0)
        yield from refused

    def _networks(self) -> dict[str, Blob | ImpastoError]:
        """The files of the networks that do not come along with the package, each read once."""
        found: dict[str, Blob | ImpastoError] = {}
        for net in {self.tasks[name].recipe.net for name in self.missing}:
            path, known = split_net(net)[0], KNOWN.get(net)
            if known is not None and not known.url:
                continue
            try:
                if known is not None:
                    with self.console.download(known.name) as tell:
                        place, notices = obtain(known.name, tell)
                    self._note(notices)
                    path = str(place)
                found[net] = Blob.of(path, _bytes_of_net(path))
            except ImpastoError as error:
                found[net] = error
        return found

    def _order(self, task: Task, networks: Mapping[str, Blob | ImpastoError]) -> Order:
        """A task with its files as bytes; raises ImpastoError for what cannot be read."""
        recipe = task.recipe
        network = networks.get(recipe.net)
        if isinstance(network, ImpastoError):
            raise network
        if replace(task).key != task.key:
            raise ImageReadError(f"{shown(task.content)}: it or a style has changed since the run began; run it again")
        return Order(
            content=_read(task.content, "content"),
            styles=tuple(_read(style, "style") for style in task.styles),
            recipe=recipe,
            suffix=self.suffix,
            trace=self.extras,
            init=() if recipe.init in INITS else (_read(recipe.init, "init"),),
            net=() if network is None else (network,),
        )

    def _check(self, path: Path) -> None:
        """Make sure, before the work, that a result can take its place."""
        for one in (path, *(_extras(path) if self.extras else ())):
            try:
                regular = stat.S_ISREG(os.lstat(one).st_mode)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise OutputError(
                    f"{shown(one)}: cannot be written ({error.strerror}); choose another folder"
                ) from None
            if not regular:
                raise OutputError(f"{shown(one)}: is no regular file; move it away")

    def _end(self, number: int, answer: Painted | str, bar: Jobs) -> None:
        """Write down how a job has ended."""
        name = self.missing[number]
        task, path = self.tasks[name], self.folder / name
        entry: dict[str, Any] = {"key": task.key}
        about = {
            "content": task.content,
            "styles": list(task.styles),
            "recipe": task.recipe.model_dump(mode="json"),
        }
        bar.end(number)
        place = f"{bar.ended}/{len(self.missing)}"
        if isinstance(answer, str):
            if shown(task.content) not in answer:
                answer = f"{shown(task.content)}: {answer}"
            self.manifest.add({**entry, **about, "error": answer})
            self.outcomes[name] = Outcome(task, "failed", None, {}, 0.0, answer)
            self.console.line(f"{place} failed: {answer}")
            return
        losses = {term: value for term, value in answer.losses.items() if math.isfinite(value)}
        self._save(path, task, answer)
        sha256 = hashlib.sha256(answer.data).hexdigest()
        entry.update(file=name, sha256=sha256, **about, losses=losses, seconds=round(answer.seconds, 3))
        self.manifest.add(entry)
        self.outcomes[name] = Outcome(task, "done", path, losses, answer.seconds, None, answer.notices)
        self._note(answer.notices)
        self.console.line(f"{place} painted {path} ({duration(answer.seconds)}; {listed(losses.items())})")

    def _save(self, path: Path, task: Task, painted: Painted) -> None:
        """Write a result and what belongs to it, each whole or not at all; raises OutputError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{shown(path.parent)}: cannot be made ({error.strerror}); choose another folder"
            ) from None
        if self.extras:
            trace, recipe = _extras(path)
            saving.atomic_write_bytes(trace, painted.trace.encode())
            saving.atomic_write_bytes(recipe, task.recipe.to_toml().encode())
        saving.atomic_write_bytes(path, painted.data)

    def _note(self, notices: Iterable[str]) -> None:
        """Say what is worth knowing, each thing once however many jobs say it."""
        new = [notice for notice in dict.fromkeys(notices) if notice not in self.said]
        self.said.update(new)
        self.console.notices(new)


def _extras(path: Path) -> tuple[Path, Path]:
    """Trace and recipe beside a result."""
    return path.with_suffix(".jsonl"), path.with_suffix(".toml")


def _pictures(count: int) -> str:
    return f"{count} picture{'s' * (count != 1)}"


def _read(path: str, role: str) -> Blob:
    """A picture's file; raises ImageReadError."""
    label = f"{role} {shown(path)}"
    with open_file(path, label) as file:
        try:
            return Blob.of(path, file.read())
        except OSError as error:
            raise ImageReadError(f"{label}: cannot be read ({error.strerror})") from None


def _bytes_of_net(path: str) -> bytes:
    from impasto.readers import MAX_BYTES

    try:
        about = Path(path).stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
            raise WeightsError(f"{shown(path)}: is no file of VGG-19 weights; give one, or {' or '.join(KNOWN)}")
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or shown(error)
        raise WeightsError(f"{shown(path)}: cannot be read ({why}); give a file of VGG-19 weights") from None
