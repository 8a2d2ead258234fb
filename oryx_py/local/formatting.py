"""Formatting a server's data folder once, by the server's own tool."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from oryx_py.errors import Transient, UserError

__all__ = ["format_aside", "is_formatted"]


def is_formatted(data: Path, mark: str, what: str) -> bool:
    """Say whether a data folder is formatted, by the file ``mark`` in it.

    Raises:
        UserError: it has something else than formatted ``what``.
    """
    if (data / mark).is_file():
        return True
    if data.exists() and any(data.iterdir()):
        raise UserError(f"{data} holds no formatted {what} ({Path(mark).name} is missing): restore it or move it away")
    return False


def format_aside(
    command: Sequence[str], data: Path, fresh: Path, *, timeout_s: float, failure: type[Transient]
) -> None:
    """Run the tool, which writes several files into ``fresh``; a rename to ``data`` makes the result count.

    Killed before that, the next start begins afresh.

    Raises:
        Transient: ``failure``, where the tool failed.
    """
    for old in (fresh, data):
        shutil.rmtree(old, ignore_errors=True)
    try:
        run = subprocess.run(command, cwd=data.parent, capture_output=True, text=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise failure(f"{data} could not be formatted within {timeout_s:.0f} s") from error
    if run.returncode != 0:
        raise failure(f"{data} could not be formatted:\n{(run.stdout + run.stderr).strip()[-2000:]}")
    fresh.rename(data)
