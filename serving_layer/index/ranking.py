"""What comes first: by score, ties by ID. Pure.

A tie is a tie of what is shown. So the order is a function of the vectors alone, whatever found the candidates, and
pages neither repeat nor miss an item.
"""

from bisect import bisect_left
from collections.abc import Callable
from heapq import merge
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving_layer.index.scoring import Handles, Scores

__all__ = ["Ranked", "distinct", "in_order", "largest_counts", "merged", "outside"]


_MANY: Final = 256
"""New items, of which it is worth to look first which have a chance."""
_AT_ONCE: Final = 4096
"""Names sorted in one go, which no other thread interrupts: some two milliseconds."""


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
        run = order[start:end]
        split = int(handles[run].searchsorted(base))
        order[start:end] = _woven(run[:split], run[split:], handles, name)
    return order


def _woven(rows: Handles, new: Handles, handles: Handles, name: Callable[[int], str]) -> Handles:
    """Return positions by ID: of rows, which are in that order, and of new items, each of which is looked for there.

    A run may have all rows of a generation, and one new item.
    """
    came = _by_name([(name(handle), at) for handle, at in zip(handles[new].tolist(), new.tolist(), strict=True)])
    of_rows = handles[rows].tolist()
    places: list[int] = []
    place = 0
    if len(came) * len(of_rows).bit_length() < len(of_rows):
        for wanted, _ in came:
            place = bisect_left(of_rows, wanted, lo=place, key=name)
            places.append(place)
    else:
        names = [name(row) for row in of_rows]
        for wanted, _ in came:
            place = bisect_left(names, wanted, lo=place)
            places.append(place)
    return np.insert(rows, places, [at for _, at in came])


def _by_name(named: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Sort by name, which Python's strings are compared by as their bytes are."""
    if len(named) <= _AT_ONCE:
        return sorted(named)
    return list(merge(*(sorted(named[start : start + _AT_ONCE]) for start in range(0, len(named), _AT_ONCE))))


def merged(rows: Ranked, delta: Ranked, want: int, base: int, name: Callable[[int], str]) -> Ranked:
    """Return the ``want`` best of two lists without common handles, as `in_order` has them."""
    handles = np.concatenate([rows.handles, delta.handles])
    scores = np.concatenate([rows.scores, delta.scores])
    if len(delta.handles) > _MANY and want < len(scores):
        kept = _contenders(handles, scores, want, base, name)
        handles, scores = handles[kept], scores[kept]
    order = in_order(handles, scores, base, name)[:want]
    return Ranked(handles[order], scores[order])


def _contenders(
    handles: Handles, scores: NDArray[np.generic], want: int, base: int, name: Callable[[int], str]
) -> Handles:
    """Return positions among which the ``want`` first are, fewer than all; each of the new ones is named once at most.

    Thousands may be tied with the last one wanted, of which no more than the first rows have a chance, and new ones
    whose ID is before the last of these.
    """
    if want <= 0:
        return np.empty(0, np.int64)
    boundary = np.partition(scores, len(scores) - want)[len(scores) - want]
    above, tied = np.flatnonzero(scores > boundary), np.flatnonzero(scores == boundary)
    left = want - len(above)
    is_row = handles[tied] < base
    rows, new = tied[is_row], tied[~is_row]
    if len(rows) >= left:
        rows = rows[np.argsort(handles[rows])[:left]]
        last = name(int(handles[rows[-1]]))
        new = new[[name(handle) < last for handle in handles[new].tolist()]] if len(new) else new
    return np.concatenate([above, rows, new])


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
