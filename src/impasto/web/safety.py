"""Who may come in, and with how much: checked before a request is looked at.

A page of another site, open in the same browser, can send requests here and can let its name mean this machine. So
the Host must be ours, whatever changes something must come from our own page, and nobody gets anything without the
cookie that the printed address sets, or the token.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

__all__ = ["HEADERS", "MOST_BYTES", "Keys", "Safety"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 2**20  # of a body that is no picture
PATIENCE = 20.0  # seconds for such a body
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}
SAFE = ("GET", "HEAD")
DOOR = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>impasto</title><h1>impasto</h1><p>%s</p>%s</html>"""
KNOCK = "Open the address that <code>impasto web</code> printed, or <a href='/'>try again</a>."
FORM = """<form method="post" action="/login"><label>Password <input type="password" name="password" autofocus
autocomplete="current-password"></label> <button>Come in</button></form>"""


class Keys:
    """Who is let in: by the `token` of the printed address, by the `cookie` that it gives, or by the `password`."""

    def __init__(self, token: str, cookie: str, port: int, password: str = "") -> None:
        self.token, self.cookie, self.password = token, cookie, password
        self.name = f"impasto-{port}"  # cookies are the same for all ports of a machine

    def fits(self, given: str) -> bool:
        """Whether a token is ours, in the same time for all."""
        return _same(given, self.token)

    def opens(self, given: str) -> bool:
        """Whether a password is ours; there may be none."""
        return bool(self.password) and _same(given, self.password)

    def known(self, headers: dict[str, str]) -> bool:
        """Whether a request carries the cookie or the token."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.fits(token.strip())
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.name)
        except CookieError:
            return False
        return found is not None and _same(found.value, self.cookie)

    def set_cookie(self) -> str:
        """The header that lets a browser in."""
        return f"{self.name}={self.cookie}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000"


class Safety:
    """The door: an ASGI application around another. `host` and `port` are those that it listens at."""

    def __init__(self, app: App, keys: Keys, host: str, port: int) -> None:
        self.app, self.keys, self.host, self.port = app, keys, host, port
        self.local = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                return
            await self.app(scope, receive, send)
            return
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        method, path = scope["method"], scope["path"]

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(key.encode(), value.encode()) for key, value in HEADERS.items()]
                if path.startswith("/api") and not any(key == b"cache-control" for key, _ in message["headers"]):
                    own.append((b"cache-control", b"no-store"))
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        refused = self._refused(method, path, headers)
        if refused:
            await _say(answer, 403, {"error": refused})
        elif path == "/" and "token=" in scope.get("query_string", b"").decode("latin-1"):
            await self._by_token(scope, answer)
        elif path == "/login" and method == "POST":
            await self._by_password(receive, answer)
        elif not self.keys.known(headers):
            await self._outside(path, headers, answer)
        elif method in (*SAFE, "PUT"):  # a picture's bytes are counted where they are written
            await self.app(scope, receive, answer)
        else:
            await self._with_body(scope, receive, answer)

    async def _with_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on once its whole body is here, and not for longer than a body of ours takes."""
        try:
            body = await asyncio.wait_for(_whole(receive), PATIENCE)
        except TimeoutError:
            await _say(send, 408, {"error": "the request took too long to come"})
            return
        if body is None:
            await _say(send, 413, {"error": f"a request has at most {MOST_BYTES:,} bytes; pictures come by PUT"})
            return
        handed = False

        async def once() -> Message:
            nonlocal handed
            if handed:
                return await receive()
            handed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, once, send)

    def _refused(self, method: str, path: str, headers: dict[str, str]) -> str:
        """Why a request does not come from our page or from a program; empty where it may."""
        host = headers.get("host", "")
        if not self._ours(host):
            return "this address is not the server's; open the one that impasto web printed"
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is not None and origin.lower() != f"http://{host}".lower():
            return "another site may not ask for this"
        opened = method in SAFE and path == "/" and headers.get("sec-fetch-mode") == "navigate"
        if site is not None and site not in ("same-origin", "none") and not opened:
            return "another site may not ask for this"
        return ""

    def _ours(self, host: str) -> bool:
        """Whether a Host is this server: a name that another site has given to this machine is not."""
        name, _, port = host.rpartition(":") if host.rpartition(":")[2].isdigit() else (host, "", "80")
        name = name.strip("[]").lower().rstrip(".")
        if port != str(self.port):
            return False
        if is_loopback(name) or name == self.host:
            return True
        own = socket.gethostname().lower()
        return not self.local and (_is_address(name) or name in (own, f"{own}.local"))

    async def _by_token(self, scope: Scope, send: Send) -> None:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if self.keys.fits(given):
            await _let_in(send, self.keys)
        else:
            await _page(send, 401, "This address is of an earlier start. " + KNOCK)

    async def _by_password(self, receive: Receive, send: Send) -> None:
        body = await asyncio.wait_for(_whole(receive), PATIENCE)
        given = parse_qs((body or b"").decode("utf-8", "replace")).get("password", [""])[0]
        if self.keys.opens(given):
            await _let_in(send, self.keys)
        else:
            await asyncio.sleep(1)  # nobody tries a thousand
            await _page(send, 401, "That is not the password.", FORM)

    async def _outside(self, path: str, headers: dict[str, str], send: Send) -> None:
        if path == "/" and "text/html" in headers.get("accept", ""):
            await _page(send, 401, KNOCK, FORM if self.keys.password else "")
        else:
            await _say(send, 401, {"error": "not let in; open the address that impasto web printed, or send its token"})


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, seen from itself alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same(given: str, own: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), own.encode())


async def _whole(receive: Receive) -> bytes | None:
    """A body, None for one of more than MOST_BYTES, whose rest is not waited for."""
    parts, count, more = list[bytes](), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            break
        parts.append(message.get("body", b""))
        count, more = count + len(parts[-1]), message.get("more_body", False)
        if count > MOST_BYTES:
            return None
    return b"".join(parts)


async def _let_in(send: Send, keys: Keys) -> None:
    headers = [(b"location", b"/"), (b"set-cookie", keys.set_cookie().encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _page(send: Send, status: int, text: str, form: str = "") -> None:
    await _answer(send, status, (DOOR % (text, form)).encode(), "text/html; charset=utf-8")


async def _say(send: Send, status: int, value: object) -> None:
    await _answer(send, status, json.dumps(value).encode(), "application/json")


async def _answer(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
