"""Whether the topics can be worked with: there, the recorded ones, and as long as the history says they are."""

from collections.abc import Mapping

from batch_layer.engine import Ranges
from oryx_py.errors import LogGap
from oryx_py.runtime.topics import REMEDY

__all__ = ["new_ranges"]


def new_ranges(committed: Mapping[int, int], start: Mapping[int, int], end: Mapping[int, int], topic: str) -> Ranges:
    """Return the offsets that the history lacks, by partition; every partition is there, also with nothing new.

    Args:
        committed: by partition, the first offset that the history does not have; empty before its first commit.
        start: by partition, the first offset still in the topic.
        end: by partition, where the topic ends now.
        topic: its name, for the message.

    Raises:
        LogGap: the topic was trimmed above the history, or ends below it.
    """
    ranges = {}
    for partition, stop in sorted(end.items()):
        first = committed.get(partition, start[partition])
        if first < start[partition]:
            raise LogGap(
                f"{topic}:{partition} begins at {start[partition]}, the history ends at {first}; "
                f"what lies between is lost: {REMEDY}"
            )
        if stop < first:
            raise LogGap(f"{topic}:{partition} ends at {stop}, the history has it up to {first}: {REMEDY}")
        ranges[partition] = (first, stop)
    return ranges
