"""What is taken over at once is what would have come of one pair after the other, and goes on as that does."""

import numpy as np

from oryx_py.model.state.changed_rows import ChangedRows
from oryx_py.model.state.pair_delta import PairDelta
from oryx_py.numerics.pairs.pair_table import Base

USERS, ITEMS = 300, 1000


def over_some_rows() -> PairDelta:
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 30, USERS)
    indices = [np.sort(rng.choice(ITEMS, count, replace=False)) for count in counts]
    base = Base(
        np.concatenate([[0], np.cumsum(counts)]), np.concatenate(indices).astype(np.int32), np.ones(counts.sum())
    )
    return PairDelta(base, np.bincount(base.indices, minlength=ITEMS))


def rows_of(delta: PairDelta) -> list[list[object]]:
    """Everything that can be asked of it."""
    users = np.arange(USERS + 5)
    columns = (*delta.gather(users), *delta.entries(), delta.popularity(ITEMS), delta.activity(len(users)))
    return [np.nan_to_num(column, nan=-1).tolist() for column in columns]


def test_rows_are_taken_over_as_pairs_would_be() -> None:
    rng = np.random.default_rng(1)
    users = np.sort(rng.choice(USERS + 5, 200, replace=False))
    counts = rng.integers(0, 50, len(users))
    loaded, put = over_some_rows(), over_some_rows()
    for each in (loaded, put):
        each.forget(int(users[3]))
    rows = np.repeat(users, counts)
    items = np.concatenate([rng.choice(ITEMS, count, replace=False) for count in counts])
    strengths = np.arange(len(rows), dtype=float)
    in_base = ~np.isnan(put.strengths(rows, items))
    strengths[in_base & (rng.random(len(rows)) < 0.5)] = np.nan
    put.put(rows, items, strengths)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    loaded.load(ChangedRows(users, indptr, items.astype(np.int32), strengths))
    assert np.isnan(strengths).any()
    assert rows_of(loaded) == rows_of(put)
    for delta in (loaded, put):
        more = np.random.default_rng(3)
        who, what = more.integers(0, USERS, 5000), more.integers(0, ITEMS, 5000)
        delta.put(who, what, np.where(more.random(5000) < 0.3, np.nan, 2.0))
        delta.forget(7)
    assert rows_of(loaded) == rows_of(put)


def test_nothing_is_taken_over_of_nobody() -> None:
    delta = over_some_rows()
    before = rows_of(delta)
    delta.load(ChangedRows(np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0)))
    assert rows_of(delta) == before
