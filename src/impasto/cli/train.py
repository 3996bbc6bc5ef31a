"""`impasto train`: a model for one painting or a few; `impasto models`: those that there are."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from impasto import files
from impasto.cli.console import Console
from impasto.cli.flags import FILES, Quiet, one
from impasto.errors import ImageReadError, OptionError, OutputError
from impasto.text import duration, shown
from impasto.work.interrupts import Interrupted, Interrupts

if TYPE_CHECKING:
    from torch import Tensor

    from impasto.train.run import Training

__all__ = ["list_models", "train"]

LONGEST = 24 * 60  # minutes
MOST_PHOTOS = 5000
SAVED = 60.0  # seconds between two checkpoints and previews


def train(
    *painting: Annotated[str, Parameter(help="The painting to learn, or several of them.")],
    output: Annotated[Path, Parameter(name=("--output", "-o"), group=FILES, help="The model to write: NAME.impasto.")],
    photos: Annotated[
        Path | None,
        Parameter(group=FILES, help="Folder of photos to learn on, hundreds if you can; else a few that are here."),
    ] = None,
    minutes: Annotated[float, Parameter(group=FILES, converter=one, help="How long to learn.")] = 15.0,
    resume: Annotated[
        bool, Parameter(group=FILES, negative=(), show_default=False, help="Go on from NAME.impasto.checkpoint.")
    ] = False,
    seed: Annotated[int, Parameter(group=FILES, converter=one, help="Seed of the crops and the noise.")] = 0,
    overwrite: Annotated[
        bool, Parameter(group=FILES, negative=(), show_default=False, help="Replace a model that exists.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Fit a model to paintings, for pictures in one pass: impasto PHOTO NAME.impasto --instant -o out.png."""
    from impasto.onepass.models import SUFFIX

    if not painting:
        raise OptionError("at least one PAINTING and -o NAME.impasto are needed; see impasto train --help")
    if output.suffix.lower() != SUFFIX:
        raise OutputError(f"{shown(output)}: a model's name ends in {SUFFIX}; use {shown(output.with_suffix(SUFFIX))}")
    if not 0 < minutes <= LONGEST:
        raise OptionError(f"--minutes: {minutes:g} is not a time to learn; use more than 0, at most {LONGEST}")
    files.check_place(output, overwrite=overwrite, inputs=painting)
    checkpoint, preview = output.with_name(f"{output.name}.checkpoint"), output.with_suffix(".preview.png")
    if checkpoint.exists() and not (resume or overwrite):
        raise OptionError(
            f"{shown(checkpoint)}: is of a training that was stopped; --resume goes on, --overwrite begins anew"
        )
    from impasto.paint.memory import keep_buffers
    from impasto.train.run import Training

    keep_buffers(0, 1)  # a step in two thirds of the time
    with Interrupts() as interrupts, Console(quiet=quiet) as console:
        training = Training(painting, _photos(photos, console), minutes=minutes, seed=seed)
        if resume:
            _restore(training, checkpoint)
        console.line(f"learning {', '.join(map(shown, painting))} for {duration(training.seconds - training.taken)}")
        interrupts.patience(lambda: console.line("stopping after this step; the best so far is kept"))
        stopped = _learn(training, checkpoint, preview, console, interrupts)
        files.write(output, training.model())
        for path in (preview, *[checkpoint] * (not stopped)):
            with suppress(OSError):
                path.unlink()
    if stopped:
        raise Interrupted(
            f"interrupted after {duration(training.taken)}; the best so far is in {shown(output)};"
            " the same command with --resume --overwrite goes on"
        )
    console.line(f"learnt {shown(output)} ({training.fitter.done} steps; loss {training.best:.3f})")


def _learn(training: Training, checkpoint: Path, preview: Path, console: Console, interrupts: Interrupts) -> bool:
    """Take all steps; whether they were interrupted."""
    from impasto.pictures.encode import write

    saved, told = training.taken, -1
    for turn in training.steps():
        tenth = int(10 * turn.fraction)
        if tenth != told:
            told = tenth
            left = duration(training.seconds * (1 - turn.fraction))
            console.line(
                f"{turn.fraction:.0%}: step {turn.step}, content {turn.losses.content:.3f},"
                f" style {turn.losses.style:.3f}, loss {turn.best:.3f} ({left} left)"
            )
        if interrupts.asked:
            files.write(checkpoint, _bytes(training.state()))
            return True
        if training.taken - saved >= SAVED:
            saved = training.taken
            files.write(checkpoint, _bytes(training.state()))
            write(preview, training.preview(), overwrite=True)
    return False


def _bytes(state: dict[str, Any]) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _restore(training: Training, checkpoint: Path) -> None:
    import torch

    try:
        state = torch.load(checkpoint, weights_only=True)
    except FileNotFoundError:
        raise OptionError(f"{shown(checkpoint)}: no such checkpoint; leave --resume out to begin") from None
    except Exception as error:  # torch raises anything on a damaged file
        raise OptionError(f"{shown(checkpoint)}: is damaged ({shown(error)[:80]}); --overwrite begins anew") from None
    try:
        training.restore(state)
    except OptionError as error:
        raise OptionError(f"{shown(checkpoint)}: {error}") from None
    except (KeyError, TypeError, RuntimeError, ValueError) as error:
        raise OptionError(f"{shown(checkpoint)}: is damaged ({shown(error)[:80]}); --overwrite begins anew") from None


def _photos(folder: Path | None, console: Console) -> list[Tensor]:
    """The photos to learn on; those of a folder that cannot be read are left out with a notice."""
    from impasto.train import photos
    from impasto.work.batch import find

    if folder is None:
        return photos.carried()
    found, unread = [], 0
    for path, _ in find([str(folder)], folder / "no results here")[:MOST_PHOTOS]:
        try:
            found.append(photos.opened(path))
        except ImageReadError as error:
            unread += 1
            if unread == 1:
                console.notices([f"{error}; it is left out"])
    if unread > 1:
        console.notices([f"{unread} pictures of {shown(folder)} cannot be read and are left out"])
    return found


def list_models() -> None:
    """List the models of the one-pass way: the one inside the package, and those in the user's folder."""
    from impasto.onepass import models

    embedded = models.embedded()
    print(f"{'instant':16} any painting; inside the package  (CC BY 4.0)")
    folder = models.folder()
    for path in sorted(folder.glob(f"*{models.SUFFIX}")) if folder.is_dir() else []:
        try:
            model = models.read(path)
        except Exception as error:
            print(f"{shown(path.stem):16} {shown(error)}")
            continue
        old = "" if model.net == embedded.net else "  (for another version of the network; train it again)"
        print(f"{shown(path.stem):16} {', '.join(one.name for one in model.paintings)}{old}")
    print(f"folder: {shown(folder)}")
