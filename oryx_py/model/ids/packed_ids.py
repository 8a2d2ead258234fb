"""Many IDs as one run of UTF-8, and the checks of their order that need no Python object for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrowStrings", "PackedIds"]

# Word n keeps the first n of eight big-endian bytes.
_FIRST_BYTES = np.array([(2 ** (8 * kept) - 1) << (64 - 8 * kept) for kept in range(9)], np.uint64)


class ArrowStrings(Protocol):
    """What is used of a ``pyarrow.StringArray`` or ``LargeStringArray``."""

    type: Any
    offset: int
    null_count: int

    def __len__(self) -> int: ...

    def buffers(self) -> list[Any]:
        """Validity, offsets and bytes."""
        ...


@dataclass(frozen=True, slots=True)
class PackedIds:
    """ID ``i`` is ``data[offsets[i]:offsets[i + 1]]``; offsets int64[n + 1] from 0, data uint8 of UTF-8."""

    offsets: NDArray[np.int64]
    data: NDArray[np.uint8]

    @classmethod
    def of(cls, ids: "Sequence[str] | ArrowStrings | PackedIds") -> "PackedIds":
        """Pack strings, or take over the buffers of an Arrow array of strings.

        Raises:
            ValueError: an ID is null or has a lone surrogate, or the Arrow array is not of strings.
        """
        if isinstance(ids, PackedIds):
            return ids
        if not isinstance(ids, Sequence):
            return cls._of_arrow(ids)
        return cls.of_bytes([name.encode() for name in ids])

    @classmethod
    def of_bytes(cls, encoded: Sequence[bytes]) -> Self:
        """Pack byte strings."""
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def _of_arrow(cls, ids: ArrowStrings) -> Self:
        kind = str(ids.type)
        if kind not in {"string", "large_string"}:
            raise ValueError(f"an Arrow array of {kind} holds no IDs: cast it to string")
        if ids.null_count:
            raise ValueError(f"{ids.null_count} IDs are null")
        if not len(ids):
            return cls.of_bytes([])
        _, raw_offsets, raw_data = ids.buffers()
        stored = np.frombuffer(raw_offsets, np.int32 if kind == "string" else np.int64)
        offsets = stored[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)
        data = np.frombuffer(raw_data if raw_data is not None else b"", np.uint8)
        return cls(offsets - offsets[0], data[offsets[0] : offsets[-1]])

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64[n], in bytes."""
        return np.diff(self.offsets)

    def encoded(self) -> list[bytes]:
        """The IDs as separate byte strings."""
        whole = self.data.tobytes()
        return [whole[start:end] for start, end in pairwise(self.offsets.tolist())]

    def decoded(self) -> list[str]:
        """The IDs as strings.

        Raises:
            ValueError: offsets do not ascend from 0 to the end, or an ID is no UTF-8.
        """
        if not len(self.offsets) or self.offsets[0] != 0 or self.offsets[-1] != len(self.data):
            raise ValueError("the IDs' offsets do not go from 0 to the end")
        if (self.lengths < 0).any():
            raise ValueError("the IDs' offsets do not ascend")
        return [name.decode() for name in self.encoded()]

    def disorder(self) -> int:
        """The first row whose ID is not bytewise below the next row's; -1 where all ascend.

        Eight bytes of all undecided neighbours are compared at a time; an ID that ends counts as followed by zeros,
        and of two that are then equal to the end the shorter is the lower.
        """
        padded = np.concatenate([self.data, np.zeros(8, np.uint8)])
        words = np.ndarray((len(padded) - 7,), np.dtype(">u8"), padded, strides=(1,))
        starts, lengths = self.offsets[:-1], self.lengths

        def word(rows: NDArray[np.int64], at: int) -> NDArray[np.uint64]:
            found = words[np.minimum(starts[rows] + at, len(words) - 1)].astype(np.uint64)
            return found & _FIRST_BYTES[np.clip(lengths[rows] - at, 0, 8)]

        pairs, first, at = np.arange(len(self) - 1), len(self), 0
        while pairs.size:
            left, right = word(pairs, at), word(pairs + 1, at)
            at += 8
            over = np.maximum(lengths[pairs], lengths[pairs + 1]) <= at
            wrong = (left > right) | ((left == right) & over & (lengths[pairs] >= lengths[pairs + 1]))
            first = int(pairs[wrong].min(initial=first))
            pairs = pairs[(left == right) & ~over]
        return first if first < len(self) else -1
