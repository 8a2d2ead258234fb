"""Some rows of factors that lie in files, as one matrix."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from batch_layer.task_files.exchange import Exchange
from batch_layer.training.blocks.cutting import Factors
from oryx_py.numerics.als.portions import READ_BYTES
from oryx_py.numerics.arrays import FloatMatrix, IntVector
from oryx_py.numerics.compiled.aligned import aligned

__all__ = ["gather", "read_rows", "runs"]


def gather(work: Exchange, factors: Factors, wanted: NDArray[np.int32]) -> FloatMatrix:
    """Return these rows, ascending, none twice, float32[n, k]; files are read one after the other, each in its order.

    Rows that lie near each other are read in one go, with what is between them.
    """
    found = aligned(len(wanted), factors.features)
    row_bytes = 4 * factors.features
    places = np.searchsorted(wanted, factors.edges).tolist()
    for group, (first, last) in enumerate(pairwise(places)):
        if group in factors.zeros:
            found[first:last] = 0
            continue
        rows = wanted[first:last].astype(np.int64) - factors.edges[group]
        for start, stop in runs(rows, work.gap_bytes // row_bytes, max(1, READ_BYTES // row_bytes)):
            low, high = int(rows[start]), int(rows[stop - 1]) + 1
            target = found[first + start : first + stop]
            if high - low == stop - start:
                work.read(factors.file(group), low * row_bytes, target)
                continue
            span = np.empty((high - low, factors.features), np.float32)
            work.read(factors.file(group), low * row_bytes, span)
            np.take(span, rows[start:stop] - low, axis=0, out=target)
    return found


def runs(rows: IntVector, gap: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut ascending rows, int64[n], into runs of at most ``most`` rows with what is between them, no gap over ``gap``.

    Yields ``(start, stop)`` of each, places in ``rows``.
    """
    breaks = (np.flatnonzero(np.diff(rows) > gap + 1) + 1).tolist()
    for start, end in zip([0, *breaks], [*breaks, len(rows)], strict=True):
        at = start
        while at < end:
            stop = min(end, int(np.searchsorted(rows, rows[at] + most)))
            yield at, stop
            at = stop


def read_rows(work: Exchange, factors: Factors, group: int, first: int, last: int) -> FloatMatrix:
    """Return rows of one group's, ``first`` to ``last`` of the side's."""
    found = np.zeros((last - first, factors.features), np.float32)
    if group not in factors.zeros and found.size:
        work.read(factors.file(group), 4 * factors.features * (first - factors.edges[group]), found)
    return found
