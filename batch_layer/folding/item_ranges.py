"""The distinct items of all parts, in ranges: each range by itself, from sorted dictionaries that are mapped. Pure."""

import bisect
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Range", "range_edges", "sampled", "within"]

Strings: TypeAlias = "pa.Array[Any]"

Range: TypeAlias = tuple[str | None, str | None]
"""Strings from the first, up to and without the second; None: no bound."""

_SAMPLES = 256


def sampled(strings: Strings) -> list[str]:
    """Return up to some hundred of sorted strings, evenly spaced."""
    at = np.unique(np.linspace(0, len(strings) - 1, min(len(strings), _SAMPLES)).astype(np.int64))
    return [strings[place].as_py() for place in at.tolist()]


def range_edges(samples: Sequence[str], ranges: int) -> list[Range]:
    """Cut all strings into at most so many ranges, bytewise, each with about as many of the samples."""
    ordered = sorted(samples, key=str.encode)
    cuts = sorted({ordered[len(ordered) * n // ranges] for n in range(1, ranges)}, key=str.encode)
    edges = [None, *cuts, None]
    return list(pairwise(edges))


def within(dictionaries: Sequence[Strings], bounds: Range) -> Strings:
    """Return the distinct strings of a range, ascending bytewise.

    Args:
        dictionaries: each ascending bytewise, none twice in one.
        bounds: the range.
    """
    slices = [_slice(strings, bounds) for strings in dictionaries]
    found = pc.unique(pa.concat_arrays(slices))
    return found.take(pc.sort_indices(found))


def _slice(strings: Strings, bounds: Range) -> Strings:
    first, last = (None if bound is None else _place(strings, bound) for bound in bounds)
    return strings[0 if first is None else first : len(strings) if last is None else last]


def _place(strings: Strings, bound: str) -> int:
    """Return where the first string is that is not below the bound."""
    return bisect.bisect_left(range(len(strings)), bound.encode(), key=lambda at: strings[at].as_py().encode())
