"""How the history stands: what the next generation drops, and what it need not read."""

from collections.abc import Mapping, Sequence

from batch_layer.history.base import new_since
from batch_layer.history.retention import Limits, droppable, portions
from batch_layer.trimming import input_needed
from oryx_py.errors import OryxError
from oryx_py.model.history import History, HistoryCommit, HistoryFile
from oryx_py.model.manifest import Manifest
from oryx_py.ports import ArtefactStore

__all__ = ["compacted_state", "due", "still_needed"]


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


def compacted_state(history: History, manifest: Manifest | None) -> str:
    """Return in words how much of the history a generation has folded already.

    Args:
        history: as it is now.
        manifest: of the generation that the next one is folded on, None for none.
    """
    if manifest is None:
        return "none to fold on: the next generation reads all rows"
    rows = sum(file.rows for file in new_since(manifest.history, history))
    return f"{manifest.counts.pairs:,} in generation {manifest.generation}, {rows:,} rows since"
