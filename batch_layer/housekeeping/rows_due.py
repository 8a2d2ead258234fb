"""Which rows are dropped with the next generation, and which a speed layer may still want."""

from collections.abc import Mapping, Sequence

from batch_layer.housekeeping.row_retention import Limits, droppable, portions
from batch_layer.housekeeping.trim_points import input_needed
from oryx_py.errors import OryxError
from oryx_py.model.history.commits import History, HistoryCommit, HistoryFile
from oryx_py.ports import ArtefactStore

__all__ = ["due", "still_needed"]


def due(
    history: History, commits: Sequence[HistoryCommit], limits: Limits, store: ArtefactStore, now_ms: int
) -> list[HistoryFile]:
    """Return the files that are dropped with the next generation, if nothing new comes until then, which is now."""
    return droppable(portions(history, commits), limits, still_needed(store, history), now_ms)


def still_needed(store: ArtefactStore, history: History) -> Mapping[int, int]:
    """Return by partition the first offset that a speed layer may want, for any generation in the store.

    A generation that cannot be read is nobody's.
    """
    needed = dict(history.offsets)
    for name in store.generations():
        try:
            wanted = input_needed(store.manifest(name))
        except OryxError:
            continue
        needed = {partition: min(offset, wanted.get(partition, offset)) for partition, offset in needed.items()}
    return needed
