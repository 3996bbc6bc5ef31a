"""What control groups leave a process: containers, batch systems and service managers set limits through them.

Groups lie in one another, and each may have a limit of its own: what counts is the tightest from the process's own
group up to the root. Inside a container the root is often the container's own group, whatever path it has outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

__all__ = ["left"]

_Files = tuple[tuple[str, ...], str, str]  # limits, what is in use, and a line of the statistics

NONE = 2**60  # bytes: a limit from here on is none; version 1 writes one as the largest number of whole pages
UNIFIED: _Files = (("memory.max", "memory.high"), "memory.current", "inactive_file")  # version 2
SPLIT: _Files = (("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")  # version 1


def left(root: Path = Path("/")) -> float | None:
    """Bytes that the tightest limit leaves, not below 0; None where there is no limit, or no control groups.

    Pages of files that have not been read lately count as free: the system drops them for whoever asks for memory.
    `root`: where `proc` and `sys` lie.
    """
    found = [rest for folder, kind in _groups(root) if (rest := _rest(folder, *kind)) is not None]
    return max(0.0, min(found)) if found else None


def _groups(root: Path) -> Iterator[tuple[Path, _Files]]:
    """The folders of the groups that the process is in, each with the names of its files."""
    mounted = root / "sys/fs/cgroup"
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = ["0::/"]
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            tops, kind = [mounted, mounted / "unified"], UNIFIED
        elif "memory" in controllers.split(","):
            tops, kind = [mounted / "memory", mounted / controllers], SPLIT
        else:
            continue
        names = PurePosixPath(path.lstrip("/")).parts
        names = () if ".." in names else names  # outside of what is seen from here
        for top in dict.fromkeys(tops):
            for depth in range(len(names), -1, -1):
                yield top.joinpath(*names[:depth]), kind


def _rest(folder: Path, limits: tuple[str, ...], usage: str, inactive: str) -> float | None:
    """What the limits of one group leave; None where it has none."""
    given = [limit for name in limits if (limit := _number(folder / name)) is not None and limit < NONE]
    used = _number(folder / usage)
    if not given or used is None:
        return None
    return min(given) - max(0.0, used - _statistic(folder / "memory.stat", inactive))


def _number(file: Path) -> float | None:
    """The number in a file; None where it is not there, or says `max`."""
    try:
        return float(int(file.read_text(encoding="ascii")))
    except (OSError, ValueError):
        return None


def _statistic(file: Path, name: str) -> float:
    """A line `name NUMBER` of a file, 0 where there is none."""
    try:
        lines = [line.split() for line in file.read_text(encoding="ascii").splitlines()]
        return float(dict(line for line in lines if len(line) == 2).get(name, 0))
    except (OSError, ValueError):
        return 0.0
