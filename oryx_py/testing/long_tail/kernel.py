"""The compiled part: tastes over clusters, and a user's items one after the other."""

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleVector, FloatMatrix, FloatVector, IntVector
from oryx_py.numerics.compiled.compiling import compiled, part

TRIES = 64
"""Draws of an item that the user has already; then any other item does, lest it goes on for ever."""

UNIT = 1.0 / 9007199254740992.0
"""2^-53, which makes 53 random bits a number in [0, 1)."""


@part
def random(state: NDArray[np.uint64]) -> float:
    """Return the next number in [0, 1) by SplitMix64 (Steele, Lea & Flood 2014), whose state is one integer."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * UNIT


@part
def below(sums: DoubleVector, first: int, last: int, value: float) -> int:
    """Return the place in ``[first, last)`` whose step from ``sums[i]`` to ``sums[i + 1]`` has the value."""
    while last - first > 1:
        middle = (first + last) >> 1
        if sums[middle] <= value:
            first = middle
        else:
            last = middle
    return first


@part
def tastes(x: FloatVector, kinds: FloatMatrix, sums: DoubleVector, into: DoubleVector) -> None:
    """Sum up what a taste gives each cluster: its popularity times ``exp(x · z)``; ``into`` float64[clusters + 1]."""
    total = 0.0
    into[0] = 0.0
    for c in range(len(kinds)):
        match = np.float32(0)
        for j in range(len(x)):
            match += x[j] * kinds[c, j]
        total += sums[c] * np.exp(match)
        into[c + 1] = total


@compiled
def meet(
    keys: NDArray[np.uint64],
    counts: IntVector,
    early: FloatMatrix,
    late: FloatMatrix,
    drift: float,
    kinds: FloatMatrix,
    weights: DoubleVector,
    members: NDArray[np.int32],
    indptr: IntVector,
    cumulative: DoubleVector,
    items: NDArray[np.int32],
    when: DoubleVector,
    strengths: FloatVector,
) -> None:
    """Draw ``counts`` interactions of each user, in the order of time.

    Args:
        keys: uint64[n], the seed of each user.
        counts: int64[n].
        early, late: float32[n, rank]; see `People`.
        drift: probability at the end of time that the late taste counts.
        kinds, members, indptr, cumulative: see `Catalogue`.
        weights: float64[clusters], popularity of each.
        items: int32[sum of counts], out.
        when: float64[sum of counts], out; in [0, 1).
        strengths: float32[sum of counts], out; whole numbers, mostly 1.
    """
    state = np.empty(1, np.uint64)
    clusters = len(kinds)
    sums = np.empty((2, clusters + 1))
    met_by = np.full(len(members), -1, np.int32)
    at = 0
    for user in range(len(keys)):
        n = counts[user]
        if n == 0:
            continue
        state[0] = keys[user]
        tastes(early[user], kinds, weights, sums[0])
        tastes(late[user], kinds, weights, sums[1])
        arrival = 0.7 * random(state)
        times = np.empty(n)
        for k in range(n):
            times[k] = arrival + (1.0 - arrival) * random(state)
        found = np.empty(n, np.int32)
        for k in range(n):
            item = np.int32(-1)
            for _ in range(TRIES):
                row = sums[1 if random(state) < drift * times[k] else 0]
                c = below(row, 0, clusters, random(state) * row[clusters])
                place = cumulative[indptr[c]] + random(state) * weights[c]
                item = members[below(cumulative, indptr[c], indptr[c + 1], place)]
                if met_by[item] != user:
                    break
            while met_by[item] == user:
                item = np.int32(random(state) * len(members))
            met_by[item] = user
            found[k] = item
        order = np.argsort(times)
        for k in range(n):
            items[at + k] = found[order[k]]
            when[at + k] = times[order[k]]
            strength = 1
            while strength < 10 and random(state) < 0.2:
                strength += 1
            strengths[at + k] = strength
        at += n
