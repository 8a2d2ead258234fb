"""Changed pairs over compressed sparse rows, as arrays; the compiled steps behind `oryx_py.model.state.pair_delta`.

A row's changes are a *run* of the pool: entries ``(item, place in the base row or -1)`` with a strength, NaN for a pair
that is gone. A run that is full moves to the pool's end with twice the room. A hash table with open addresses leads
from a pair to its entry's place in the run, so that a change takes a constant time whatever the run's length.

An entry of a pair that the base lacks and that is gone again is *dropped*: its item is -1 and the table says -1. Runs
close up when most of their entries are dropped.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import BoolVector, DoubleVector, IntVector
from oryx_py.numerics.compiled.compiling import compiled, lean, lean_part

__all__ = [
    "Base",
    "Table",
    "forget",
    "holding",
    "load",
    "mark",
    "measure",
    "put",
    "rehash",
    "repack",
    "strengths_of",
]

START, LENGTH, ROOM, DROPPED, CLEARED = 0, 1, 2, 3, 4
"""Columns of ``runs``; a cleared row has nothing of the base any more."""
POOL, RUNS, KEYS = 0, 1, 2
"""Places in ``used``."""
FEW = 32
"""Dropped entries that are kept whatever their share."""
FIRST = 4
"""Room of a new run."""


class Base(NamedTuple):
    """The rows below: int64[rows + 1], int32[pairs] ascending within a row, float64[pairs]; not writeable."""

    indptr: IntVector
    indices: NDArray[np.int32]
    strengths: DoubleVector


class Table(NamedTuple):
    """The changes; all arrays are larger than what is used of them.

    ``run_of`` int32[rows]: a row's run plus 1, 0 for none. ``runs`` int64[r, 5]. ``entries`` int32[p, 2] and ``values``
    float64[p] are the pool. ``keys`` int64[h] (row << 32 | item, -1 free; h a power of 2) and ``places`` int32[h].
    ``used`` int64[3]. ``row_counts`` int64[rows] and ``item_counts`` int64[items] count known pairs.
    """

    run_of: NDArray[np.int32]
    runs: NDArray[np.int64]
    entries: NDArray[np.int32]
    values: DoubleVector
    keys: IntVector
    places: NDArray[np.int32]
    used: IntVector
    row_counts: IntVector
    item_counts: IntVector


@lean_part
def slot_of(keys: IntVector, key: int) -> int:
    """Where a key is, or would be."""
    mask = len(keys) - 1
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
    at = np.int64(mixed >> np.uint64(24)) & mask
    while keys[at] >= 0 and keys[at] != key:
        at = (at + 1) & mask
    return at  # type: ignore[return-value]  # compiled, it is one


@lean_part
def key_of(row: int, item: int) -> int:
    """A pair as one number."""
    return (np.int64(row) << 32) | np.int64(item)  # type: ignore[return-value]  # compiled, it is one


@lean_part
def place_in_base(base: Base, row: int, item: int) -> int:
    """The place of an item in a row of the base, -1 where it is not."""
    if row >= len(base.indptr) - 1:
        return -1
    start = low = int(base.indptr[row])
    end = high = int(base.indptr[row + 1])
    while low < high:
        middle = (low + high) >> 1
        if base.indices[middle] < item:
            low = middle + 1
        else:
            high = middle
    return low - start if low < end and base.indices[low] == item else -1


@lean_part
def strength_of(base: Base, table: Table, row: int, item: int) -> float:
    """A pair's strength, NaN where it is not known."""
    run = table.run_of[row] - 1 if row < len(table.run_of) else -1
    if run >= 0:
        slot = slot_of(table.keys, key_of(row, item))
        if table.keys[slot] >= 0 and table.places[slot] >= 0:
            return float(table.values[table.runs[run, START] + table.places[slot]])
        if table.runs[run, CLEARED]:
            return np.nan
    at = place_in_base(base, row, item)
    return float(base.strengths[base.indptr[row] + at]) if at >= 0 else np.nan


@lean
def strengths_of(base: Base, table: Table, rows: IntVector, items: IntVector, found: DoubleVector) -> None:
    """Write the pairs' strengths, float64[n], NaN where they are not known."""
    for at in range(len(rows)):
        found[at] = strength_of(base, table, rows[at], items[at])


@lean_part
def close_up(table: Table, row: int, run: int) -> None:
    """Leave the dropped entries of a run out."""
    start, kept = table.runs[run, START], 0
    for at in range(start, start + table.runs[run, LENGTH]):
        item = table.entries[at, 0]
        if item >= 0:
            to = start + kept
            table.entries[to, 0] = item
            table.entries[to, 1] = table.entries[at, 1]
            table.values[to] = table.values[at]
            table.places[slot_of(table.keys, key_of(row, item))] = kept
            kept += 1
    table.runs[run, LENGTH] = kept
    table.runs[run, DROPPED] = 0


@lean_part
def has_room(table: Table, row: int) -> bool:
    """Whether one more change of a row fits, whatever it is."""
    run = table.run_of[row] - 1
    room = table.runs[run, ROOM] if run >= 0 else 0
    return bool(
        table.used[POOL] + 2 * room + FIRST <= len(table.values)
        and table.used[RUNS] < len(table.runs)
        and 2 * (table.used[KEYS] + 1) <= len(table.keys)
    )


@lean_part
def run_for(table: Table, row: int) -> int:
    """A row's run, a new one where it had none."""
    run = int(table.run_of[row]) - 1
    if run < 0:
        run = int(table.used[RUNS])
        table.used[RUNS] += 1
        table.run_of[row] = run + 1
        for column in range(5):
            table.runs[run, column] = 0
    return run


@lean_part
def append(table: Table, run: int, item: int, at_base: int, value: float) -> int:
    """Add an entry to a run; returns its place."""
    length, room = int(table.runs[run, LENGTH]), table.runs[run, ROOM]
    if length == room:
        start, to = table.runs[run, START], table.used[POOL]
        for step in range(length):
            table.entries[to + step, 0] = table.entries[start + step, 0]
            table.entries[to + step, 1] = table.entries[start + step, 1]
            table.values[to + step] = table.values[start + step]
        room = max(FIRST, 2 * room)
        table.runs[run, START], table.runs[run, ROOM] = to, room
        table.used[POOL] += room
    at = table.runs[run, START] + length
    table.entries[at, 0], table.entries[at, 1], table.values[at] = item, at_base, value
    table.runs[run, LENGTH] = length + 1
    return length


@lean
def put(base: Base, table: Table, rows: IntVector, items: IntVector, strengths: DoubleVector, begin: int) -> int:
    """Set pairs from number ``begin`` on, NaN making them unknown; returns the first for which there was no room."""
    for number in range(begin, len(rows)):
        row, item, strength = rows[number], items[number], strengths[number]
        if not has_room(table, row):
            return number
        known = not np.isnan(strength_of(base, table, row, item))
        gone = np.isnan(strength)
        if gone and not known:
            continue
        if known == gone:
            step = -1 if gone else 1
            table.row_counts[row] += step
            table.item_counts[item] += step
        run = run_for(table, row)
        key = key_of(row, item)
        slot = slot_of(table.keys, key)
        if table.keys[slot] < 0:
            table.keys[slot] = key
            table.places[slot] = -1
            table.used[KEYS] += 1
        place = table.places[slot]
        if place < 0:
            at_base = -1 if table.runs[run, CLEARED] else place_in_base(base, row, item)
            table.places[slot] = append(table, run, item, at_base, strength)
            continue
        at = table.runs[run, START] + place
        table.values[at] = strength
        if gone and table.entries[at, 1] < 0:
            table.entries[at, 0] = -1
            table.places[slot] = -1
            table.runs[run, DROPPED] += 1
            if table.runs[run, DROPPED] > max(FEW, table.runs[run, LENGTH] - table.runs[run, DROPPED]):
                close_up(table, row, run)
    return len(rows)


@lean
def load(
    base: Base, table: Table, rows: IntVector, indptr: IntVector, items: NDArray[np.int32], strengths: DoubleVector
) -> None:
    """Set the pairs of rows whose runs are empty and have the room, no pair twice; in a third of the time of `put`."""
    for number in range(len(rows)):
        row = rows[number]
        run = table.run_of[row] - 1
        start, cleared = table.runs[run, START], table.runs[run, CLEARED]
        first = indptr[number]
        for at in range(first, indptr[number + 1]):
            item, strength = items[at], strengths[at]
            at_base = -1 if cleared else place_in_base(base, row, item)
            gone = np.isnan(strength)
            if gone == (at_base >= 0):
                step = -1 if gone else 1
                table.row_counts[row] += step
                table.item_counts[item] += step
            key = key_of(row, item)
            slot = slot_of(table.keys, key)
            table.keys[slot], table.places[slot] = key, at - first
            to = start + at - first
            table.entries[to, 0], table.entries[to, 1], table.values[to] = item, at_base, strength
        table.runs[run, LENGTH] = indptr[number + 1] - first
    table.used[KEYS] += len(items)


@lean
def forget(base: Base, table: Table, row: int) -> bool:
    """Make all pairs of a row unknown, the base's for ever; False where there was no room."""
    if not has_room(table, row):
        return False
    run = run_for(table, row)
    start, length = table.runs[run, START], table.runs[run, LENGTH]
    if not table.runs[run, CLEARED] and row < len(base.indptr) - 1:
        for at in range(base.indptr[row], base.indptr[row + 1]):
            item = base.indices[at]
            if not np.isnan(strength_of(base, table, row, item)):
                table.item_counts[item] -= 1
    for at in range(start, start + length):
        item = table.entries[at, 0]
        if item >= 0:
            if table.entries[at, 1] < 0 and not np.isnan(table.values[at]):
                table.item_counts[item] -= 1
            table.places[slot_of(table.keys, key_of(row, item))] = -1
    table.row_counts[row] = 0
    table.runs[run, LENGTH] = table.runs[run, DROPPED] = 0
    table.runs[run, CLEARED] = 1
    return True


@lean_part
def mark(table: Table, start: int, length: int, replaced: BoolVector) -> None:
    """Note which places of the base row a run's entries replace."""
    for at in range(start, start + length):
        if table.entries[at, 1] >= 0:
            replaced[table.entries[at, 1]] = True


@compiled
def measure(table: Table, rows: IntVector) -> IntVector:
    """int64[n + 1]: where each row's known pairs begin, laid one after the other."""
    indptr = np.zeros(len(rows) + 1, dtype=np.int64)
    for number in range(len(rows)):
        row = rows[number]
        indptr[number + 1] = indptr[number] + (table.row_counts[row] if row < len(table.row_counts) else 0)
    return indptr


@lean
def rehash(old_keys: IntVector, old_places: NDArray[np.int32], keys: IntVector, places: NDArray[np.int32]) -> int:
    """Carry the pairs that have an entry into another table; returns their number."""
    count = 0
    for at in range(len(old_keys)):
        if old_keys[at] >= 0 and old_places[at] >= 0:
            slot = slot_of(keys, old_keys[at])
            keys[slot], places[slot] = old_keys[at], old_places[at]
            count += 1
    return count


@lean
def repack(
    runs: NDArray[np.int64],
    used: IntVector,
    old_entries: NDArray[np.int32],
    old_values: DoubleVector,
    entries: NDArray[np.int32],
    values: DoubleVector,
) -> None:
    """Lay the runs into another pool, one after the other, without what they have left behind."""
    to = 0
    for run in range(used[RUNS]):
        start = runs[run, START]
        for step in range(runs[run, LENGTH]):
            entries[to + step, 0] = old_entries[start + step, 0]
            entries[to + step, 1] = old_entries[start + step, 1]
            values[to + step] = old_values[start + step]
        runs[run, START] = to
        to += runs[run, ROOM]
    used[POOL] = to


@compiled
def holding(table: Table, item: int, rows: IntVector) -> int:
    """Write the rows whose changes make a pair with the item known, ascending; returns how many there are."""
    count = 0
    for row in range(len(table.run_of)):
        run = table.run_of[row] - 1
        if run < 0:
            continue
        start = table.runs[run, START]
        for at in range(start, start + table.runs[run, LENGTH]):
            if table.entries[at, 0] == item and not np.isnan(table.values[at]):
                rows[count] = row
                count += 1
                break
    return count
