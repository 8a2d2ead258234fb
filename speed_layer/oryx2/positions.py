"""Where a start begins to read the input: where the group is, and what it says where there is no such place."""

from collections.abc import Mapping

import structlog

from oryx_py.ports import Consumer, TopicAdmin

__all__ = ["positions_kept"]

log = structlog.get_logger("speed")


def positions_kept(interactions: Consumer, topic: str, admin: TopicAdmin) -> dict[int, int]:
    """Return the group's positions, by partition of the input; those that it lacked are stored.

    A group without any begins at the end, as a first start does. Kafka drops positions a week after they were stored
    (``offsets.retention.minutes``), and says no more of them: a group that was away for longer begins there, too, and
    a warning says what it passes over. One partition without a position, where others have theirs, is new, or its was
    the oldest: it begins where the log does, since nothing is to be left out, though it may be folded once more.

    Args:
        interactions: consumer of the group.
        topic: of the input.
        admin: for the topic's ends.

    Raises:
        BrokerUnavailable: the positions cannot be had now.
    """
    start, end = admin.start_offsets(topic), admin.end_offsets(topic)
    committed = interactions.committed([(topic, partition) for partition in end])
    kept = {partition: offset for (_, partition), offset in committed.items() if offset is not None}
    positions: dict[int, int] = {}
    for partition, last in end.items():
        first = start[partition]
        if partition in kept and kept[partition] < first:
            log.warning("input_lost", partition=partition, offsets=first - kept[partition])
        positions[partition] = max(first, kept[partition]) if partition in kept else first if kept else last
    unread = {p: [start[p], last] for p, last in end.items() if p not in kept and start[p] < last}
    if unread and kept:
        _warn("input_repeated", unread, "these partitions had no position, others had: all that they have is folded")
    elif unread:
        _warn(
            "input_skipped", unread, "unless this is a first start, see docs/operations.md, When input is passed over"
        )
    interactions.commit({(topic, partition): offset for partition, offset in positions.items()})
    return positions


def _warn(event: str, offsets: Mapping[int, list[int]], hint: str) -> None:
    log.warning(event, offsets=offsets, count=sum(last - first for first, last in offsets.values()), hint=hint)
