"""Folds a micro-batch's interactions into pairs, onto the state before them."""

import numpy as np

from oryx_py.events.fold import fold_columns
from oryx_py.model.state.model_state import ModelState
from speed_layer.micro_batches.micro_batch import MicroBatch, nothing_but
from speed_layer.micro_batches.rows import SWEPT, WHOLE_USER, Rows

__all__ = ["folded_onto"]


def folded_onto(state: ModelState, rows: Rows, forgotten_items: frozenset[int]) -> MicroBatch:
    """Fold rows, by user and then in the order of arrival, onto the state."""
    if not len(rows):
        return nothing_but(forgotten_items)
    begins = np.flatnonzero(np.diff(rows.users, prepend=-1))
    ends = np.append(begins[1:], len(rows)) - 1
    users = rows.users[begins]
    owner = np.repeat(np.arange(len(users)), ends - begins + 1)
    inputs, at_ms = rows.offsets[ends], np.maximum.reduceat(rows.times_ms, begins)
    items, strengths = rows.items, rows.strengths
    forgotten = np.zeros(len(users), np.bool_)
    whole = np.flatnonzero(items == WHOLE_USER)
    if len(whole):
        last = np.full(len(users), -1, np.int64)
        last[owner[whole]] = whole
        forgotten = last >= 0
        after = np.arange(len(rows)) > last[owner]
        # Also what came before the forget in this very batch: one that was cut otherwise may have sent it.
        before_it = ~after & (items != WHOLE_USER)
        who = np.flatnonzero(forgotten)
        indptr, known, _ = state.histories.gather(users[who])
        owner = np.concatenate([np.repeat(who, np.diff(indptr)), owner[before_it], owner[after]])
        gone = np.full(len(known) + np.count_nonzero(before_it), np.nan)
        strengths = np.concatenate([gone, strengths[after]])
        items = np.concatenate([known, items[before_it], items[after]])
    order = np.lexsort((items, owner))
    sorted_owner, sorted_items = owner[order], items[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (sorted_owner[1:] != sorted_owner[:-1]) | (sorted_items[1:] != sorted_items[:-1])
    pair = np.empty(len(order), np.int64)
    pair[order] = np.cumsum(first) - 1
    pair_owner, pair_items = sorted_owner[first], sorted_items[first]
    before = state.histories.strengths(users[pair_owner], pair_items)
    had = np.flatnonzero(~np.isnan(before) & ~forgotten[pair_owner])
    folded = fold_columns(
        np.concatenate([had, pair]),
        np.concatenate([before[had], strengths]),
        state.generation.manifest.fold,
        len(pair_items),
    )
    indptr = np.zeros(len(users) + 1, np.int64)
    np.cumsum(np.bincount(pair_owner, minlength=len(users)), out=indptr[1:])
    swept = at_ms == SWEPT
    at_ms = np.maximum(at_ms, -1)
    return MicroBatch(users, inputs, at_ms, forgotten, indptr, pair_items, folded, forgotten_items, swept)
