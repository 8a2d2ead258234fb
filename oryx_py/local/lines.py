"""Where the output of supervised programs goes: one screen, or a file each."""

import logging
import threading
from collections.abc import Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

__all__ = ["LogFiles", "PrefixedLines"]

_COLOURS = (36, 33, 32, 35, 34, 31)  # of ANSI terminals: cyan, yellow, green, magenta, blue, red
_FILE_BYTES = 10 * 1024 * 1024


class PrefixedLines:
    """Writes each line whole, behind the name of the program it came from; for any number of threads.

    A stream that fails (a pager that was left) is no reason for a program to stop: its lines are dropped.
    """

    def __init__(self, stream: TextIO, names: Sequence[str], *, colours: bool) -> None:
        width = max(map(len, names), default=0)
        self._prefixes = {name: f"{name:<{width}} | " for name in names}
        if colours:
            for place, (name, prefix) in enumerate(self._prefixes.items()):
                self._prefixes[name] = f"\x1b[{_COLOURS[place % len(_COLOURS)]}m{prefix}\x1b[0m"
        self._stream = stream
        self._lock = threading.Lock()

    def __call__(self, name: str, line: str) -> None:
        """Write one line."""
        with self._lock:
            try:
                self._stream.write(f"{self._prefixes.get(name, f'{name} | ')}{line}\n")
                self._stream.flush()
            except (OSError, ValueError):
                return


class LogFiles:
    """Appends each line to ``<name>.log`` in a folder, keeping one older file of 10 MiB for each name."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = {
            name: RotatingFileHandler(
                self.path(folder, name), maxBytes=_FILE_BYTES, backupCount=1, encoding="utf-8", errors="replace"
            )
            for name in names
        }

    @staticmethod
    def path(folder: Path, name: str) -> Path:
        """Return the file for ``name``."""
        return folder / f"{name}.log"

    def __call__(self, name: str, line: str) -> None:
        """Append one line; a full disk loses it, with a note on standard error."""
        self._files[name].handle(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()
