"""What the command line shows on stderr: one line for a message, a bar for the work. stdout is for results."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from impasto.errors import shown

if TYPE_CHECKING:
    from impasto.fetching import Progress as Bytes
    from impasto.transfer import Progress

__all__ = ["Bar", "Console", "Jobs", "duration", "listed", "say"]


def say(line: str) -> None:
    """Write one line to stderr, control characters escaped; never fails, whatever has become of stderr."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print(shown(line), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Time as people say it.

    >>> duration(4.25), duration(59.7), duration(3725)
    ('4.2 s', '1:00', '1:02:05')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def listed(losses: Iterable[tuple[str, float]]) -> str:
    """Losses by name in one line.

    >>> listed([("content", 0.51234), ("style", 0.0021)])
    'content 0.5123, style 0.0021'
    """
    return ", ".join(f"{name} {value:.4g}" for name, value in losses)


class Console:
    """Messages and bars on stderr; `quiet` leaves errors only, which do not come through here."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.terminal = sys.stderr is not None and sys.stderr.isatty()
        self._rich: RichConsole | None = None

    def line(self, text: str) -> None:
        """One line, above the bar where there is one."""
        if self.quiet:
            return
        if self._rich is None:
            say(text)
        else:  # Text, because rich would take [brackets] of a file name for markup
            self._rich.print(Text(shown(text)), soft_wrap=True)

    def notices(self, notices: Iterable[str]) -> None:
        """Things worth knowing, one line each."""
        for notice in notices:
            self.line(f"note: {notice}")

    @contextmanager
    def bar(self, opening: str) -> Iterator[Bar]:
        """A bar for a transfer; `opening` is what is said once where there is no terminal to draw it on."""
        if self.quiet or not self.terminal:
            self.line(opening)
            yield Bar(None)
            return
        with self._live(_TransferBar) as live:
            yield Bar(live)

    @contextmanager
    def jobs(self, count: int, opening: str) -> Iterator[Jobs]:
        """One bar for `count` pictures; `opening` is what is said once where there is no terminal to draw it on."""
        if self.quiet or not self.terminal:
            self.line(opening)
            yield Jobs(None, count)
            return
        with self._live(_TransferBar) as live:
            yield Jobs(live, count)

    @contextmanager
    def download(self, name: str) -> Iterator[Bytes]:
        """A bar for a download, which appears with its first bytes."""
        if self.quiet or not self.terminal:
            opened = False

            def tell(done: int, total: int) -> None:
                nonlocal opened
                if not opened:
                    self.line(f"fetching {name} ({total / 1e6:.1f} MB)")
                opened = True

            yield tell
            return
        with self._live(_DownloadBar) as live:
            task = live.add_task(f"fetching {name}", visible=False)
            yield lambda done, total: live.update(task, completed=done, total=total, visible=True)

    @contextmanager
    def _live(self, kind: type[_Lasting]) -> Iterator[_Lasting]:
        self._rich = RichConsole(stderr=True)
        try:
            with kind(*kind.columns, console=self._rich, transient=True, refresh_per_second=4) as live:
                yield live
        finally:
            self._rich = None


class Bar:
    """The bar of one transfer; does nothing where there is none."""

    def __init__(self, live: _Lasting | None) -> None:
        self._live = live
        self._task = None if live is None else live.add_task("", total=1.0, place="", clock="")

    def show(self, progress: Progress) -> None:
        """Show a step."""
        if self._live is None or self._task is None:
            return
        height, width = progress.size
        self._live.below = listed([*progress.losses.items(), ("total", progress.loss)])
        self._live.update(
            self._task,
            completed=progress.fraction,
            place=f"level {progress.level}/{progress.levels}  {width}×{height}  step {progress.step}/{progress.steps}",
            clock=f"{duration(progress.seconds)}, {duration(progress.remaining)} left",
        )

    def stopping(self) -> None:
        """Say that the interrupt has been understood."""
        if self._live is not None:
            self._live.below = "stopping; once more to stop without saving"


class Jobs:
    """The bar over many pictures, with the time left; counts where there is no bar."""

    def __init__(self, live: _Lasting | None, count: int) -> None:
        self._live, self._count = live, count
        self._task = None if live is None else live.add_task("", total=count, place="", clock="")
        self._begun = time.monotonic()
        self._shares: dict[int, float] = {}
        self.ended = 0
        self._show()

    def tell(self, number: int, share: float) -> None:
        """Show that a share 0…1 of one picture is done."""
        self._shares[number] = share
        self._show()

    def end(self, number: int) -> None:
        """Show that one picture is done with."""
        self._shares.pop(number, None)
        self.ended += 1
        self._show()

    def _show(self) -> None:
        if self._live is None or self._task is None:
            return
        done = self.ended + sum(self._shares.values())
        passed = time.monotonic() - self._begun
        left = f", {duration(passed * (self._count - done) / done)} left" if done else ""
        place = f"{self.ended} of {self._count} pictures"
        self._live.update(self._task, completed=done, place=place, clock=f"{duration(passed)}{left}")


class _Lasting(RichProgress):
    """A progress bar with a line below it."""

    columns: tuple[BarColumn | DownloadColumn | TextColumn | TimeRemainingColumn, ...] = ()
    below = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        if self.below:
            yield Text(self.below, style="dim", overflow="ellipsis", no_wrap=True)


class _TransferBar(_Lasting):
    columns = (TextColumn("{task.fields[place]}"), BarColumn(), TextColumn("{task.fields[clock]}"))


class _DownloadBar(_Lasting):
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
