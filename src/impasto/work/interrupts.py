"""Ctrl-C and its relatives: the first asks for an end, the second ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "Interrupts"]

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """The work was interrupted and what there was of it has been dealt with; the message says how."""


class Interrupts:
    """While entered, a signal raises KeyboardInterrupt; after `patience` the first one sets `asked` instead."""

    def __init__(self) -> None:
        self.asked = False
        self._patient = False
        self._told: Callable[[], object] = lambda: None
        self._before: dict[signal.Signals, Any] = {}

    def patience(self, told: Callable[[], object] = lambda: None) -> None:
        """From now on there is something to save: let the first signal set `asked` and call `told`."""
        self._patient, self._told = True, told

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread set handlers
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup and the like mean it
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if not self._patient or self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._told()
