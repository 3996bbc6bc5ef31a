"""Fetching a known network once: found where it may lie, or downloaded, checked, and put in the cache folder.

Imports no torch.
"""

from __future__ import annotations

import logging
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from impasto.errors import WeightsError
from impasto.files import Blob
from impasto.network.weights.known import KNOWN, MISSING, Known, cache_folder, contents, places, split
from impasto.text import nearest, shown, switched_on

__all__ = ["MAX_BYTES", "Progress", "fetch", "obtain", "read_network"]

Progress = Callable[[int, int], None]  # bytes so far, bytes in all
MAX_BYTES = 1 << 30  # of a file of weights; VGG-19 with all its classifier has 575 MB
RETRIES = 2  # after the first attempt, with pooch's pauses of one and two seconds
TIMEOUT = (10, 30)  # seconds to connect, seconds without a byte
PATIENCE = 30  # seconds after which a server is given up
SLOWEST = 5_000  # whose mean speed, in bytes a second, is below this
CHUNK = 1 << 18  # bytes
PARTIAL = ".impasto-partial-"  # folders of downloads under way, inside the cache folder
STALE = 86_400  # seconds after which such a folder belongs to a killed process
LOOPBACK = "127.0.0.1"


def fetch(name: str = "vgg19", progress: Progress | None = None) -> Path:
    """Path of a known network's file with the right checksum, downloaded first where this machine has none.

    `progress` is called with the bytes so far and the bytes in all. IMPASTO_OFFLINE=1 opens no connection.
    Raises WeightsError for an unknown name, a download that fails and a cache folder that cannot be written.
    """
    return obtain(name, progress)[0]


def obtain(name: str, progress: Progress | None = None) -> tuple[Path, tuple[str, ...]]:
    """Like `fetch`, with the notices for the user: each names a file that was found but not used, and why."""
    blob, notices = _obtained(name, progress)
    return Path(blob.name), notices


def read_network(net: str, progress: Progress | None = None) -> tuple[Blob, tuple[str, ...]]:
    """The file of a network, known by name or `PATH[@FORM]`, as bytes, its form behind its name; and the notices.

    Raises WeightsError as `fetch` does, and for whatever is not a regular file of bearable size.
    """
    if net in KNOWN:
        return _obtained(net, progress)
    path, form = split(net)
    where = shown(path)
    try:
        about = Path(path).stat()
        if not stat.S_ISREG(about.st_mode):
            raise WeightsError(f"{where}: not a regular file; expected a file of VGG-19 weights")
        if about.st_size > MAX_BYTES:
            raise WeightsError(f"{where}: has {about.st_size} bytes, more than any VGG-19; use another file")
        return Blob.of(net if form else path, Path(path).read_bytes()), ()
    except FileNotFoundError:
        raise WeightsError(f"{where}: no such file; give the path of a file, or {' or '.join(KNOWN)}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{where}: cannot be read ({reason}); give a file of VGG-19 weights that you may read"
        ) from error


def _obtained(name: str, progress: Progress | None) -> tuple[Blob, tuple[str, ...]]:
    if name not in KNOWN:
        raise WeightsError(f"no network {shown(name)!r} is known; did you mean {nearest(name, KNOWN)}?")
    known = KNOWN[name]
    notices: list[str] = []
    for path in places(known):
        blob, wrong = contents(path, known)
        if wrong is None:
            return blob, tuple(notices)
        if wrong != MISSING:
            notices.append(f"{shown(path)} {wrong} and was not used")
    if not known.url:
        raise WeightsError(f"{'; '.join(notices) or f'{known.file_name} {MISSING}'}; install impasto again")
    target = cache_folder() / known.file_name
    if switched_on("IMPASTO_OFFLINE"):
        found = "; ".join(notices) or f"{shown(target)} {MISSING}"
        raise WeightsError(
            f"{found}, and IMPASTO_OFFLINE is set; get {known.url} elsewhere and put it at {shown(target)}"
        )
    try:
        _download(known, target, progress)
    except WeightsError as error:
        raise WeightsError("; ".join([*notices, str(error)])) from error
    return contents(target, known)[0], tuple(f"{notice}; {shown(target)} was fetched" for notice in notices)


def _download(known: Known, target: Path, progress: Progress | None) -> None:
    import pooch
    import requests

    remedy = f"put the file from {known.url} at {shown(target)}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        # A folder of our own: what a killed process leaves is recognised, and the last step is one atomic rename.
        with (
            tempfile.TemporaryDirectory(prefix=PARTIAL, dir=target.parent, ignore_cleanup_errors=True) as partial,
            _quiet(pooch.get_logger()),
        ):
            store = pooch.create(
                path=partial,
                base_url="",
                registry={known.file_name: known.checksum},
                urls={known.file_name: known.url},
                retry_if_failed=RETRIES,
            )
            came = Path(store.fetch(known.file_name, downloader=_downloader(known, progress)))
            with suppress(OSError):  # some network drives know no modes
                came.chmod(0o644)  # temporary files are private, a cache may be shared
            came.replace(target)
    except (requests.RequestException, ValueError) as error:
        raise WeightsError(
            f"{known.file_name} could not be downloaded: {_reason(error)}; try again later, or {remedy} yourself"
        ) from error
    except OSError as error:
        raise WeightsError(
            f"cannot write {shown(target)} ({error.strerror or error}); set IMPASTO_CACHE to a folder with "
            f"{known.size // 1_000_000 + 1} MB free that you may write, or {remedy} yourself"
        ) from error


def _downloader(known: Known, progress: Progress | None) -> Callable[[str, str, object], None]:
    """What pooch calls to bring one URL to one file; pooch repeats it and checks the result."""
    import requests
    import urllib3

    # Plain http is for a server on this machine that the table itself names, as the tests do.
    local = f"http://{LOOPBACK}:"
    allowed = ("https://", local) if known.url.startswith(local) else ("https://",)

    def only_https(url: str) -> None:
        if not url.startswith(allowed):
            raise WeightsError(
                f"{known.file_name} could not be downloaded: {known.url} leads to {shown(url)[:200]}, "
                "which is not https; try again later"
            )

    def on_response(response: requests.Response, **_: Any) -> None:
        if response.is_redirect:
            location = response.headers["location"]
            try:
                only_https(urljoin(response.url, location) if location.startswith("/") else location)
            except WeightsError:
                response.close()
                raise

    def download(url: str, output: str, _store: object) -> None:
        only_https(url)
        headers = {"Accept-Encoding": "identity"}
        with (
            requests.get(
                url, stream=True, timeout=TIMEOUT, headers=headers, hooks={"response": on_response}
            ) as response,
            Path(output).open("wb") as file,
        ):
            response.raise_for_status()
            # read1 hands over what has come so far, so that a slow drip is noticed; urllib3 1 has only read.
            read = getattr(response.raw, "read1", response.raw.read)
            start, done = time.monotonic(), 0
            while True:
                try:
                    chunk = read(CHUNK, decode_content=False)
                except urllib3.exceptions.ReadTimeoutError as error:
                    raise requests.Timeout(f"nothing more after {done} bytes") from error
                except (urllib3.exceptions.HTTPError, OSError) as error:
                    raise requests.ConnectionError(f"broken off after {done} bytes") from error
                if not chunk:
                    break
                file.write(chunk)
                done += len(chunk)
                if done > known.size:
                    raise ValueError(f"more than {known.size} bytes")
                seconds = time.monotonic() - start
                if seconds > PATIENCE and done < SLOWEST * seconds:
                    raise requests.Timeout(f"{done} bytes in {seconds:.0f} seconds")
                if progress is not None:
                    progress(done, known.size)

    return download


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "the server is too slow"
    if isinstance(error, requests.ConnectionError):
        return "there is no connection, or it broke off"
    if isinstance(error, requests.RequestException):
        return f"the server misbehaves ({type(error).__name__})"
    return "what came has the wrong size or checksum"


def _sweep(folder: Path) -> None:
    """Remove what killed downloads have left behind."""
    for path in folder.glob(f"{PARTIAL}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > STALE:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
