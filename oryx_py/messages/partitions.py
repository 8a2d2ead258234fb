"""Which partitions many keys belong to; apart from `partition`, as numba takes a second of whoever imports it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.murmur2 import partitions_of

__all__ = ["homes_of"]


def homes_of(names: Sequence[str], partitions: int) -> NDArray[np.int32]:
    """Return int32[n]: for each ID what `oryx_py.messages.partition_of` says."""
    if partitions == 1:
        return np.zeros(len(names), np.int32)
    text = "".join(names)
    if text.isascii():
        data, lengths = text.encode(), map(len, names)
    else:
        encoded = [name.encode() for name in names]
        data, lengths = b"".join(encoded), map(len, encoded)
    offsets = np.zeros(len(names) + 1, np.int64)
    np.cumsum(np.fromiter(lengths, np.int64, len(names)), out=offsets[1:])
    return partitions_of(np.frombuffer(data, np.uint8), offsets, partitions)
