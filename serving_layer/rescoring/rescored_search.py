"""The best candidates by what plug-ins make of their scores.

Everything is looked at as it is when a search begins: plug-ins take their time, and no item that they have not seen may
come into the answer.
"""

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.ids.id_space import IdSpace
from serving_layer.index import ItemIndex
from serving_layer.index.ranking import Ranked, in_order, largest_counts, merged, outside
from serving_layer.index.scoring import Factors, Handles, Metric, Query, exact_scores, shown
from serving_layer.model.served_model import ServedModel
from serving_layer.rescoring.applying import Rescoring
from serving_layer.rescoring.candidates import Candidates, Table

__all__ = ["CountSnapshot", "ItemSnapshot"]


class _Names(NamedTuple):
    """The IDs of a moment, for any thread."""

    generation: str
    kind: str
    table: Table
    new: list[str]

    def of(self, handle: int) -> str:
        """Return the ID of a handle."""
        base = len(self.table)
        return self.table.id(handle) if handle < base else self.new[handle - base]

    def candidates(self, handles: Handles) -> Candidates:
        return Candidates(self.generation, self.kind, self.table, handles, self.new)


class ItemSnapshot(NamedTuple):
    """The items of a model at a moment, for any thread: what the generation has, and copies of what came since."""

    rows: ItemIndex
    factors: Factors
    moved: Handles
    """The rows that are no more what the generation has."""
    handles: Handles
    vectors: Factors
    names: _Names

    @classmethod
    def of(cls, model: ServedModel) -> Self:
        """Look at a model; for its loop."""
        table, generation = model.state.item_vectors, model.state.generation
        handles, present = table.delta_handles, table.delta_present
        return cls(
            model.index,
            table.base,
            handles[handles < len(table.base)],
            handles[present],
            table.delta_matrix[present],
            _Names(model.generation, "items", generation.items, model.state.items.since()),
        )

    def best(self, rescoring: Rescoring, query: Query, want: int, excluded: Handles, metric: Metric) -> Ranked:
        """Return the ``want`` best items by their new scores, ties by ID; for a plug-in's thread.

        ``excluded`` int64[e], handles to leave out.

        Raises:
            RescorerFailed: a plug-in did.
        """
        base = len(self.factors)
        there = np.ones(base, np.bool_)
        there[self.moved] = False
        there[excluded[excluded < base]] = False
        rows = np.flatnonzero(there)
        since = np.flatnonzero(outside(self.handles, np.sort(excluded)))
        candidates = self.names.candidates(np.concatenate([rows, self.handles[since]]))
        kept = rescoring.kept(candidates)
        rows_kept, since_kept = rows[kept[kept < len(rows)]], since[kept[kept >= len(rows)] - len(rows)]
        since_scores = exact_scores(query, self.vectors[since_kept], metric)
        if rescoring.filters_only:
            there[:] = True
            there[rows_kept] = False
            best = self.rows.best(query, want, np.flatnonzero(there), metric)
            return merged(best, Ranked(self.handles[since_kept], since_scores), want, base, self.names.of)
        scores = np.concatenate([exact_scores(query, self.factors, metric, rows_kept), since_scores])
        positions, values = rescoring.rescored(candidates.take(kept), scores)
        handles = np.concatenate([rows_kept, self.handles[since_kept]])[positions]
        return _largest(handles, shown(values), want, base, self.names.of)


class CountSnapshot(NamedTuple):
    """Counts of items or users at a moment, for any thread."""

    counts: NDArray[np.int64]
    names: _Names

    @classmethod
    def of(cls, model: ServedModel, kind: str, counts: NDArray[np.int64], space: IdSpace) -> Self:
        """Look at counts, by handle; ``kind`` is "items" or "users"; for the loop of the model."""
        generation = model.state.generation
        table = generation.items if kind == "items" else generation.users
        return cls(counts.copy(), _Names(model.generation, kind, table, space.since()))

    def best(self, rescoring: Rescoring, want: int) -> tuple[Handles, NDArray[np.int64] | NDArray[np.float64]]:
        """Return the ``want`` largest new counts of what has one, ties by ID; for a plug-in's thread.

        The counts are int64 unless a plug-in made one no whole number.

        Raises:
            RescorerFailed: a plug-in did.
        """
        base = len(self.names.table)
        handles = np.flatnonzero(self.counts > 0)
        candidates = self.names.candidates(handles)
        kept = rescoring.kept(candidates)
        handles = handles[kept]
        if rescoring.filters_only:
            counts = np.zeros_like(self.counts)
            counts[handles] = self.counts[handles]
            best = largest_counts(counts, want, base, self.names.of)
            return best, counts[best]
        positions, values = rescoring.rescored(candidates.take(kept), self.counts[handles].astype(np.float64))
        ranked = _largest(handles[positions], values, want, base, self.names.of)
        new = ranked.scores.astype(np.float64)
        whole = new.astype(np.int64) if (np.abs(new) < 2.0**53).all() else new
        return ranked.handles, whole if np.array_equal(whole, new) else new


def _largest(
    handles: Handles, values: NDArray[np.floating], want: int, base: int, name: Callable[[int], str]
) -> Ranked:
    if 0 < want < len(values):
        boundary = np.partition(values, len(values) - want)[len(values) - want]
        near = np.flatnonzero(values >= boundary)
        handles, values = handles[near], values[near]
    order = in_order(handles, values, base, name)[:want]
    return Ranked(handles[order], values[order])
