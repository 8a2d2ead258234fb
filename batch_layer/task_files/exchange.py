"""Where tasks leave files to each other: a folder that all of them see, or any store that this project speaks to.

What both promise, and tests/unit/batch/test_exchange.py checks: a file appears at once and whole, in the place of one
of its name, so that a task that died, or runs twice, does no harm; and any part of it can be read by itself.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Exchange"]


class Exchange(Protocol):
    """Files by name, below one place; travels to the tasks, and threads may share it.

    Raises, from every method:
        StoreUnavailable: the place does not answer, or refuses; a task that is run again may help.
    """

    @property
    def gap_bytes(self) -> int:
        """What is sooner read and thrown away than left out by another request."""

    def below(self, name: str) -> "Exchange":
        """The files in a directory of this name."""

    def write(self, name: str, parts: Iterable[NDArray[np.generic]]) -> int:
        """Write the bytes of contiguous arrays one after the other, in bounded memory; returns how many."""

    def read(self, name: str, start: int, into: NDArray[np.generic]) -> None:
        """Fill a contiguous array with a file's bytes from ``start`` on."""

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def upload(self, source: Path, name: str) -> None:
        """Copy a file of this machine here."""

    def download(self, name: str, into: Path) -> None:
        """Copy a file to this machine, to a path where nothing is."""

    def names(self) -> Sequence[str]:
        """Return the names directly below, in any order; none where there is nothing."""

    def delete(self, name: str = "") -> None:
        """Remove a file, or a directory with all in it; nothing happens where there is none."""
