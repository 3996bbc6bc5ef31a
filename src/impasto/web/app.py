"""The routes: HTTP in, HTTP out. What they do stands in studio.py; who may come in, in safety.py."""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException as AnyHTTPException
from starlette.requests import ClientDisconnect

from impasto._version import __version__
from impasto.errors import Failure, ImageReadError, ImpastoError, MemoryShortError, OptionError, OutputError
from impasto.text import shown
from impasto.web import commands, wishes
from impasto.web.incoming import Refusal, accepted, arrive
from impasto.web.records import Job
from impasto.web.safety import Keys, Safety
from impasto.web.store import name_given, plain_file
from impasto.web.studio import FullError, Studio
from impasto.web.wishes import JobBody, SweepBody

__all__ = ["application", "routes"]

STATIC = Path(__file__).parent / "static"
LONGEST = 500  # characters of an error
FOREVER = "private, max-age=31536000, immutable"
STATUS = {ImageReadError: 415, OptionError: 400, MemoryShortError: 422, OutputError: 507, FullError: 429}


def application(studio: Studio, keys: Keys, host: str, port: int) -> Safety:
    """The whole server for a host and a port."""
    return Safety(routes(studio), keys, host, port)


def routes(studio: Studio) -> FastAPI:
    """All that can be asked for, once somebody has been let in."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        studio.hub.bind()
        studio.start()
        yield
        await run_in_threadpool(studio.close)

    app = FastAPI(
        title="impasto",
        version=__version__,
        lifespan=life,
        docs_url=None,  # its page fetches scripts from elsewhere
        redoc_url=None,
        openapi_url="/api/openapi.json",
        responses={400: {"description": "Something in the request is wrong; error says what."}},
    )
    _pages(app, studio)
    _pictures(app, studio)
    _jobs(app, studio)
    _errors(app)
    return app


def _pages(app: FastAPI, studio: Studio) -> None:
    @app.get("/", include_in_schema=False)
    def index() -> Response:
        return _static("index.html")

    @app.get("/static/{name:path}", include_in_schema=False)
    def static(name: str) -> Response:
        return _static(name)

    @app.get("/api/status")
    def status() -> dict[str, Any]:
        """The version, how many jobs wait, and the processes by what they do, null for one that is not there."""
        processes = {"reader": studio.reader.pid, **studio.queue.painters()}
        return {"version": __version__, "waiting": studio.queue.waiting(), "processes": processes}

    @app.get("/api/schema")
    def schema() -> dict[str, Any]:
        """All options: their groups, help, kinds, limits and defaults."""
        return wishes.schema()


def _pictures(app: FastAPI, studio: Studio) -> None:
    @app.put("/api/pictures", status_code=201, responses={408: {}, 413: {}, 415: {}, 507: {}})
    async def take_in(request: Request) -> Any:
        """Take in a picture: its file is the body, its name in X-Name, percent-encoded."""
        place = await run_in_threadpool(studio.store.arriving)
        try:
            accepted(request)
            await arrive(request, place / "original")
        except HTTPException as error:
            await run_in_threadpool(studio.discard, place)
            return Refusal({"error": error.detail}, error.status_code)
        except ClientDisconnect:
            await run_in_threadpool(studio.discard, place)
            return Response(status_code=400)
        name = name_given(unquote(request.headers.get("x-name", ""), errors="replace"))
        kind = "mask" if request.headers.get("x-kind") == "mask" else "picture"
        return JSONResponse(await run_in_threadpool(studio.take_in, place, name, kind), 201)

    @app.get("/api/pictures")
    def pictures() -> list[dict[str, Any]]:
        """All pictures that were taken in, newest first."""
        return studio.pictures()

    @app.get("/api/pictures/{key}/thumbnail", response_class=FileResponse, responses={404: {}})
    def thumbnail(key: str) -> FileResponse:
        """At most 256 px, WebP."""
        return FileResponse(studio.view(key, 0), media_type="image/webp", headers={"cache-control": FOREVER})

    @app.get("/api/pictures/{key}/view", response_class=FileResponse, responses={404: {}, 415: {}})
    def view(key: str, side: int = Query(1024, ge=1, le=100_000)) -> FileResponse:
        """With a longer side of about so many pixels, WebP."""
        return FileResponse(studio.view(key, side), media_type="image/webp", headers={"cache-control": FOREVER})

    @app.delete("/api/pictures/{key}", status_code=204, responses={404: {}})
    def remove(key: str) -> None:
        """Forget a picture."""
        studio.store.pictures[key]
        studio.remove_picture(key)


def _jobs(app: FastAPI, studio: Studio) -> None:
    def found(key: str) -> Job:
        return studio.store.jobs[key]

    @app.post("/api/jobs", status_code=201, responses={422: {}, 429: {}})
    def begin(body: JobBody) -> dict[str, Any]:
        """Let a picture be painted, as soon as those before it are."""
        return studio.begin(body).told()

    @app.post("/api/estimate", responses={422: {}})
    def estimate(body: JobBody) -> dict[str, Any]:
        """What a job would take: bytes of memory, and seconds, 0 where that is not known yet."""
        told = studio.estimate(body)[1]
        return {name: told[name] for name in ("memory", "seconds", "width", "height")}

    @app.get("/api/jobs")
    def jobs() -> list[dict[str, Any]]:
        """All jobs, newest first."""
        return [job.told() for job in sorted(studio.store.jobs.values(), key=lambda one: -one.number)]

    @app.get("/api/jobs/{key}", responses={404: {}})
    def job(key: str) -> dict[str, Any]:
        """One job."""
        return found(key).told()

    @app.post("/api/jobs/{key}/stop", responses={404: {}})
    def stop(key: str) -> dict[str, Any]:
        """End it after the step in work; the best picture so far is kept."""
        studio.queue.stop(found(key))
        return found(key).told()

    @app.post("/api/jobs/{key}/continue", responses={404: {}})
    def go_on(key: str) -> dict[str, Any]:
        """Go on where it was stopped."""
        studio.queue.go_on(found(key))
        return found(key).told()

    @app.delete("/api/jobs/{key}", status_code=204, responses={404: {}})
    def remove(key: str) -> None:
        """Forget a job and its picture."""
        studio.queue.remove(found(key))

    @app.get("/api/jobs/{key}/preview", response_class=FileResponse, responses={404: {}})
    def preview(key: str, v: int = Query(0, ge=0, description="The version, so that it may be kept.")) -> FileResponse:
        """The newest picture of it, WebP of at most 1536 px."""
        keep = FOREVER if v and v == found(key).preview else "no-store"
        return FileResponse(studio.preview(found(key)), media_type="image/webp", headers={"cache-control": keep})

    @app.get("/api/jobs/{key}/picture", response_class=FileResponse, responses={404: {}})
    def picture(key: str, form: str = Query("png", alias="format", max_length=10)) -> FileResponse:
        """Its picture to take away: png and tif with the recipe, jpg, webp."""
        path, name = studio.picture(found(key), form)
        kind = mimetypes.types_map.get(path.suffix, "image/webp")
        return FileResponse(path, media_type=kind, filename=name, headers={"cache-control": "no-store"})

    @app.get("/api/jobs/{key}/command", responses={404: {}})
    def command(key: str) -> dict[str, str]:
        """The same without the page: a command, Python, and a recipe's file."""
        return commands.written(studio.store, found(key))

    @app.post("/api/sweeps", status_code=201, responses={422: {}, 429: {}})
    def sweep(body: SweepBody) -> dict[str, Any]:
        """Let every combination of some values be painted."""
        return studio.sweep(body)

    @app.get("/api/sweeps/{key}", responses={404: {}})
    def one_sweep(key: str) -> dict[str, Any]:
        """The jobs of a sweep, rows first."""
        return studio.store.sweeps[key]

    @app.get("/api/events", response_class=StreamingResponse, responses={503: {}})
    async def events() -> Response:
        """What changes, as it changes: job, picture, gone."""
        if studio.hub.full:
            return JSONResponse({"error": "too many pages are open; close one"}, 503)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(studio.hub.listen(), media_type="text/event-stream", headers=headers)


def _errors(app: FastAPI) -> None:
    """Every error is one line."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
        headers = {"retry-after": "30"} if status == 429 else None
        return _line(status, str(error), headers)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        return _line(400, f"{place}: {first['msg']}" if place else str(first["msg"]))

    async def missing(_: Request, error: Exception) -> JSONResponse:
        return _line(404, "there is nothing of this name here")

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, AnyHTTPException)
        return _line(error.status_code, str(error.detail), dict(error.headers or {}))

    async def bug(_: Request, error: Exception) -> JSONResponse:
        return _line(500, Failure.of(error).message)

    for kind, handler in (
        (ImpastoError, known),
        (RequestValidationError, invalid),
        (KeyError, missing),
        (AnyHTTPException, http),
        (Exception, bug),
    ):
        app.add_exception_handler(kind, handler)


def _line(status: int, text: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": shown(" ".join(text.split()))[:LONGEST]}, status, headers)


def _static(name: str) -> Response:
    """A file of the page: one of those that are there, and nothing else."""
    there = {path.relative_to(STATIC).as_posix(): path for path in STATIC.rglob("*")}
    path = there.get(name)
    if path is None or not plain_file(path):
        raise HTTPException(404, "there is nothing of this name here")
    kind = {".js": "text/javascript", ".webmanifest": "application/manifest+json"}.get(path.suffix)
    return FileResponse(path, media_type=kind, headers={"cache-control": "no-cache"})
