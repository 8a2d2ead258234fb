"""The vectors that an epoch had before a restart, from the update topic: no replay would give them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from oryx_py.errors import BadMessage
from oryx_py.messages import ItemGone, ItemVector, Progress, Update, decode
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import Record

__all__ = ["restore"]


@dataclass
class _Partition:
    """One partition of the update topic: what was announced in it, and the updates after its last ``PROGRESS``."""

    announced: dict[int, int] = field(default_factory=dict)
    since: list[Update] = field(default_factory=list)

    def advance(self, progress: Progress) -> bool:
        """Note what is announced; return whether that is more than before."""
        further = {p: offset for p, offset in progress.input.items() if offset > self.announced.get(p, 0)}
        self.announced |= further
        return bool(further)


def restore(state: ModelState, announced: Mapping[int, int], records: Iterable[Record]) -> set[str]:
    """Apply to a state what was sent of its epoch up to the positions announced, and nothing of what came after.

    What a process sent and did not live to announce is left out: its input is read again. The positions of the state
    itself stay the generation's. Work and memory are bounded by the epoch's updates, as at each start of serving.

    A ``PROGRESS`` is sent when all updates before it are acknowledged, to every partition before any further update.
    So where a partition lacks the newest one, everything in it belongs to what is announced. One that announces nothing
    new is what a process begins with: the updates before it are those that another did not live to announce.

    Args:
        state: of the epoch, as the generation has it.
        announced: by input partition, the newest positions that any partition of the update topic has.
        records: of the update topic from the epoch's start on, each partition's in order.

    Returns:
        The items of which there are updates after what was announced: readers may have other vectors of these than
        `state`. (Users need no mention: reading their input again sends theirs again.)
    """
    partitions: dict[int, _Partition] = {}
    for record in records:
        try:
            update = decode(record.key, record.value, record.headers)
        except BadMessage:
            continue
        if update.epoch != state.epoch:
            continue
        partition = partitions.setdefault(record.partition, _Partition())
        if isinstance(update, Progress):
            if partition.advance(update):
                _apply(state, partition.since)
            partition.since.clear()
        else:
            partition.since.append(update)
    astray: set[str] = set()
    for partition in partitions.values():
        if announced and any(partition.announced.get(p, 0) < offset for p, offset in announced.items()):
            _apply(state, partition.since)
        else:
            astray |= {update.item for update in partition.since if isinstance(update, ItemVector | ItemGone)}
    return astray


def _apply(state: ModelState, updates: Iterable[Update]) -> None:
    for update in updates:
        try:
            state.apply(update)
        except BadMessage:
            continue
