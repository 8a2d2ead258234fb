"""What of an epoch's run a checkpoint has, at one moment between two steps of the layer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oryx_py.model.checkpoints.checkpoint_files import Covered, write_checkpoint
from oryx_py.model.checkpoints.merging import Piece, merged
from speed_layer.epochs.run import EpochRun
from speed_layer.folding.exact_fold import ExactFold

__all__ = ["Prepared", "write_snapshot"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What was looked up before the moment at which a checkpoint is taken.

    ``name`` of it, and a directory ``into`` which its files go. ``update`` and ``items``: both topics' ends by
    partition, the latter empty where nobody shares the input. ``announced``: positions announced before.
    """

    name: str
    into: Path
    update: Mapping[int, int]
    announced: Mapping[int, int]
    items: Mapping[int, int] = field(default_factory=dict)


def write_snapshot(run: EpochRun, prepared: Prepared, now_ms: int, term: int | None) -> None:
    """Write what the run has of its own input partitions; nothing of the run may change meanwhile.

    Of others it has what they said of items, up to where it has heard them: there a reader goes on.

    Raises:
        StoreUnavailable: the disk does not take it.
    """
    state, owned = run.fold.state, frozenset(run.positions)
    changes = state.dump()
    if not run.is_whole:
        partitions = len(state.progress())
        changes = merged([Piece(changes, owned)], state.generation, partitions)
    peers = run.fold.peers if isinstance(run.fold, ExactFold) else None
    terms = {} if term is None else {**state.terms(), **dict.fromkeys(owned, term)}
    said = {} if peers is None or term is None else {**peers.share.foreign.ended, **dict.fromkeys(owned, term)}
    update, items = run.heard(prepared.update, prepared.items)
    write_checkpoint(
        prepared.into,
        name=prepared.name,
        epoch=state.epoch,
        generation=state.generation,
        created_ms=now_ms,
        covered=Covered(
            dict(run.positions),
            sorted(run.live),
            update,
            items,
            terms,
            {p: offset for p, offset in prepared.announced.items() if p in owned},
            said,
        ),
        changes=changes,
        ids={p: window for p, window in run.repeats.dump().items() if p in owned},
        states=None if peers is None else peers.share.foreign.dump(),
    )
