"""Many pictures into one folder: which are done, what becomes of the others, and how to go on after a stop.

A job is (content, styles, Recipe) → one picture, named by the hash of its inputs and its recipe. Where the jobs are
carried out is a `Carry`: in this process (`here`), or on a cluster (cluster.py). What happens is told in events.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from impasto import files
from impasto.errors import (
    Failure,
    ImageReadError,
    ImpastoError,
    OptionError,
    OutputError,
    SomeFailedError,
    memory_short,
)
from impasto.files import SUFFIXES, Blob
from impasto.network.weights.fetching import read_network
from impasto.network.weights.known import KNOWN
from impasto.text import shown
from impasto.work.events import Begun, Ended, Fetching, Note, Share, Tell
from impasto.work.interrupts import Interrupted, Interrupts
from impasto.work.job import LONG_KEY, Job, file_names, name_of
from impasto.work.manifest import NAME, Manifest
from impasto.work.worker import Answer, here

__all__ = ["Carry", "Entry", "check", "run"]

Answers = Generator[tuple[int, Answer], None, None]  # of numbered jobs, in any order
Carry = Callable[[Iterable[tuple[int, Job]], Callable[[int, float], object]], Answers]

NAMED = 3  # failed pictures that the last line tells of


@dataclass(frozen=True)
class Entry:
    """What became of a job: painted now (`done`), found finished (`kept`), or `failed`, and why.

    `file` of a failed job is the best picture that there was before it failed, if any.
    """

    job: Job
    status: Literal["done", "kept", "failed"]
    file: Path | None
    losses: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    failure: Failure | None = None
    notices: tuple[str, ...] = ()


def run(
    jobs: Sequence[Job],
    folder: Path,
    *,
    suffix: str = ".png",
    extras: bool = False,
    carry: Carry = here,
    tell: Tell = lambda _: None,
) -> list[Entry]:
    """Carry out what is not done yet and return what became of each, in the order of `jobs`; equal jobs are done once.

    The result of a job is `folder / f"{place}-{key[:8]}{suffix}"`, and with `extras` the trace `.jsonl` and the recipe
    `.toml` lie beside it. `tell` hears of every event. A failed job is an entry. Raises OutputError for a folder that
    cannot be written or that another run writes to, OptionError for an impossible `suffix` or `place`, Interrupted on
    Ctrl-C; a second call goes on from there.
    """
    if suffix.lower() not in SUFFIXES:
        raise OptionError(f"suffix: unknown suffix {suffix!r}; use one of {' '.join(SUFFIXES)}")
    names = file_names(jobs, suffix)
    with Manifest(folder) as manifest:
        work = _Run(dict(zip(names, jobs, strict=True)), folder, suffix, extras, manifest, tell)
        work.look()
        if work.missing:
            work.carry_out(carry)
    return [replace(work.entries[name], job=job) for name, job in zip(names, jobs, strict=True)]


def check(entries: Sequence[Entry]) -> None:
    """Raise SomeFailedError, naming the first, if any picture failed."""
    failed = list(dict.fromkeys(entry.failure.message for entry in entries if entry.failure is not None))
    if failed:
        count = sum(entry.status == "failed" for entry in entries)
        rest = f"; and {len(failed) - NAMED} more, all in {NAME}" if len(failed) > NAMED else ""
        raise SomeFailedError(f"{count} of {len(entries)} pictures failed: {'; '.join(failed[:NAMED])}{rest}")


@dataclass
class _Run:
    """The jobs of one run, by the names of their files, and what has become of them."""

    jobs: Mapping[str, Job]
    folder: Path
    suffix: str
    extras: bool
    manifest: Manifest
    tell: Tell
    entries: dict[str, Entry] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    said: set[str] = field(default_factory=set)
    ended: int = 0

    def look(self) -> None:
        """Find what is done already."""
        for name, job in self.jobs.items():
            path = self.folder / name
            line = self.manifest.kept(name, job.key)
            if line is not None and (not self.extras or all(extra.is_file() for extra in _extras(path))):
                self.entries[name] = Entry(job, "kept", path, line.get("losses", {}), line.get("seconds", 0.0))
                continue
            self.missing.append(name)
            ours = line is None and path.is_file() and not path.is_symlink()  # as its name says
            if ours and name not in self.manifest.unfinished:
                self._note([f"{path}: is not what {NAME} says; it is painted again"])

    def carry_out(self, carry: Carry) -> None:
        """Do what is missing."""
        networks = self._networks()
        self.tell(Begun(len(self.missing), len(self.entries), self.folder))
        try:
            with closing(self._carried(carry, networks)) as answers:
                for number, answer in answers:
                    with Interrupts() as shield:  # what is finished is written down before an interrupt takes effect
                        shield.patience()
                        self._end(number, answer)
                    if shield.asked:
                        raise KeyboardInterrupt
        except KeyboardInterrupt:
            done = sum(entry.status != "failed" for entry in self.entries.values())
            count = f"{len(self.jobs)} picture{'s' * (len(self.jobs) != 1)}"
            raise Interrupted(
                f"interrupted; {done} of {count} are finished; the same command goes on from there"
            ) from None

    def _carried(self, carry: Carry, networks: Mapping[str, Blob | ImpastoError]) -> Answers:
        """The answers of the carrier, and those to jobs that it need not be asked about."""
        refused: list[tuple[int, Answer]] = []

        def packed() -> Iterator[tuple[int, Job]]:
            for number, name in enumerate(self.missing):
                try:
                    self._check(self.folder / name)
                    yield number, self._pack(self.jobs[name], networks)
                except Exception as error:
                    if not (isinstance(error, ImpastoError) or memory_short(error)):
                        raise
                    refused.append((number, Answer(failure=Failure.of(error))))

        with closing(carry(packed(), lambda number, share: self.tell(Share(number, share)))) as answers:
            for answer in answers:
                yield answer
                while refused:
                    yield refused.pop(0)
        yield from refused

    def _networks(self) -> dict[str, Blob | ImpastoError]:
        """The files of the networks that do not come along with the package, each read once."""
        found: dict[str, Blob | ImpastoError] = {}
        for net in {self.jobs[name].recipe.net for name in self.missing}:
            known = KNOWN.get(net)
            if known is not None and not known.url:
                continue

            def came(done: int, total: int, net: str = net) -> None:
                self.tell(Fetching(net, done, total))

            try:
                found[net], notices = read_network(net, came)
                self._note(notices)
            except ImpastoError as error:
                found[net] = error
        return found

    def _pack(self, job: Job, networks: Mapping[str, Blob | ImpastoError]) -> Job:
        """A job with its files as bytes; raises ImpastoError for what cannot be read."""
        network = networks.get(job.recipe.net)
        if isinstance(network, ImpastoError):
            raise network
        kept = str(self._checkpoint(job))
        packed = replace(job, suffix=self.suffix, trace=self.extras, checkpoint=kept).packed(network)
        if packed.key != job.key:
            name = shown(name_of(job.content))
            raise ImageReadError(f"{name}: it or a style has changed since the run began; run it again")
        return packed

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

    def _end(self, number: int, answer: Answer) -> None:
        """Write down how a job has ended."""
        name = self.missing[number]
        job, path, failure = self.jobs[name], self.folder / name, answer.failure
        content = name_of(job.content)
        about = {
            "content": content,
            "styles": [name_of(style) for style in job.styles],
            "recipe": job.recipe.model_dump(mode="json"),
        }
        losses = {term: value for term, value in answer.losses.items() if math.isfinite(value)}
        numbers: dict[str, Any] = {"losses": losses, "seconds": round(answer.seconds, 3)}
        if answer.data:
            self._save(path, job, answer)
        if failure is None:
            sha256 = hashlib.sha256(answer.data).hexdigest()
            self.manifest.add({"key": job.key, "file": name, "sha256": sha256, **about, **numbers})
            entry = Entry(job, "done", path, losses, answer.seconds, None, answer.notices)
        else:
            text = failure.message if shown(content) in failure.message else f"{shown(content)}: {failure.message}"
            best = path if answer.data else None
            if best is not None:
                text += f"; the best picture so far is saved in {shown(path)}"
                numbers["unfinished"] = name
            failure = replace(failure, message=text)
            self.manifest.add(
                {"key": job.key, **about, "error": text, "kind": failure.kind, **(numbers if best else {})}
            )
            entry = Entry(job, "failed", best, losses, answer.seconds, failure, answer.notices)
        with suppress(OSError):
            self._checkpoint(job).unlink()
        self.entries[name] = entry
        self.ended += 1
        self._note(answer.notices)
        self.tell(Ended(number, self.ended, len(self.missing), entry.file, entry.seconds, losses, failure))

    def _checkpoint(self, job: Job) -> Path:
        """Where a job is kept while it is painted."""
        return self.folder / f"{job.key[:LONG_KEY]}.checkpoint"

    def _save(self, path: Path, job: Job, answer: Answer) -> None:
        """Write a result and what belongs to it, each whole or not at all; raises OutputError."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{shown(path.parent)}: cannot be made ({error.strerror}); choose another folder"
            ) from None
        if self.extras:
            trace, recipe = _extras(path)
            files.write(trace, answer.trace.encode())
            files.write(recipe, job.recipe.to_toml().encode())
        files.write(path, answer.data)

    def _note(self, notices: Iterable[str]) -> None:
        """Tell what is worth knowing, each thing once however many jobs say it."""
        for notice in notices:
            if notice not in self.said:
                self.said.add(notice)
                self.tell(Note(notice))


def _extras(path: Path) -> tuple[Path, Path]:
    """Trace and recipe beside a result."""
    return path.with_suffix(".jsonl"), path.with_suffix(".toml")
