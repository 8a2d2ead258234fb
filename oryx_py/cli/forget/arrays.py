"""NumPy's arrays in files of any `Files`, read in pieces: whether an ID or a number is in one."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import OryxError
from oryx_py.model.ids.id_table import id_files
from oryx_py.ports.files import Files

__all__ = ["Unreadable", "ids_at", "list_has", "numbers_at", "numbers_have", "row_of", "rows_with"]

_HEADER_BYTES = 4096
_AT_ONCE = 65_536
"""IDs or numbers: 64 MiB at most."""


class Unreadable(OryxError):
    """A file cannot be looked into, so that nothing is known of what it has."""


def row_of(files: Files, path: str, side: str, wanted: str) -> int:
    """Return the row of an ID in a table (`oryx_py.model.ids.id_table`), -1 for none: by bisection, as IDs ascend.

    Raises:
        Unreadable: the table is missing or damaged.
    """
    offsets, data, *_ = (f"{path}/{name}" for name in id_files(side))
    try:
        count, first = _array(files, offsets, np.dtype(np.int64))
        _, start = _array(files, data, np.dtype(np.uint8))

        def id_of(row: int) -> bytes:
            begin, end = _numbers(files, offsets, first, np.dtype(np.int64), row, 2).tolist()
            return _read(files, data, start + begin, end - begin)

        low, high, encoded = 0, count - 1, wanted.encode()
        while low < high:
            middle = (low + high) // 2
            if id_of(middle) < encoded:
                low = middle + 1
            else:
                high = middle
        return low if low < count - 1 and id_of(low) == encoded else -1
    except ValueError as error:
        raise Unreadable(f"{files.uri(path)}: {error}") from error


def list_has(files: Files, offsets: str, data: str, wanted: str) -> bool:
    """Say whether a list of IDs in any order (`oryx_py.model.ids.packed_ids`) has one; ``data`` is cut by ``offsets``.

    Raises:
        Unreadable: a file is missing or damaged.
    """
    return next(rows_with(files, offsets, data, wanted), None) is not None


def rows_with(files: Files, offsets: str, data: str, wanted: str) -> Iterator[NDArray[np.int64]]:
    """Iterate over the rows of such a list that are this ID, ascending: as many of some that lie together, never none.

    Raises:
        Unreadable: a file is missing or damaged.
    """
    encoded = wanted.encode()
    try:
        count, first = _array(files, offsets, np.dtype(np.int64))
        _, start = _array(files, data, np.dtype(np.uint8))
        for at in range(0, count - 1, _AT_ONCE):
            cuts = _numbers(files, offsets, first, np.dtype(np.int64), at, min(_AT_ONCE, count - 1 - at) + 1)
            text = _read(files, data, start + int(cuts[0]), int(cuts[-1] - cuts[0]))
            begins, longs = cuts[:-1] - cuts[0], np.flatnonzero(np.diff(cuts) == len(encoded))
            rows = [row for row in longs.tolist() if text.startswith(encoded, int(begins[row]))]
            if rows:
                yield np.array(rows, np.int64) + at
    except ValueError as error:
        raise Unreadable(f"{files.uri(offsets)}: {error}") from error


def ids_at(files: Files, offsets: str, data: str, rows: NDArray[np.int64]) -> list[str]:
    """Return the IDs in ascending rows of such a list, which lie together.

    Raises:
        Unreadable: a file is missing or damaged.
    """
    try:
        _, first = _array(files, offsets, np.dtype(np.int64))
        _, start = _array(files, data, np.dtype(np.uint8))
        low, high = int(rows[0]), int(rows[-1])
        cuts = _numbers(files, offsets, first, np.dtype(np.int64), low, high - low + 2)
        text = _read(files, data, start + int(cuts[0]), int(cuts[-1] - cuts[0]))
        cuts = cuts - cuts[0]
        return [text[cuts[row - low] : cuts[row - low + 1]].decode() for row in rows.tolist()]
    except ValueError as error:
        raise Unreadable(f"{files.uri(offsets)}: {error}") from error


def numbers_at(files: Files, path: str, dtype: type[np.integer[Any]], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return the numbers in ascending rows of an array of one dimension, which lie together.

    Raises:
        Unreadable: it is missing or damaged.
    """
    try:
        _, first = _array(files, path, np.dtype(dtype))
        low, high = int(rows[0]), int(rows[-1])
        found = _numbers(files, path, first, np.dtype(dtype), low, high - low + 1)
    except ValueError as error:
        raise Unreadable(f"{files.uri(path)}: {error}") from error
    return found[rows - low]


def numbers_have(files: Files, path: str, dtype: type[np.integer[Any]], wanted: int) -> bool:
    """Say whether an array of one dimension has a number.

    Raises:
        Unreadable: it is missing or damaged.
    """
    kind = np.dtype(dtype)
    try:
        count, first = _array(files, path, kind)
        return any(
            bool((_numbers(files, path, first, kind, at, min(_AT_ONCE, count - at)) == wanted).any())
            for at in range(0, count, _AT_ONCE)
        )
    except ValueError as error:
        raise Unreadable(f"{files.uri(path)}: {error}") from error


def _numbers(files: Files, path: str, first: int, dtype: np.dtype[Any], at: int, count: int) -> NDArray[Any]:
    return np.frombuffer(_read(files, path, first + dtype.itemsize * at, dtype.itemsize * count), dtype)


def _array(files: Files, path: str, dtype: np.dtype[Any]) -> tuple[int, int]:
    """The length of an array of one dimension in NumPy's format, and where its numbers begin."""
    size = files.size(path)
    if size is None:
        raise ValueError(f"there is no {path}")
    head = io.BytesIO(_read(files, path, 0, min(size, _HEADER_BYTES)))
    if np.lib.format.read_magic(head) != (1, 0):
        raise ValueError(f"{path} is in another format")
    shape, _, found = np.lib.format.read_array_header_1_0(head)
    if found != dtype or len(shape) != 1 or head.tell() + shape[0] * dtype.itemsize != size:
        raise ValueError(f"{path} is no table of IDs, or not whole")
    return int(shape[0]), head.tell()


def _read(files: Files, path: str, start: int, length: int) -> bytes:
    found = files.read(path, start, length) if length else b""
    if found is None or len(found) != length:
        raise ValueError(f"{path} went, or ends too early")
    return found
