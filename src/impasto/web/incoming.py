"""Pictures on their way in: the body of a PUT, written to a file as it comes, counted and timed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse

__all__ = ["MOST_BYTES", "Refusal", "accepted", "arrive"]

MOST_BYTES = 512 * 2**20  # of one picture
PATIENCE = 20.0  # seconds from one piece to the next
LONGEST = 900.0  # seconds for all of them
LINGER = 2.0  # seconds in which the rest of what is refused is thrown away, so that the answer is seen


class Refusal(JSONResponse):
    """An answer before the body is here: said at once, and then the connection is closed."""

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer, then listen no longer than need be."""
        headers = [*self.raw_headers, (b"connection", b"close")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})

        async def drain() -> None:
            while (message := await receive())["type"] == "http.request" and message.get("more_body"):
                pass

        with suppress(TimeoutError):
            await asyncio.wait_for(drain(), LINGER)
        await send({"type": "http.response.body", "body": b""})


def accepted(request: Request) -> None:
    """Refuse what says of itself that it is no picture, or too large; raises HTTPException."""
    kind = request.headers.get("content-type", "application/octet-stream").partition(";")[0].strip().lower()
    if not (kind.startswith("image/") or kind == "application/octet-stream") or kind == "image/svg+xml":
        raise HTTPException(415, "only pictures are taken: image/… or application/octet-stream")
    length = request.headers.get("content-length", "0")
    if length.isdigit() and int(length) > MOST_BYTES:
        raise HTTPException(413, _too_long())


async def arrive(request: Request, path: Path) -> None:
    """Write the body to a new file; raises HTTPException for one that is too long or too slow, or for a full disk."""
    count, until = 0, time.monotonic() + LONGEST
    try:
        with path.open("xb") as file:
            async for piece in _pieces(request.stream(), until):
                count += len(piece)
                if count > MOST_BYTES:
                    raise HTTPException(413, _too_long())
                file.write(piece)
    except OSError as error:
        raise HTTPException(507, f"the picture cannot be kept ({error.strerror}); make room on the disk") from None
    if not count:
        raise HTTPException(400, "there is no picture in it (0 bytes)")


async def _pieces(stream: AsyncIterator[bytes], until: float) -> AsyncIterator[bytes]:
    pieces = aiter(stream)
    while True:
        left = min(PATIENCE, until - time.monotonic())
        try:
            yield await asyncio.wait_for(anext(pieces), max(0.0, left))
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise HTTPException(408, "the picture took too long to come; try again") from None


def _too_long() -> str:
    return f"the file is too large for a picture (at most {MOST_BYTES // 2**20} MiB)"
