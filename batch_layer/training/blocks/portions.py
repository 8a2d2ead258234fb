"""A portion of a side: the pairs of some rows against the rows of the other side that they have, renumbered.

Made once for each training, and read for each sweep, as MLlib's in-blocks are.
"""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batch_layer.task_files.exchange import Exchange
from oryx_py.model.generations.history_files import history_files
from oryx_py.numerics.als import Observed, SideName
from oryx_py.numerics.als.phases import Block
from oryx_py.numerics.arrays import DoubleVector, IntVector
from oryx_py.numerics.objective import Objective

__all__ = ["Histories", "Portion", "read_histories", "read_portion", "weighed_portion", "write_portion"]

_HEAD_BYTES = 1 << 12
_RENUMBERED = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Histories of some rows: ``indptr`` int64[m + 1] from 0, ``indices`` int32[n] into ``wanted``, int32[d] rows of
    the other side, ascending; ``strengths`` float64[n]."""

    indptr: IntVector
    indices: NDArray[np.int32]
    strengths: DoubleVector
    wanted: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Portion:
    """Pairs as the kernel takes them, of the rows from ``first`` on, and which rows of the other side they are with."""

    first: int
    pairs: Observed
    wanted: NDArray[np.int32]

    def rows(self, first: int, last: int) -> Observed:
        """Return the pairs of some of the rows."""
        pairs, at = self.pairs, slice(first - self.first, last - self.first)
        indptr = pairs.indptr[at.start : at.stop + 1]
        return Observed(indptr, pairs.indices, pairs.weights, pairs.targets, pairs.ridges[at], pairs.others)


def read_histories(histories: Exchange, side: SideName, rows: Block) -> Histories:
    """Read the histories of some rows, and nothing else of these files."""
    names = history_files(side)
    indptr = _read_span(histories, names[0], np.int64, rows.first, rows.last + 1)
    first, last = int(indptr[0]), int(indptr[-1])
    indices: NDArray[np.int32] = _read_span(histories, names[1], np.int32, first, last)
    wanted = np.unique(indices)
    for at in range(0, len(indices), _RENUMBERED):
        part = indices[at : at + _RENUMBERED]
        part[:] = np.searchsorted(wanted, part)
    return Histories(indptr - first, indices, _read_span(histories, names[2], np.float64, first, last), wanted)


def weighed_portion(
    known: Histories, side: SideName, rows: Block, others: int, objective: Objective, out: IntVector
) -> Portion:
    """Weigh histories.

    Args:
        known: of these rows.
        side: whose.
        rows: which.
        others: how many rows the other side has.
        objective: which weighs them.
        out: users whom the training leaves out, ascending.
    """
    mine, theirs = None, None
    if side == "users":
        mine = np.isin(np.arange(rows.first, rows.last), out)
    else:
        theirs = np.isin(known.wanted, out)
    pairs = Observed.of(
        known.indptr, known.indices, known.strengths, others, objective, rows_out=mine, others_out=theirs
    )
    return Portion(rows.first, pairs, known.wanted)


def write_portion(work: Exchange, name: str, portion: Portion) -> int:
    """Write a portion; returns the bytes."""
    pairs = portion.pairs
    sizes = [portion.first, pairs.rows, len(pairs.indices), len(portion.wanted), pairs.others]
    parts = (pairs.indptr, portion.wanted, pairs.indices, pairs.weights, pairs.targets, pairs.ridges)
    return work.write(name, [np.array(sizes, np.int64), *parts])


def read_portion(work: Exchange, name: str) -> Portion:
    """Read a portion."""
    memory = np.empty(work.size(name), np.uint8)
    work.read(name, 0, memory)
    first, rows, count, wanted, others = memory[:40].view(np.int64).tolist()
    arrays, at = [], 40
    kinds = [np.int64, np.int32, np.int32, np.float32, np.float32, np.float32]
    for kind, length in zip(kinds, [rows + 1, wanted, count, count, count, rows], strict=True):
        size = np.dtype(kind).itemsize * length
        arrays.append(memory[at : at + size].view(kind))
        at += size
    indptr, of_others, indices, weights, targets, ridges = arrays
    return Portion(first, Observed(indptr, indices, weights, targets, ridges, others), of_others)


def _read_span(files: Exchange, name: str, dtype: type, first: int, last: int) -> NDArray[Any]:
    """Entries of a flat ``.npy`` file."""
    head = np.empty(min(_HEAD_BYTES, files.size(name)), np.uint8)
    files.read(name, 0, head)
    with io.BytesIO(head.tobytes()) as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        begin = file.tell()
    found: NDArray[Any] = np.empty(last - first, dtype)
    files.read(name, begin + first * found.itemsize, found)
    return found
