"""`impasto resume`: go on with a run that was stopped."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from pydantic import TypeAdapter, ValidationError

from impasto.cli import paint
from impasto.cli.console import Console
from impasto.cli.flags import FILES, Quiet
from impasto.cli.paths import Paths
from impasto.errors import OptionError
from impasto.recipe import Recipe
from impasto.text import shown

__all__ = ["resume"]


def resume(
    file: Annotated[
        Path,
        Parameter(
            name="FILE",
            help="The checkpoint of the run, RESULT.checkpoint unless another was named; it knows all pictures.",
        ),
    ],
    /,
    *,
    overwrite: Annotated[
        bool,
        Parameter(group=FILES, negative=(), show_default=False, help="Replace a result that has come to be there."),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Go on with a run that was stopped, as if it had not been: on the CPU, the result is the same to the last bit."""
    from impasto.paint import checkpoint

    found = checkpoint.read(file)
    command, folder = found.said.get("command"), found.said.get("folder")
    if not isinstance(command, dict) or not isinstance(folder, str):
        raise OptionError(f"{shown(file)}: was not written by this command; give it to the program that did")
    try:
        paths = TypeAdapter(Paths).validate_python(
            {
                **command,
                "checkpoint": file.absolute(),
                "overwrite": overwrite or command.get("overwrite") is True,
                "origin": {},
                "ours": (),
            }
        )
        recipe = Recipe.from_text(json.dumps(found.about["recipe"]), shown(file))
    except (ValidationError, KeyError, TypeError) as error:
        raise OptionError(f"{shown(file)}: is damaged ({' '.join(str(error).split())[:100]}); begin anew") from None
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(contextlib.chdir(folder))
        except (OSError, ValueError):
            raise OptionError(
                f"{shown(file)}: the folder {shown(folder)}, where the run began, is not there any more; give the same"
                f" command where the pictures are, with --checkpoint {shown(file)}"
            ) from None
        paint.run(paths, recipe, Console(quiet=quiet))
