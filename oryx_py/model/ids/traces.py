"""What stays of an ID that nothing refers to any more: a hash, and what later messages about it are compared with.

An ID that is forgotten is named in no checkpoint. But rule 11 of the consistency contract holds for whoever begins with
one, so that the offset of the newest message applied has to be known should the ID come back; and that an item was
forgotten in the epoch has to be, as its next forget is no first one (rule 6).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from oryx_py.model.pieces import pieces

__all__ = ["Traces", "Unnamed", "hashes_of"]


def hashes_of(ids: Iterable[str]) -> NDArray[np.uint64]:
    """Return uint64[n, 2], the halves of a hash of 128 bits of each ID."""
    raw = b"".join(xxhash.xxh3_128_digest(name.encode()) for name in ids)
    return np.frombuffer(raw, ">u8").astype(np.uint64).reshape(-1, 2)


@dataclass(frozen=True, slots=True, eq=False)
class Traces:
    """Traces of n IDs, none twice.

    ``hashes`` uint64[n, 2]: `hashes_of` them. ``inputs`` int64[n]: offset of the newest message applied, -1 for none.
    ``homes`` int32[n]: the input partition that each is in. ``forgotten`` bool[n]: items forgotten in the epoch.
    """

    hashes: NDArray[np.uint64]
    inputs: NDArray[np.int64]
    homes: NDArray[np.int32]
    forgotten: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.hashes)

    @classmethod
    def none(cls) -> "Traces":
        """Return those of nothing."""
        return cls(np.empty((0, 2), np.uint64), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.bool_))

    @classmethod
    def together(cls, parts: "Sequence[Traces]") -> "Traces":
        """Return those of several; of an ID in more than one the newest offset, and whether it was forgotten in any."""
        hashes, inputs, homes, forgotten = (
            np.concatenate([getattr(part, name) for part in [cls.none(), *parts]])
            for name in ("hashes", "inputs", "homes", "forgotten")
        )
        distinct, first, where = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
        newest, ever = np.full(len(distinct), -1, np.int64), np.zeros(len(distinct), np.bool_)
        np.maximum.at(newest, where.ravel(), inputs)
        np.logical_or.at(ever, where.ravel(), forgotten)
        return cls(distinct, newest, homes[first], ever)

    def of_homes(self, partitions: Collection[int]) -> "Traces":
        """Return those of some input partitions."""
        chosen = np.isin(self.homes, list(partitions))
        return Traces(self.hashes[chosen], self.inputs[chosen], self.homes[chosen], self.forgotten[chosen])


class Unnamed:
    """The IDs of which there is a trace alone, until they come back; owned by one `IdSpace`."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[int, int, bool]] = {}
        self._on_return: Callable[[int, int, bool], object] | None = None

    def take(self, traces: Traces, on_return: Callable[[int, int, bool], object]) -> None:
        """Add traces; when an ID comes back its handle, offset, and whether it was forgotten go to ``on_return``."""
        columns = traces.inputs, traces.homes, traces.forgotten
        for part in pieces(len(traces)):
            values = zip(*(column[part].tolist() for column in columns), strict=True)
            self._known.update(zip(map(tuple, traces.hashes[part].tolist()), values, strict=True))
        self._on_return = on_return

    def meet(self, ids: Sequence[str], first: int) -> None:
        """Look whether any of these IDs, which have the handles from ``first`` on, has come back."""
        if not self._known or self._on_return is None:
            return
        for part in pieces(len(ids)):
            for handle, (high, low) in enumerate(hashes_of(ids[part]).tolist(), first + part.start):
                found = self._known.pop((high, low), None)
                if found is not None:
                    offset, _, forgotten = found
                    self._on_return(handle, offset, forgotten)

    def dump(self) -> Traces:
        """Return the traces of those that have not come back."""
        columns = list(zip(*self._known.values(), strict=True)) or [(), (), ()]
        return Traces(
            np.array(list(self._known), np.uint64).reshape(-1, 2),
            np.array(columns[0], np.int64),
            np.array(columns[1], np.int32),
            np.array(columns[2], np.bool_),
        )
