"""A table of IDs (`oryx_py.model.ids.id_table`) written in parts, by whoever has some, in any order, in bounded memory.

1. `create_ids` makes the files of offsets and bytes, and one of hashes in row order in the working directory;
2. `write_id_span` fills in some rows; done again it writes the same;
3. `write_look_up` sorts the hashes into the table's look-up.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xxhash
from numpy.typing import NDArray

from oryx_py.model.files import create_array, map_array, write_span
from oryx_py.model.ids.id_table import id_files
from oryx_py.model.ids.packed_ids import PackedIds

__all__ = ["create_ids", "write_id_span", "write_look_up"]

_BLOCK = 1 << 22
"""Rows that are read and sorted at once; as many again are the largest share of hashes that begin alike."""


def create_ids(directory: Path, work: Path, name: str, rows: int, data_bytes: int) -> None:
    """Make room for a table of ``rows`` IDs of ``data_bytes`` bytes together."""
    offsets, data, *_ = id_files(name)
    create_array(directory / offsets, np.int64, (rows + 1,))
    create_array(directory / data, np.uint8, (data_bytes,))
    create_array(_hashes_file(work, name), np.uint64, (rows,))


def write_id_span(directory: Path, work: Path, name: str, first_row: int, first_byte: int, ids: PackedIds) -> int:
    """Write ``ids``, which have the rows from ``first_row`` on, their bytes those from ``first_byte`` on.

    The first offset of all is the file's own zero. Returns how many bytes the table got.

    Raises:
        ValueError: an ID is empty, or not bytewise above the one before it.
    """
    if (ids.lengths <= 0).any() or ids.disorder() >= 0:
        raise ValueError(f"the IDs of {name} from row {first_row} on do not ascend bytewise, or one is empty")
    offsets, data, *_ = id_files(name)
    hashes = np.fromiter(map(xxhash.xxh3_64_intdigest, ids.encoded()), np.uint64, len(ids))
    write_span(_hashes_file(work, name), first_row, hashes)
    written = write_span(directory / offsets, first_row + 1, ids.offsets[1:] + first_byte)
    return written + write_span(directory / data, first_byte, ids.data)


def write_look_up(directory: Path, work: Path, name: str) -> int:
    """Write the hashes ascending, each with its row; equal ones by row. Returns the bytes.

    Hashes are spread evenly: the first bits bring them into blocks, and each block is sorted by itself.
    """
    in_order: NDArray[np.uint64] = map_array(_hashes_file(work, name), np.uint64, (None,))
    *_, hashes, rows = (directory / file for file in id_files(name))
    create_array(hashes, np.uint64, in_order.shape)
    create_array(rows, np.int32, in_order.shape)
    bits = max(0, (len(in_order) // _BLOCK).bit_length())
    written, at = 0, 0
    for block in range(1 << bits):
        found = list(_beginning_with(in_order, block, bits))
        keys = np.concatenate([key for key, _ in found]) if found else np.empty(0, np.uint64)
        order = np.argsort(keys, kind="stable")
        numbers = np.concatenate([row for _, row in found]) if found else np.empty(0, np.int32)
        written += write_span(hashes, at, keys[order]) + write_span(rows, at, numbers[order])
        at += len(keys)
    return written


def _beginning_with(
    hashes: NDArray[np.uint64], block: int, bits: int
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int32]]]:
    for start in range(0, len(hashes), _BLOCK):
        keys = hashes[start : start + _BLOCK]
        mine = np.flatnonzero(keys >> np.uint64(64 - bits) == block) if bits else np.arange(len(keys))
        yield keys[mine], (mine + start).astype(np.int32)


def _hashes_file(work: Path, name: str) -> Path:
    return work / f"{name}.hashes.npy"
