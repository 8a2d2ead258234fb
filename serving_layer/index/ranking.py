"""What comes first: by score, ties by ID. Pure.

A tie is a tie of what is shown. So the order is a function of the vectors alone, whatever found the candidates, and
pages neither repeat nor miss an item.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving_layer.index.scoring import Handles, Scores

__all__ = ["Ranked", "distinct", "in_order", "largest_counts", "merged", "outside"]


class Ranked(NamedTuple):
    """Handles, int64[n], and their scores, float32[n], best first."""

    handles: Handles
    scores: Scores


def in_order(handles: Handles, scores: NDArray[np.generic], base: int, name: Callable[[int], str]) -> Handles:
    """Return the positions in the order of the answer: by score descending, ties by ID, bytewise.

    Handles below ``base`` are rows of a generation, whose order is that of the IDs; ``name`` gives the ID of any
    handle.
    """
    order = np.lexsort((handles, np.negative(scores)))
    if not (handles >= base).any():
        return order
    ordered = scores[order]
    borders = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1, [len(order)]])
    starts, ends = borders[:-1], borders[1:]
    tied = (ends - starts > 1) & (handles[order[ends - 1]] >= base)
    for start, end in zip(starts[tied].tolist(), ends[tied].tolist(), strict=True):
        run = order[start:end].tolist()
        order[start:end] = sorted(run, key=lambda at: name(int(handles[at])).encode())
    return order


def merged(rows: Ranked, delta: Ranked, want: int, base: int, name: Callable[[int], str]) -> Ranked:
    """Return the ``want`` best of two lists without common handles, as `in_order` has them."""
    handles = np.concatenate([rows.handles, delta.handles])
    scores = np.concatenate([rows.scores, delta.scores])
    order = in_order(handles, scores, base, name)[:want]
    return Ranked(handles[order], scores[order])


def outside(handles: Handles, left_out: Handles) -> NDArray[np.bool_]:
    """Return bool[n]: which handles are not among ``left_out``, int64[m], ascending."""
    if not len(left_out):
        return np.ones(len(handles), np.bool_)
    at = left_out.searchsorted(handles)
    return np.not_equal(left_out.take(at, mode="clip"), handles)


def distinct(handles: Handles) -> Handles:
    """Return int64[m]: each handle once, ascending; of many sooner than NumPy's `unique`, which hashes them."""
    ascending = np.sort(handles)
    first = np.ones(len(ascending), np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    return ascending[first]


def largest_counts(counts: NDArray[np.int64], want: int, base: int, name: Callable[[int], str]) -> Handles:
    """Return the handles of the ``want`` largest counts above 0, largest first, ties by ID; int64[≤ want].

    ``counts`` int64[handles], by handle; ``base`` and ``name`` as of `in_order`.
    """
    if want <= 0 or not len(counts):
        return np.empty(0, np.int64)
    want = min(want, len(counts))
    boundary = max(int(np.partition(counts, len(counts) - want)[len(counts) - want]), 1)
    tied = np.flatnonzero(counts == boundary)
    split = int(np.searchsorted(tied, base))
    # Of the rows, the first ones are first by ID too; a million of them may share the boundary.
    candidates = np.concatenate([np.flatnonzero(counts > boundary), tied[:split][:want], tied[split:]])
    return candidates[in_order(candidates, counts[candidates], base, name)[:want]]
