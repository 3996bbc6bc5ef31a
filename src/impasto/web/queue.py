"""Jobs in order, one process for each device: what is painted next, what is heard of it, and what is written down."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

from impasto.errors import Failure, OptionError
from impasto.web.events import Hub
from impasto.web.orders import order
from impasto.web.process import DiedError, Process
from impasto.web.records import Job
from impasto.web.store import Store

__all__ = ["MOST", "Queue"]

MOST = 200  # jobs that wait
TRIES = 2  # times that a job is begun again after the server has died with it
WRITTEN = 10.0  # seconds between two writings of a job that is painted
LONGEST_TRACE = 200
WARM = 60.0  # seconds that a process may take to be ready; a job waits no longer
PATIENCE = 0.8  # seconds for the step in work, after the last answers, when all is to end


class Queue:
    """All jobs of a store; those that a server that died has left go on."""

    def __init__(self, store: Store, hub: Hub, memory: float = 0.0) -> None:
        self.store, self.hub, self.memory = store, hub, memory
        self.closing = False
        self._change = threading.Condition(store.lock)
        self._painters: dict[str, Process] = {}
        self._threads: list[threading.Thread] = []
        self._stopping: set[str] = set()
        self._removed: set[str] = set()
        self._usual = 0.0  # seconds for each pixel looked at, where no job is alike
        for job in store.jobs.values():
            if job.state == "running":
                self._left_over(job)

    def start(self, device: str = "auto") -> None:
        """Have a process ready for a device."""
        with self._change:
            if device in self._painters or self.closing:
                return
            painter = self._painters[device] = Process("painter", device)
            thread = threading.Thread(target=self._serve, args=(device, painter), name=f"paint {device}", daemon=True)
            self._threads.append(thread)
        thread.start()

    def painters(self) -> dict[str, int | None]:
        """The numbers of the processes, by device."""
        return {device: process.pid for device, process in self._painters.items()}

    def waiting(self) -> int:
        """How many jobs wait."""
        return sum(job.state == "queued" for job in list(self.store.jobs.values()))

    def add(self, job: Job) -> None:
        """Take a job in; raises OutputError where it cannot be written down."""
        with self._change:
            job.number, job.created = self.store.next_number(), time.time()
            self.store.add_job(job)
            self.tell(job)
        self.start(job.device)
        with self._change:
            self._change.notify_all()

    def stop(self, job: Job) -> None:
        """Stop a job after the step in work; one that waits is stopped at once."""
        with self._change:
            if job.state == "queued":
                self._set(job, state="stopped", remaining=None)
            elif job.state == "running":
                self._stopping.add(job.id)
                for painter in self._painters.values():
                    painter.send({"kind": "stop", "job": job.id})

    def go_on(self, job: Job) -> None:
        """Let a job that was stopped, or that failed, wait again; raises OptionError for another."""
        with self._change:
            if job.state not in ("stopped", "failed"):
                raise OptionError(f"this picture is {job.state} and cannot go on; begin a new one from it")
            self._set(job, state="queued", error=None, attempts=0)
        self.start(job.device)
        with self._change:
            self._change.notify_all()

    def remove(self, job: Job) -> None:
        """Forget a job and its files; one that is painted is stopped first."""
        with self._change:
            if job.state == "running":
                self._removed.add(job.id)
                self.stop(job)
            else:
                self._gone(job)

    def tell(self, job: Job) -> None:
        """Let the pages know how a job stands."""
        self.hub.tell("job", job.id, lambda: job.told(trace=False) if job.id in self.store.jobs else None)

    def ending(self) -> None:
        """Let the processes know that all is to end, while the last answers are given."""
        with self._change:
            self.closing = True
            self._change.notify_all()
        for painter in self._painters.values():
            painter.send({"kind": "end"})

    def close(self) -> None:
        """End all processes, soon; what they were painting goes on when a server comes again."""
        self.ending()
        until = time.monotonic() + PATIENCE
        for thread in self._threads:
            thread.join(max(0.05, until - time.monotonic()))
        for painter in self._painters.values():
            painter.kill()
        with self._change, suppress(OSError):
            for job in self.store.jobs.values():
                if job.state == "running" and job.attempts:  # it was no fault of theirs
                    job.attempts = 0
                    self.store.save(job)

    def pace(self, recipe: dict[str, Any]) -> float:
        """Seconds for each pixel looked at, by the newest jobs that are alike; 0 where nothing is known yet."""
        alike = [
            job.seconds / job.work
            for job in sorted(self.store.jobs.values(), key=lambda one: -one.number)
            if job.state == "done" and job.work and job.seconds and _kind(job.recipe) == _kind(recipe)
        ]
        return sorted(alike[:5])[len(alike[:5]) // 2] if alike else self._usual

    # one device

    def _serve(self, device: str, painter: Process) -> None:
        self._begin(painter)
        while (job := self._next(device)) is not None:
            try:
                self._paint(job, painter)
            except DiedError as error:
                self._end(job, state="failed", error=f"the painting ended: {error}; go on, or use a smaller size")
                self._begin(painter)
            except Exception as error:  # whatever it is, the next one is painted
                self._end(job, state="failed", error=Failure.of(error).message)

    def _begin(self, painter: Process) -> None:
        """Start a process and wait until it is warm."""
        if self.closing:
            return
        painter.start()
        with suppress(DiedError):
            until = time.monotonic() + WARM
            while not self.closing and time.monotonic() < until:
                message = painter.receive(0.5)
                if message is not None and message["kind"] == "ready":
                    self._usual = message["pace"]
                    return

    def _next(self, device: str) -> Job | None:
        with self._change:
            while not self.closing:
                ready = [job for job in self.store.jobs.values() if job.state == "queued" and job.device == device]
                if ready:
                    job = min(ready, key=lambda one: one.number)
                    self._set(job, state="running", attempts=job.attempts + 1, error=None)
                    return job
                self._change.wait(1.0)
        return None

    def _paint(self, job: Job, painter: Process) -> None:
        painter.start()
        painter.send({"kind": "paint", **order(self.store, job, self.memory)})
        if job.id in self._stopping:  # since it was begun
            painter.send({"kind": "stop", "job": job.id})
        written = time.monotonic()
        while True:
            message = painter.receive(1.0)
            if message is None:
                continue
            if message["kind"] == "failure":
                self._end(job, state="failed", error=message["error"])
                return
            if message["kind"] == "answer":
                self._finish(job, message)
                return
            self._hear(job, message)
            if time.monotonic() - written > WRITTEN:
                self.store.save(job)
                written = time.monotonic()

    def _hear(self, job: Job, message: dict[str, Any]) -> None:
        with self._change:
            if message["kind"] == "draft":
                job.preview, job.width, job.height = message["preview"], message["width"], message["height"]
            elif message["kind"] == "step":
                for name in ("step", "fraction", "remaining", "seconds", "losses", "preview"):
                    setattr(job, name, message[name])
                job.height, job.width = message["level"]
                before = [one for one in job.trace if one[0] < message["step"][0]]
                job.trace = _thinned([*before, [message["step"][0], message["loss"]]])
            else:
                return
        self.tell(job)

    def _finish(self, job: Job, answer: dict[str, Any]) -> None:
        if self.closing and answer["stopped"]:  # it goes on when a server comes again
            job.attempts = 0
            self.store.save(job)
            return
        found: dict[str, Any] = {
            name: answer[name] for name in ("preview", "width", "height", "seconds", "losses") if name in answer
        }
        state = "stopped" if answer["stopped"] else "failed" if answer["error"] else "done"
        if state == "done":
            found["fraction"] = 1.0
        notices = [*job.notices, *answer["notices"]]
        self._end(job, state=state, error=answer.get("error"), notices=list(dict.fromkeys(notices)), **found)

    def _end(self, job: Job, **values: Any) -> None:
        with self._change:
            self._stopping.discard(job.id)
            if job.id in self._removed:
                self._removed.discard(job.id)
                self._gone(job)
                return
            if self.closing and values["state"] == "failed":
                return
            self._set(job, remaining=None, attempts=0, **values)
            self._change.notify_all()

    def _set(self, job: Job, **values: Any) -> None:
        """Change a job, write it down and tell; what cannot be written is told all the same."""
        with self._change:
            for name, value in values.items():
                setattr(job, name, value)
            try:
                self.store.save(job)
            except OSError as error:
                said = f"it could not be written down: {error}"
                job.notices = list(dict.fromkeys([*job.notices, " ".join(said.split())]))
        self.tell(job)

    def _gone(self, job: Job) -> None:
        self.store.remove_job(job.id)
        key = job.id
        self.hub.tell("gone", key, lambda: {"id": key})

    def _left_over(self, job: Job) -> None:
        """A job that was painted when the server died."""
        if job.attempts >= TRIES:
            job.state, job.error = "failed", "the server ended twice while it was painted; use a smaller size"
        else:
            job.state = "queued"
        self.store.save(job)


def _kind(recipe: dict[str, Any]) -> tuple[Any, ...]:
    """What the time of a step depends on beside the size."""
    return tuple(str(recipe.get(name)) for name in ("style_loss", "net", "device", "precision", "optimizer"))


def _thinned(trace: list[list[float]]) -> list[list[float]]:
    """At most LONGEST_TRACE points, the first and the last among them."""
    return trace if len(trace) <= LONGEST_TRACE else [*trace[:-1:2], trace[-1]]
