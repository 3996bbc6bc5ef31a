"""The entry point: `impasto` and `python -m impasto`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from impasto._version import __version__

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; see errors.py for what each means."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:  # answered before anything is imported
        try:
            print(f"impasto {__version__}", flush=True)
            return 0
        except OSError as error:
            from impasto.cli.app import report

            return report(error, arguments)
    from impasto.cli.app import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
