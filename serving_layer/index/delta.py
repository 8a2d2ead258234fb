"""What the generation's index does not know: items that are new, moved or gone since."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.state.vectors import VectorTable
from oryx_py.numerics.ranking.shortlist import shortlist
from serving_layer.index.ranking import Ranked, outside
from serving_layer.index.scoring import SMALL_NORM, Factors, Handles, Metric, Query, exact_scores, margin

__all__ = ["Delta"]


class Delta(NamedTuple):
    """A look at the delta of a table of vectors.

    ``handles`` int64[m], ``vectors`` float32[m, k], ``present`` bool[m]. They are views: the table's owner may change
    a vector while another thread scans it. What is found of that one is nothing then, and who takes up what was found
    puts it right.
    """

    handles: Handles
    vectors: Factors
    present: NDArray[np.bool_]

    @classmethod
    def of(cls, table: VectorTable) -> Self:
        """Look at a table; for its owner's thread."""
        return cls(table.delta_handles, table.delta_matrix, table.delta_present)

    @property
    def cost(self) -> int:
        """About how many multiplications a search takes."""
        return int(self.vectors.size)

    def masked(self, rows: int) -> Handles:
        """Return the rows of the generation, of which there are ``rows``, that the delta replaces; in no order."""
        return self.handles[self.handles < rows]

    def candidates(self, query: Query, want: int, skip: Handles, metric: Metric) -> Ranked:
        """Return those among which the ``want`` best are, with their exact scores, but in the delta's order.

        ``query`` as of `ItemIndex.best`. None is of ``skip``, int64[s], ascending.
        """
        if not len(self.handles):
            return Ranked(self.handles, np.empty(0, np.float32))
        kept = self.present & outside(self.handles, skip)
        if not query.any():  # all are tied
            handles = self.handles[kept]
            return Ranked(handles, np.zeros(len(handles), np.float32))
        slots = np.flatnonzero(kept)
        if len(slots) > want:
            slots = self._best(query, want, kept, metric)
        return Ranked(self.handles[slots], exact_scores(query, self.vectors, metric, slots))

    def _best(self, query: Query, want: int, kept: NDArray[np.bool_], metric: Metric) -> Handles:
        norm = float(np.sqrt((query * query).sum()))
        vectors = self.vectors[:, : len(query)] if metric == "cosine" else self.vectors
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        slack = self._slack(norms, norm, metric)
        if not np.isfinite(slack):
            return np.flatnonzero(kept)
        scores = (vectors @ (query / norm).astype(np.float32)).astype(np.float64)
        if metric == "cosine":
            scores = np.divide(scores, norms, out=np.zeros_like(scores), where=norms > 0)
        return shortlist(np.where(kept, scores, -np.inf), want, slack)

    def _slack(self, norms: Query, norm: float, metric: Metric) -> float:
        features, largest = self.vectors.shape[1], float(norms.max())
        if norm == 0:
            return np.inf
        if metric == "dot":
            return margin(features, largest, norm)
        fits = norms.min(initial=np.inf, where=norms > 0) > SMALL_NORM and largest < 1 / SMALL_NORM
        return margin(features, 1.0) if fits else np.inf
