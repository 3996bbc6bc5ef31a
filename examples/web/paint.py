"""Paint over HTTP: a photo and paintings go to a running `impasto web`, the picture comes back.

    impasto web --no-open                       # prints http://127.0.0.1:PORT/?token=TOKEN
    python examples/web/paint.py 'http://127.0.0.1:PORT/?token=TOKEN' photo.jpg painting.jpg out.png style_weight=10

Needs httpx (pip install httpx) and nothing of impasto, so that it may run anywhere that reaches the server. paint.sh
beside it is the same with curl.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from urllib.parse import quote

import httpx


def main(address: str, photo: str, *rest: str) -> None:
    """Upload, begin, wait, download."""
    options = {name: _value(text) for name, _, text in (word.partition("=") for word in rest if "=" in word)}
    *paintings, out = [word for word in rest if "=" not in word]
    base, _, token = address.partition("/?token=")
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=120) as client:
        content, *styles = [_put(client, Path(name)) for name in (photo, *paintings)]
        job = _told(client.post("/api/jobs", json={"content": content, "styles": styles, "recipe": options}))
        print(f"about {job['memory'] / 2**30:.1f} GiB of memory", file=sys.stderr)
        while job["state"] in ("queued", "running"):
            time.sleep(0.5)
            job = _told(client.get(f"/api/jobs/{job['id']}"))
            print(f"\r{job['state']} {job['fraction']:4.0%}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        if job["error"]:
            sys.exit(job["error"])
        form = Path(out).suffix.lstrip(".") or "png"
        answer = client.get(f"/api/jobs/{job['id']}/picture", params={"format": form})
        if answer.is_error:
            _told(answer)
        Path(out).write_bytes(answer.content)


def _put(client: httpx.Client, path: Path) -> str:
    """Send a picture as it is, and return its id."""
    headers = {"X-Name": quote(path.name), "Content-Type": "application/octet-stream"}
    with path.open("rb") as file:
        told = _told(client.put("/api/pictures", content=file, headers=headers))
    for notice in told["notices"]:
        print(f"note: {notice}", file=sys.stderr)
    return str(told["id"])


def _told(answer: httpx.Response) -> dict:
    """What the server says; what is wrong is one line."""
    told = answer.json()
    if answer.is_error:
        sys.exit(told["error"])
    return told


def _value(text: str) -> object:
    """`10`, `true` and `["gram"]` as JSON has them; other words as they are."""
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
