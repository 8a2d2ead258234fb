"""IDs of one side of a generation: row → ID and ID → row, mapped, without a Python object for each.

Four arrays beside each other: ``<name>.ids.offsets.npy`` (int64, n + 1) cuts ``<name>.ids.bytes.npy`` (uint8, UTF-8 in
row order) into IDs; ``<name>.ids.hashes.npy`` (uint64, n) has the IDs' xxh3_64, ascending, and ``<name>.ids.rows.npy``
(int32, n) the row of each. Opening takes microseconds whatever the number of IDs, and the processes of a host share
the pages.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from oryx_py.errors import CorruptGeneration
from oryx_py.model.files import REMEDY, FileEntry, map_array, write_array
from oryx_py.model.ids.packed_ids import ArrowStrings, PackedIds

__all__ = ["IdTable", "id_files", "write_ids"]

HashFunction = Callable[[bytes], int]

# Bounds the memory that a look-up of very many IDs takes: eight bytes for each of their bytes, and this many IDs.
_CHUNK_IDS = 1 << 16
_FEW = 64
"""IDs that are read sooner one by one."""


def write_ids(
    directory: Path,
    name: str,
    ids: Sequence[str] | ArrowStrings | PackedIds,
    hash_function: HashFunction = xxhash.xxh3_64_intdigest,
) -> dict[str, FileEntry]:
    """Write the table of ``ids`` in row order, fsynced; returns what the manifest says of each file.

    Raises:
        ValueError: an ID is empty, null, or not above the one before it (bytewise, which is the order of Python's,
            Spark's and Arrow's strings too).
    """
    packed = PackedIds.of(ids)
    if (empty := np.flatnonzero(packed.lengths <= 0)).size:
        raise ValueError(f"the ID in row {empty[0]} of {name} is empty")
    encoded = packed.encoded()
    if (row := packed.disorder()) >= 0:
        here, after = encoded[row : row + 2]
        raise ValueError(f"{name} must ascend bytewise, none twice, but row {row} has {here!r} and the next {after!r}")
    hashes, rows = _look_up(encoded, hash_function)
    arrays: list[NDArray[Any]] = [packed.offsets, packed.data, hashes, rows]
    return {file: write_array(directory / file, array) for file, array in zip(id_files(name), arrays, strict=True)}


def id_files(name: str) -> list[str]:
    """The names of a table's files: offsets, bytes, hashes, rows."""
    return [f"{name}.ids.{part}.npy" for part in ("offsets", "bytes", "hashes", "rows")]


class IdTable:
    """A read-only table of IDs over mapped files; rows are 0 … n - 1. Threads may share it."""

    def __init__(
        self, packed: PackedIds, hashes: NDArray[np.uint64], rows: NDArray[np.int32], hash_function: HashFunction
    ) -> None:
        self._packed = packed
        self._hashes = hashes
        self._rows = rows
        self._hash = hash_function
        # Through a memoryview one number or slice costs a third of what it costs through the array.
        self._offset_view, self._data_view = packed.offsets.data, packed.data.data
        self._hash_view, self._row_view = hashes.data, rows.data

    @classmethod
    def open(
        cls,
        directory: Path,
        name: str,
        rows: int | None = None,
        hash_function: HashFunction = xxhash.xxh3_64_intdigest,
    ) -> "IdTable":
        """Map the table that `write_ids` wrote; ``rows`` is the number of IDs expected, None for any.

        Raises:
            CorruptGeneration: a file is missing, or the four do not fit together.
        """
        offsets, data, hashes, order = (directory / file for file in id_files(name))
        packed = PackedIds(
            map_array(offsets, np.int64, (None if rows is None else rows + 1,)), map_array(data, np.uint8, (None,))
        )
        if not len(packed.offsets) or packed.offsets[0] != 0 or packed.offsets[-1] != len(packed.data):
            raise CorruptGeneration(f"{offsets} does not fit {data.name}: {REMEDY}")
        count = (len(packed),)
        return cls(packed, map_array(hashes, np.uint64, count), map_array(order, np.int32, count), hash_function)

    @classmethod
    def of(cls, ids: Sequence[str], hash_function: HashFunction = xxhash.xxh3_64_intdigest) -> "IdTable":
        """Make the table of ``ids`` in row order, in memory; they ascend bytewise, none empty, none twice."""
        encoded = [name.encode() for name in ids]
        return cls(PackedIds.of_bytes(encoded), *_look_up(encoded, hash_function), hash_function)

    def check(self, directory: Path, name: str) -> None:
        """Look at every ID: whole characters, ascending, each with its place in the look-up.

        Raises:
            CorruptGeneration: naming the file that is wrong.
        """
        offsets, data, hashes, rows = (directory / file for file in id_files(name))
        if (self._packed.lengths <= 0).any():
            raise CorruptGeneration(f"{offsets} does not ascend: {REMEDY}")
        try:
            self._packed.data.tobytes().decode()
        except UnicodeDecodeError as error:
            raise CorruptGeneration(f"{data} is no UTF-8 ({error.reason}): {REMEDY}") from None
        # A continuation byte, 0b10……, at an ID's start: the cut is inside a character.
        if ((self._packed.data[self._packed.offsets[:-1]] & 0xC0) == 0x80).any():
            raise CorruptGeneration(f"{offsets} cuts characters in two: {REMEDY}")
        if (row := self._packed.disorder()) >= 0:
            raise CorruptGeneration(f"{data}: the ID in row {row} is not below the next: {REMEDY}")
        if (self._hashes[1:] < self._hashes[:-1]).any():
            raise CorruptGeneration(f"{hashes} does not ascend: {REMEDY}")
        if not np.array_equal(np.sort(self._rows), np.arange(len(self), dtype=np.int32)):
            raise CorruptGeneration(f"{rows} does not have every row once: {REMEDY}")

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, id: str) -> int:  # noqa: A002 - the field's own word
        """The row of an ID, -1 where the table does not have it."""
        try:
            wanted = id.encode()
        except UnicodeEncodeError:  # a lone surrogate, which no UTF-8 has
            return -1
        key = self._hash(wanted)
        at = bisect_left(self._hash_view, key)  # sooner than NumPy for a single one
        while at < len(self._row_view) and self._hash_view[at] == key:
            row = self._row_view[at]
            if self._data_view[self._offset_view[row] : self._offset_view[row + 1]] == wanted:
                return row
            at += 1
        return -1

    def find_many(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """The rows of ``ids``, int64[n], -1 for each that the table does not have."""
        chunks = [self._find_chunk(ids[at : at + _CHUNK_IDS]) for at in range(0, len(ids), _CHUNK_IDS)]
        return np.concatenate(chunks) if chunks else np.empty(0, np.int64)

    def _find_chunk(self, ids: Sequence[str]) -> NDArray[np.int64]:
        # A lone surrogate becomes bytes that are no UTF-8, so that no row has them.
        encoded = [name.encode(errors="surrogatepass") for name in ids]
        wanted = PackedIds.of_bytes(encoded)
        keys = _hashes(encoded, self._hash)
        found = np.full(len(keys), -1, np.int64)
        # Asked in ascending order, the binary searches touch the mapped pages one after the other.
        pending = np.argsort(keys)
        at = np.empty(len(keys), np.int64)
        at[pending] = self._hashes.searchsorted(keys[pending])
        while pending.size:
            pending = pending[at[pending] < len(self)]
            pending = pending[self._hashes[at[pending]] == keys[pending]]
            rows = self._rows[at[pending]].astype(np.int64)
            same = self._equal(rows, wanted, pending)
            found[pending[same]] = rows[same]
            pending = pending[~same]
            at[pending] += 1
        return found

    def _equal(self, rows: NDArray[np.int64], wanted: PackedIds, queries: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each row's ID is, byte for byte, the query beside it."""
        starts, lengths = self._packed.offsets[rows], wanted.lengths[queries]
        equal: NDArray[np.bool_] = (self._packed.offsets[rows + 1] - starts == lengths) & (lengths > 0)
        starts, lengths, queries = starts[equal], lengths[equal], queries[equal]
        if not lengths.size:
            return equal
        firsts = np.cumsum(lengths) - lengths
        step = np.arange(lengths.sum()) - np.repeat(firsts, lengths)
        ours = self._packed.data[np.repeat(starts, lengths) + step]
        theirs = wanted.data[np.repeat(wanted.offsets[queries], lengths) + step]
        equal[equal] = np.logical_and.reduceat(ours == theirs, firsts)
        return equal

    def id(self, row: int) -> str:
        """The ID of a row.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= row < len(self._row_view):
            raise IndexError(f"there is no row {row} among {len(self)}")
        return str(self._data_view[self._offset_view[row] : self._offset_view[row + 1]], "utf-8")

    def ids(self, rows: Iterable[int] | NDArray[np.integer[Any]]) -> list[str]:
        """The IDs of rows, in their order.

        Raises:
            IndexError: one of them is no row.
        """
        wanted = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows), np.int64)
        if ((wanted < 0) | (wanted >= len(self))).any():
            raise IndexError(f"rows from {wanted.min()} to {wanted.max()} are not all among {len(self)}")
        if len(wanted) <= _FEW:
            at, data = self._offset_view, self._data_view
            return [str(data[at[row] : at[row + 1]], "utf-8") for row in wanted.tolist()]
        starts, ends = self._packed.offsets[wanted].tolist(), self._packed.offsets[wanted + 1].tolist()
        return [str(self._data_view[start:end], "utf-8") for start, end in zip(starts, ends, strict=True)]


def _hashes(encoded: Iterable[bytes], hash_function: HashFunction) -> NDArray[np.uint64]:
    return np.fromiter(map(hash_function, encoded), np.uint64)


def _look_up(encoded: Sequence[bytes], hash_function: HashFunction) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
    """The hashes of IDs in row order, ascending, and the row of each."""
    hashes = _hashes(encoded, hash_function)
    order = np.argsort(hashes, kind="stable")
    return hashes[order], order.astype(np.int32)
