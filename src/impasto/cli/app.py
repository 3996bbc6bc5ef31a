"""The command line. A command is a module here; what it does stands elsewhere.

Every failure is one line on stderr and an exit status (errors.py); IMPASTO_DEBUG=1 adds the traceback.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence

from cyclopts import App, CycloptsError, MissingArgumentError

from impasto._version import __version__
from impasto.cli import batch, demo, paint, resume, sweep, train, web, weights
from impasto.cli.console import say
from impasto.cli.flags import gather
from impasto.cli.streams import PIPE_CLOSED, STANDARD
from impasto.errors import NO_MEMORY, ImpastoError, MemoryShortError, OutputError, memory_short
from impasto.text import switched_on
from impasto.work.interrupts import Interrupts

__all__ = ["app", "report", "run"]

LOST = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EPIPE)  # what becomes of stdout
BUG, USAGE, INTERRUPTED = 1, 2, 130  # exit statuses beside those of errors.py

app = App(
    name="impasto",
    version=f"impasto {__version__}",
    help="Paint a photo in the style of one or several paintings, as in: impasto photo.jpg painting.jpg -o out.png",
    usage="Usage: impasto CONTENT STYLE [STYLE ...] -o RESULT [OPTIONS]\n       impasto COMMAND [OPTIONS]",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
weights_app = App(name="weights", help="List the networks known by name, and where they lie; or fetch one.")
app.default(paint.paint)
app.command(demo.demo)
app.command(resume.resume)
app.command(batch.batch)
app.command(sweep.sweep)
app.command(train.train)
app.command(train.list_models, name="models")
app.command(web.web)
app.command(weights.print_recipe, name="recipe")
app.command(weights_app)
weights_app.default(weights.list_weights)
weights_app.command(weights.fetch)


def run(arguments: Sequence[str]) -> int:
    """Carry out a command line and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name or message must not fail for want of a letter
            stream.reconfigure(errors="backslashreplace")
    try:
        with Interrupts():
            app(gather(arguments), exit_on_error=False, print_error=False)
            if sys.stdout is not None:
                sys.stdout.flush()
    except BaseException as error:
        return report(error, arguments)
    return 0


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Say what went wrong in one line and return the exit status."""
    if switched_on("IMPASTO_DEBUG"):
        traceback.print_exception(error)
    text = "; ".join([str(error), *getattr(error, "__notes__", ())])
    match error:
        case CycloptsError():
            text, status = _usage(error, arguments), USAGE
        case ImpastoError():
            status = error.exit_status
        case KeyboardInterrupt():
            text, status = text or "interrupted; nothing was saved", INTERRUPTED
        case OSError(errno=number, filename=None) if number in LOST:
            # Python must not try to write the rest once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if number == errno.EPIPE:  # whoever read our output has read enough
                return PIPE_CLOSED
            text = f"the output cannot be written ({error.strerror}); send it elsewhere"
            status = OutputError.exit_status
        case SystemExit():
            return error.code if isinstance(error.code, int) else BUG
        case _ if memory_short(error):
            text, status = NO_MEMORY, MemoryShortError.exit_status
        case _:
            text = f"this is a bug ({type(error).__name__}: {text}); please report it with what IMPASTO_DEBUG=1 prints"
            status = BUG
    say(f"impasto: {' '.join(text.split())}")
    return status


def _usage(error: CycloptsError, arguments: Sequence[str]) -> str:
    """What is wrong with the command line; cyclopts words a missing picture as a missing value."""
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        names = set(error.argument.names)
        if names & {"CONTENT", "--output"} and not names & set(arguments):
            return paint.NO_OUTPUT if "--output" in names and STANDARD in arguments else paint.MISSING
    return f"{str(error).rstrip('.')}; see impasto --help"
