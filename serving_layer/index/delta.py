"""What the generation's index does not know: items that are new, moved or gone since."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.state.vectors import VectorTable
from oryx_py.numerics.ranking.shortlist import shortlist
from serving_layer.index.ranking import outside
from serving_layer.index.scoring import SMALL_NORM, Factors, Handles, Metric, Query, margin

__all__ = ["Delta"]


class Delta(NamedTuple):
    """A look at the delta of a table of vectors.

    ``handles`` int64[m], ``vectors`` float32[m, k], ``present`` bool[m]. They are views: the table's owner may change
    a vector while another thread scans it, which decides no more than whether that one becomes a candidate; scores
    are always those of the live vectors.
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

    def candidates(self, query: Query, want: int, skip: Handles, metric: Metric) -> Handles:
        """Return the handles among which the ``want`` best are; none of ``skip``, int64[s], ascending.

        ``query`` as of `ItemIndex.best`.
        """
        if not len(self.handles):
            return self.handles
        kept = self.present & outside(self.handles, skip)
        if np.count_nonzero(kept) <= want:
            return self.handles[kept]
        norm = float(np.sqrt((query * query).sum()))
        vectors = self.vectors[:, : len(query)] if metric == "cosine" else self.vectors
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        slack = self._slack(norms, norm, metric)
        if not np.isfinite(slack):
            return self.handles[kept]
        scores = (vectors @ (query / norm).astype(np.float32)).astype(np.float64)
        if metric == "cosine":
            scores = np.divide(scores, norms, out=np.zeros_like(scores), where=norms > 0)
        return self.handles[shortlist(np.where(kept, scores, -np.inf), want, slack)]

    def _slack(self, norms: Query, norm: float, metric: Metric) -> float:
        features, largest = self.vectors.shape[1], float(norms.max())
        if norm == 0:
            return np.inf
        if metric == "dot":
            return margin(features, largest, norm)
        fits = norms.min(initial=np.inf, where=norms > 0) > SMALL_NORM and largest < 1 / SMALL_NORM
        return margin(features, 1.0) if fits else np.inf
