"""What a plug-in implements: a provider, which for a query returns a rescorer, or None to leave it as it is."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from serving_layer.rescoring.candidates import Candidates

__all__ = ["AnyRescorer", "Rescorer", "RescorerProvider", "VectorRescorer"]


class Rescorer:
    """Filters and rescores the candidates of one query, one by one; override what is needed."""

    def is_filtered(self, id: str) -> bool:  # noqa: A002, ARG002 - the field's own word
        """Say whether a candidate is left out; asked before `rescore`."""
        return False

    def rescore(self, id: str, value: float) -> float | None:  # noqa: A002, ARG002
        """Return a candidate's new score, None or NaN to leave it out."""
        return value


class VectorRescorer:
    """Filters and rescores all candidates of one query at once; override what is needed.

    For many items: the simple form takes about a microsecond a candidate, and holds the interpreter all the while.
    """

    def filtered(self, candidates: Candidates) -> NDArray[np.bool_] | None:  # noqa: ARG002
        """Return bool[n], which candidates are left out; None for none. Asked first, before anything is scored."""
        return None

    def rescore_many(self, candidates: Candidates, values: NDArray[np.float32]) -> NDArray[np.floating]:  # noqa: ARG002
        """Return float[n], the new scores of candidates; NaN leaves one out.

        ``values`` float32[n]: as they would be answered; of counts float64[n].
        """
        return values


AnyRescorer: TypeAlias = Rescorer | VectorRescorer


class RescorerProvider:
    """Returns a rescorer for each query; override the kinds of query that are to be changed.

    Made once, without arguments, when the service starts. Its methods, and those of what it returns, are called from
    several threads. ``params`` are the request's ``rescorerParams``, in order.
    """

    def recommend(self, users: Sequence[str], params: Sequence[str]) -> AnyRescorer | None:  # noqa: ARG002
        """Return what rescores the items for these users: one, or several who are recommended to together."""
        return None

    def recommend_to_anonymous(self, items: Sequence[str], params: Sequence[str]) -> AnyRescorer | None:  # noqa: ARG002
        """Return what rescores the items for whoever has just these."""
        return None

    def similarity(self, items: Sequence[str], params: Sequence[str]) -> AnyRescorer | None:  # noqa: ARG002
        """Return what rescores the items similar to these."""
        return None

    def popular_items(self, params: Sequence[str]) -> AnyRescorer | None:  # noqa: ARG002
        """Return what rescores the most popular items; values are counts."""
        return None

    def active_users(self, params: Sequence[str]) -> AnyRescorer | None:  # noqa: ARG002
        """Return what rescores the most active users; values are counts, IDs are users'."""
        return None
