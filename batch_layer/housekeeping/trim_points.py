"""Up to where a topic is trimmed. Pure: positions in, trim points out."""

from collections.abc import Mapping, Sequence

from oryx_py.model.generations.manifest import Manifest

__all__ = ["Offsets", "input_needed", "trim_points"]

Offsets = Mapping[int, int]
"""By partition, an offset."""


def trim_points(start: Offsets, needed: Sequence[Offsets]) -> dict[int, int]:
    """Return by partition before which offset everything may go; partitions where that is nothing are left out.

    Args:
        start: by partition, the first offset that the topic still has.
        needed: of each who reads the topic, by partition, the first offset needed. Who leaves a partition out may need
            all of it; where nobody is known who reads, nothing goes.
    """
    points = {}
    for partition, first in start.items():
        if not needed or any(partition not in reader for reader in needed):
            continue
        point = min(reader[partition] for reader in needed)
        if point > first:
            points[partition] = point
    return points


def input_needed(manifest: Manifest) -> dict[int, int]:
    """Return from which input offsets the speed layer reads for a generation, by partition.

    From the generation's end, and before that the window in which the IDs are that later records may repeat.
    """
    return {p: min(end, manifest.dedupe_from.get(p, (end, -1))[0]) for p, end in manifest.next_offsets.items()}
