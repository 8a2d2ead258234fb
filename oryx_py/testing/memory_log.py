"""A commit log in memory."""

import threading

from oryx_py.errors import CommitConflict
from oryx_py.ports.store import Commit

__all__ = ["MemoryCommitLog"]


class MemoryCommitLog:
    """The `CommitLog` of tests that need neither disk nor restarts; threads may share it."""

    def __init__(self) -> None:
        self._payloads: list[bytes] = []
        self._lock = threading.Lock()

    def read(self, after: int = 0) -> list[Commit]:
        """The commits with numbers above ``after``, ascending."""
        with self._lock:
            return [Commit(number, payload) for number, payload in enumerate(self._payloads, 1)][after:]

    def append(self, number: int, payload: bytes) -> None:
        """Add the commit of this number.

        Raises:
            CommitConflict: there is one.
            ValueError: the one before it does not exist.
        """
        with self._lock:
            if 1 <= number <= len(self._payloads):
                raise CommitConflict(f"commit {number} exists")
            if number != len(self._payloads) + 1:
                raise ValueError(f"commit {number} does not follow {len(self._payloads)}")
            self._payloads.append(payload)
