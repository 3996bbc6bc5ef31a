"""What the command line shows on stderr: one line for a message, a bar for the work. stdout is for results.

The only module that writes to a terminal. It words events (work/events.py) and steps; nothing below knows of it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from impasto.text import duration, listed, shown
from impasto.work.events import Begun, Drawn, Ended, Event, Fetching, Note, Share

if TYPE_CHECKING:
    from impasto.paint.result import Progress

__all__ = ["Console", "say"]

DUMB = ("dumb", "unknown")  # terminals that know no control characters
TENTHS, PATIENCE = 10, 30.0  # without a terminal: a line for each tenth of the work, and after so many seconds


def say(line: str) -> None:
    """Write one line to stderr, control characters escaped; never fails, whatever has become of stderr."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(shown(line), file=sys.stderr, flush=True)


class Console:
    """Messages and bars on stderr; `quiet` leaves errors only, which do not come through here.

    To be entered around work that is shown as a bar; without a terminal there are lines only.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.bars = not quiet and sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") not in DUMB
        self._live: _Lasting | None = None
        self._fetching = ""
        self._begun = time.monotonic()
        self._count = self._ended = 0
        self._shares: dict[int, float] = {}
        self._tenth = 0  # of the work that has been told of

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def line(self, text: str) -> None:
        """One line, above the bar where there is one."""
        if self.quiet:
            return
        if self._live is None:
            say(text)
        else:  # Text, because rich would take [brackets] of a file name for markup
            self._live.console.print(Text(shown(text)), soft_wrap=True)

    def notices(self, notices: Iterable[str]) -> None:
        """Things worth knowing, one line each."""
        for notice in notices:
            self.line(f"note: {notice}")

    def tell(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Note(text):
                self.notices([text])
            case Fetching():
                self._fetch(event)
            case Begun(count, kept, folder):
                self.close()
                there = f" ({kept} there already)" if kept else ""
                self.line(f"painting {count} picture{'s' * (count != 1)} into {folder}{there}")
                self._begun, self._count, self._ended = time.monotonic(), count, 0
                self._many()
            case Share(number, share):
                self._shares[number] = share
                self._many()
            case Ended():
                self._end(event)
            case Drawn(files):
                *sheets, page = (str(path) for path in files)
                self.line(f"drew {', '.join(sheets)} and {page}")

    def step(self, progress: Progress) -> None:
        """Show a step of one transfer."""
        if not self.bars:
            self._plain(progress)
            return
        height, width = progress.size
        live = self._bar(1.0)
        live.below = live.below if live.stopping else listed([*progress.losses.items(), ("total", progress.loss)])
        live.update(
            live.task_ids[0],
            completed=progress.fraction,
            place=f"level {progress.level}/{progress.levels}  {width}×{height}  step {progress.step}/{progress.steps}",
            clock=f"{duration(progress.seconds)}, {duration(progress.remaining)} left",
        )

    def _plain(self, progress: Progress) -> None:
        """A line every so often, for a log; the last step has the closing line."""
        tenth, now = int(progress.fraction * TENTHS), time.monotonic()
        if progress.fraction < 1 and (tenth > self._tenth or now - self._begun >= PATIENCE):
            self._begun = now
            place = f"level {progress.level}/{progress.levels}, step {progress.step}/{progress.steps}"
            clock = f"{duration(progress.seconds)}, {duration(progress.remaining)} left"
            self.line(f"{progress.fraction:.0%}: {place} ({clock})")
        self._tenth = max(tenth, self._tenth)

    def stopping(self) -> None:
        """Say that the interrupt has been understood."""
        if self._live is not None:
            self._live.stopping = True
            self._live.below = "stopping; once more to stop without saving"

    def _fetch(self, event: Fetching) -> None:
        name, opened = event.name, self._fetching == event.name
        self._fetching = name
        if not self.bars:
            if not opened:
                self.line(f"fetching {name} ({event.total / 1e6:.1f} MB)")
            return
        if not opened:
            self.close()
            self._live = _Lasting(*DOWNLOAD, console=RichConsole(stderr=True), transient=True, refresh_per_second=4)
            self._live.add_task(f"fetching {name}", total=event.total)
            self._live.start()
        if self._live is not None:
            self._live.update(self._live.task_ids[0], completed=event.done)

    def _end(self, event: Ended) -> None:
        self._shares.pop(event.number, None)
        self._ended = event.place
        self._many()
        place = f"{event.place}/{event.count}"
        if event.failure is not None:
            self.line(f"{place} failed: {event.failure.message}")
        else:
            told = duration(event.seconds), listed(event.losses.items())
            self.line(f"{place} painted {event.file} ({'; '.join(filter(None, told))})")

    def _many(self) -> None:
        """The bar over many pictures, with the time left."""
        if not self.bars:
            return
        live, done = self._bar(self._count), self._ended + sum(self._shares.values())
        passed = time.monotonic() - self._begun
        left = f", {duration(passed * (self._count - done) / done)} left" if done else ""
        place = f"{self._ended} of {self._count} pictures"
        live.update(live.task_ids[0], completed=done, place=place, clock=f"{duration(passed)}{left}")

    def _bar(self, total: float) -> _Lasting:
        if self._live is None:
            self._live = _Lasting(*TRANSFER, console=RichConsole(stderr=True), transient=True, refresh_per_second=4)
            self._live.add_task("", total=total, place="", clock="")
            self._live.start()
        return self._live

    def close(self) -> None:
        """Take the bar away, if there is one."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()


class _Lasting(RichProgress):
    """A progress bar with a line below it."""

    below = ""
    stopping = False

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.below:
            yield Text(self.below, style="dim", overflow="ellipsis", no_wrap=True)


TRANSFER = (TextColumn("{task.fields[place]}"), BarColumn(), TextColumn("{task.fields[clock]}"))
DOWNLOAD = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
