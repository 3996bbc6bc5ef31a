"""Many jobs on Ray: on this machine or on a cluster, without a shared file system.

Files travel as bytes, each put into Ray's object store once; results come back the same way. Which job runs where and
when is Ray's business. Ray is imported when it is asked for, not before.
"""

from __future__ import annotations

import functools
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from impasto.errors import Failure, OptionError, RunError
from impasto.files import Blob
from impasto.text import shown
from impasto.work.interrupts import Interrupts
from impasto.work.job import Job
from impasto.work.worker import Answer, attempt

if TYPE_CHECKING:
    from impasto.paint.targets import Targets
    from impasto.work.jobs import Carry

__all__ = ["start", "work"]

INSTALL = 'pip install "ray>=2.40"'
LOCAL = "local"  # the address that means: start Ray on this machine
RETRIES = 1  # of a job whose worker was killed
STORED = 2**30  # bytes of files kept in the object store for jobs to come; more are put again when needed
AHEAD = 8  # jobs handed over beyond those that can run at once, so that no worker waits
SLOW_START = "timed out during startup"  # in what Ray raises where its processes were not there in time
PATIENCE = 1.0  # s between looks at the signals
# What Ray started by us is told: no reports over the network; a job out of memory is retried once, not for ever.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_task_oom_retries": str(RETRIES)}


@contextmanager
def start(address: str = LOCAL, *, cpus_per_job: int = 1, gpus_per_job: float | None = None) -> Iterator[Carry]:
    """Connect to the Ray at `address`, or start one here, and give the `Carry` for `jobs.run`; ends what it began.

    Without `gpus_per_job` a job takes one GPU where the cluster has any. A Ray that this process is connected to
    already is used as it is. What Ray would print on stdout is dropped. Raises OptionError where Ray is missing or the
    wishes are impossible, RunError where there is no Ray at the address.
    """
    if cpus_per_job < 1:
        raise OptionError(f"--cpus-per-job: {cpus_per_job} is not a number of CPUs; use 1 or more")
    if gpus_per_job is not None and not 0 <= gpus_per_job < float("inf"):
        raise OptionError(f"--gpus-per-job: {gpus_per_job} is not a number of GPUs; use 0 or more, as in 0.5")
    ray = _ray()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
        ours = not ray.is_initialized()
        if ours:
            _connect(ray, address)
        try:
            with Interrupts():  # Ray has put a handler of its own for SIGTERM
                limits = _limits(ray, ours and address == LOCAL, cpus_per_job, gpus_per_job)
                yield functools.partial(_carried, ray, limits)
        finally:
            if ours:
                ray.shutdown()


def work(job: Job, threads: int, *parts: bytes) -> Answer:
    """One job in a worker of Ray: a packed job without its bytes, and these in the order of `Job.blobs`."""
    import torch

    torch.set_num_threads(threads)
    return attempt(job.filled(parts), _unheard, _targets())


@dataclass(frozen=True)
class _Limits:
    """What a job takes, and how many run at once as far as can be told; `memory` in GiB, 0 where it is open."""

    cpus: int
    gpus: float
    at_once: int
    memory: float


def _ray() -> Any:
    """The module `ray`, told to keep quiet."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise OptionError(f"--ray: Ray is not installed; {INSTALL}") from None
    return ray


def _connect(ray: Any, address: str) -> None:
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    options: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    start = functools.partial(ray.init, address=address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
    try:
        try:
            start()
        except Exception as error:
            if address != LOCAL or SLOW_START not in str(error):
                raise
            ray.shutdown()  # a busy machine: Ray waits half a minute for its own processes, which cannot be set
            start()
    except Exception as error:  # Ray raises bare ones too
        why = " ".join(shown(str(error).strip().partition("\n")[0]).split())[:200] or type(error).__name__
        if address == LOCAL:
            raise RunError(f"--ray: Ray could not be started ({why})") from None
        raise RunError(
            f"--ray {shown(address)}: no Ray answers there ({why}); see ray status on that machine"
        ) from None


def _limits(ray: Any, alone: bool, cpus: int, gpus: float | None) -> _Limits:
    """What jobs take of a cluster; on a Ray started here, `alone`, what it does not have is refused."""
    resources = ray.cluster_resources()
    there = {"CPU": resources.get("CPU", 0.0), "GPU": resources.get("GPU", 0.0)}
    share = (1.0 if there["GPU"] >= 1 else 0.0) if gpus is None else gpus
    if alone:
        for kind, wanted in (("CPU", float(cpus)), ("GPU", share)):
            if wanted > there[kind]:
                raise OptionError(
                    f"--{kind.lower()}s-per-job: {wanted:g} are more than the {there[kind]:g} of this machine"
                )
    at_once = max(1, int(there["CPU"] // cpus))
    if share:
        at_once = max(1, min(at_once, int(there["GPU"] / share)))
    return _Limits(cpus, share, at_once, _memory(at_once) if alone and not share else 0.0)


def _memory(at_once: int) -> float:
    """GiB for each of several jobs side by side on this machine; each by itself would take most of what is free."""
    import torch

    from impasto.paint import memory

    return memory.available(torch.device("cpu")) / memory.GIB / at_once


def _carried(
    ray: Any, limits: _Limits, jobs: Iterable[tuple[int, Job]], tell: Callable[[int, float], object]
) -> Generator[tuple[int, Answer], None, None]:
    """Hand numbered jobs to Ray and give the answers as they come; `tell` hears nothing before the end of a job."""
    remote = ray.remote(max_retries=RETRIES, num_cpus=limits.cpus, num_gpus=limits.gpus)(work)
    store = _Store(ray)
    waiting = iter(jobs)
    running: dict[Any, int] = {}
    try:
        while True:
            while len(running) < limits.at_once + AHEAD:
                following = next(waiting, None)
                if following is None:
                    break
                number, job = following
                bare = replace(job.filled(b"" for _ in job.blobs), memory=limits.memory, checkpoint="")
                running[remote.remote(bare, limits.cpus, *store.put(job.blobs))] = number
                del job, following
            if not running:
                return
            ready, _ = ray.wait(list(running), timeout=PATIENCE)
            for reference in ready:
                number = running.pop(reference)
                answer = _answer(ray, reference)
                tell(number, 1.0)
                yield number, answer
    finally:
        for reference in running:
            with suppress(Exception):  # the jobs are given up, whatever Ray has to say
                ray.cancel(reference, force=True)


class _Store:
    """Files in Ray's object store, by their hash, the least used dropped first."""

    def __init__(self, ray: Any) -> None:
        self._ray = ray
        self._kept: OrderedDict[str, tuple[Any, int]] = OrderedDict()

    def put(self, blobs: Sequence[Blob]) -> list[Any]:
        """References to the bytes of files."""
        references = []
        for blob in blobs:
            if blob.sha256 not in self._kept:
                self._kept[blob.sha256] = self._ray.put(blob.data), len(blob.data)
            self._kept.move_to_end(blob.sha256)
            references.append(self._kept[blob.sha256][0])
        while sum(size for _, size in self._kept.values()) > STORED:
            self._kept.popitem(last=False)
        return references


def _answer(ray: Any, reference: Any) -> Answer:
    """What became of a job: its result, or why there is none."""
    errors = ray.exceptions
    try:
        answer: Answer = ray.get(reference)
        return answer
    except errors.OutOfMemoryError:
        kind = "memory"
        why = "not enough memory on the worker; use a smaller --size, or --cpus-per-job for fewer jobs at once"
    except (errors.WorkerCrashedError, errors.NodeDiedError):
        kind = "run"
        why = "the worker was killed, and once more when the job was tried again; perhaps for want of memory"
    except errors.RayError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        kind, what = "run", shown(lines[-1] if lines else "")[:200] or type(error).__name__
        why = f"the worker could not do it ({what}); every machine needs this version of impasto"
    return Answer(failure=Failure(kind, why))


@functools.cache
def _targets() -> Targets:
    """What this worker keeps from one job to the next."""
    from impasto.paint.targets import Targets

    return Targets()


def _unheard(share: float) -> None:
    """Steps are not reported from a worker: the bar counts finished jobs."""
