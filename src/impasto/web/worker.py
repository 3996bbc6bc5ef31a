"""The other side of process.py: what a spawned process does, in one of two roles. No torch before it has begun.

`reader` reads pictures that have just come and says what jobs will take; `painter` paints, one job after the other. A
message and an answer are JSON; pictures go by files of our own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import parent_process
from typing import Any

from impasto.errors import Failure
from impasto.web.talk import StopError, Talk

__all__ = ["main"]


def main(pipe: Connection, role: str, device: str) -> None:
    """Carry out messages until there are no more."""
    for number in (signal.SIGINT, signal.SIGTERM):  # Ctrl-C goes to the server, which lets us end
        with suppress(ValueError, OSError):
            signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "nice") and role == "painter" and parent_process() is not None:
        with suppress(OSError):
            os.nice(1)  # the page answers first
    talk = Talk(pipe)
    with suppress(StopError):
        kinds = _ready(role, device, talk)
        while True:
            message = talk.hear()
            if message["kind"] == "end":
                return
            work = kinds.get(message["kind"])
            if work is not None:
                _attempt(work, message, talk)


def _ready(role: str, device: str, talk: Talk) -> dict[str, Callable[[dict[str, Any], Talk], dict[str, Any]]]:
    """What the role can do, after everything that takes long has been loaded."""
    if role == "reader":
        from impasto.web import reader

        return {"picture": reader.picture, "view": reader.view, "convert": reader.convert, "estimate": reader.estimate}
    from impasto.web.painter import Painter

    painter = Painter(device)
    pace = 0.0
    with suppress(Exception):  # what is wrong is said when it is needed
        pace = painter.warm_up()
    talk.say("ready", pace=pace)
    return {"paint": painter.paint}


def _attempt(work: Callable[[dict[str, Any], Talk], dict[str, Any]], message: dict[str, Any], talk: Talk) -> None:
    try:
        answer = work(message, talk)
    except StopError:
        raise
    except Exception as error:
        failure = Failure.of(error)
        talk.say("failure", failure=failure.kind, error=failure.message)
    else:
        talk.say("answer", **answer)


def _end_with_parent() -> None:
    """Nobody paints for a server that has been killed."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
