"""Kafka's MurmurHash2 of many keys at once."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.compiled.compiling import compiled

__all__ = ["partitions_of"]


@compiled
def partitions_of(data: NDArray[np.uint8], offsets: NDArray[np.int64], partitions: int) -> NDArray[np.int32]:
    """Return int32[n]: the partition of each key, as `oryx_py.messages.partition.partition_of` has it.

    Args:
        data: uint8, the keys' UTF-8, one after the other.
        offsets: int64[n + 1], where each begins and the last ends.
        partitions: how many the topic has.

    Source: org.apache.kafka.common.utils.Utils.murmur2.
    """
    count = len(offsets) - 1
    found = np.empty(count, np.int32)
    m = np.uint32(0x5BD1E995)
    for row in range(count):
        start, stop = offsets[row], offsets[row + 1]
        length = stop - start
        h = np.uint32(0x9747B28C) ^ np.uint32(length)
        whole = start + length // 4 * 4
        for at in range(start, whole, 4):
            k = np.uint32(data[at])
            k |= np.uint32(data[at + 1]) << np.uint32(8)
            k |= np.uint32(data[at + 2]) << np.uint32(16)
            k |= np.uint32(data[at + 3]) << np.uint32(24)
            k = np.uint32(k * m)
            k = np.uint32((k ^ (k >> np.uint32(24))) * m)
            h = np.uint32(np.uint32(h * m) ^ k)
        if stop > whole:
            k = np.uint32(0)
            for at in range(stop - 1, whole - 1, -1):
                k = np.uint32(k << np.uint32(8)) | np.uint32(data[at])
            h = np.uint32((h ^ k) * m)
        h = np.uint32((h ^ (h >> np.uint32(13))) * m)
        h = np.uint32(h ^ (h >> np.uint32(15)))
        found[row] = np.int32((h & np.uint32(0x7FFFFFFF)) % np.uint32(partitions))
    return found
