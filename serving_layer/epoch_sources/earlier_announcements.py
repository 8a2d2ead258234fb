"""What the speed layer had announced when this process started."""

from collections.abc import Callable, Collection, Sequence

from oryx_py.errors import LogGap
from oryx_py.model.epochs.announcements import Announcements, going_back
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.ports import Clock, Consumer, TopicAdmin
from oryx_py.runtime.announcements import read_announcements
from oryx_py.runtime.checkpoints import Checkpoints
from oryx_py.runtime.restored import seeded

__all__ = ["earlier_announcements"]

_PATIENCE_S = 5.0
"""Of one look at the topic; the next look tries again."""


def earlier_announcements(
    epochs: Sequence[EpochStarted],
    partitions: Collection[int],
    *,
    topic: str,
    admin: TopicAdmin,
    new_consumer: Callable[[], Consumer],
    clock: Clock,
    checkpoints: Checkpoints | None = None,
) -> Announcements:
    """Read what was announced from as far back as it takes to find an epoch that is live; blocks.

    What the topic no longer has is left out: epochs from before that could not be followed anyway.

    Args:
        epochs: of the registry, ascending.
        partitions: the input topic's; an epoch is live once all of them are.
        topic: the update topic.
        admin, new_consumer, clock: the ports.
        checkpoints: what had been announced of an epoch before its newest one stands in that.

    Raises:
        BrokerUnavailable: it did not answer in time.
    """
    announcements = Announcements()
    known = {} if checkpoints is None else checkpoints.covered_of(epochs)
    consumer = new_consumer()
    try:
        first, end = admin.start_offsets(topic), admin.end_offsets(topic)
        for oldest in going_back(epochs, known):
            checkpoint = known.get(oldest.epoch)
            start = oldest.start if checkpoint is None else checkpoint.covered.update
            start = {p: max(start.get(p, 0), offset) for p, offset in first.items()}
            announcements = Announcements(len(end))
            if checkpoint is not None:
                seeded(announcements, checkpoint)
            read_announcements(
                consumer, topic, epochs, start, end, clock=clock, patience_s=_PATIENCE_S, known=announcements
            )
            # An older epoch may be announced further on, and go live, after a newer one that was served before it.
            since = [entry for entry in epochs if entry.epoch >= oldest.epoch]
            if any(announcements.of(entry.epoch).is_live(partitions) for entry in since):
                break
            if start == first and min(known, default=oldest.epoch) >= oldest.epoch:
                break  # nothing older is there
    except LogGap:
        return announcements
    finally:
        consumer.close()
    return announcements
