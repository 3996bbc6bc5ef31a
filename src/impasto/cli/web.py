"""`impasto web`: the page, a studio in the browser that stays on this machine."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from impasto.cli.console import Console
from impasto.cli.flags import FILES, one
from impasto.errors import OptionError

__all__ = ["web"]

MISSING = "impasto web needs the extra web; run: pip install 'impasto[web]'"
MOST_PORT, MOST_MEMORY = 65_535, 65_536


def web(
    *,
    host: Annotated[
        str,
        Parameter(
            group=FILES,
            help="Where to listen; any other address than this machine's own lets others in, and asks for a password "
            "in IMPASTO_PASSWORD.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, Parameter(group=FILES, converter=one, help="Port to listen at; 0 takes a free one.")] = 0,
    no_open: Annotated[
        bool, Parameter(group=FILES, negative=(), show_default=False, help="Do not open the page in a browser.")
    ] = False,
    folder: Annotated[
        Path | None,
        Parameter(group=FILES, help="Where pictures and results are kept; by default in the user's data folder."),
    ] = None,
    max_memory: Annotated[
        float, Parameter(group=FILES, converter=one, help="GiB that a picture may take; 0: most of what is free.")
    ] = 0.0,
) -> None:
    """Open the page: drop a photo and paintings, watch, steer, and take the picture away."""
    if not 0 <= port <= MOST_PORT:
        raise OptionError(f"--port: {port} is no port; use 0 to {MOST_PORT}")
    if not 0 <= max_memory <= MOST_MEMORY:
        raise OptionError(f"--max-memory: {max_memory} is no number of GiB; use 0 to {MOST_MEMORY}")
    try:
        from impasto.web.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "impasto":
            raise
        raise OptionError(MISSING) from None
    console = Console()

    def opened(address: str, notes: list[str]) -> None:
        print(address, flush=True)
        console.notices(notes)
        console.line("the page is open as long as this runs; Ctrl-C ends it, and nothing is lost")
        if not no_open:
            import webbrowser

            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    serve(host, port, folder, max_memory, opened)
