"""The registry on a commit log."""

from collections.abc import Sequence

from oryx_py.adapters.commit_logs.folded_log import FoldedLog
from oryx_py.model.epochs.registry import Entry, Registry, encode_entries
from oryx_py.ports.store import CommitLog

__all__ = ["RegistryLog"]


class RegistryLog:
    """Reads the registry and adds to it; of two processes that add at the same time, one is told to look again."""

    def __init__(self, log: CommitLog) -> None:
        self._log = FoldedLog(log, Registry.fold)

    def read(self, seen: Registry | None = None) -> Registry:
        """The registry now; with what was ``seen`` before, that is believed and only what came since is read.

        Raises:
            CorruptLog: a commit is missing, damaged, or contradicts those before it.
        """
        return self._log.read(seen)

    def append(self, seen: Registry, entries: Sequence[Entry]) -> Registry:
        """Add entries decided upon the registry as ``seen``, all or none; returns the registry with them.

        Raises:
            CommitConflict: the registry has changed since: read it, decide again, retry.
            ValueError: an entry contradicts the registry as seen.
        """
        registry = seen.after(entries)
        self._log.append(registry, encode_entries(entries))
        return registry
