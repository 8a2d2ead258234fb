"""How the items of a generation are searched."""

from typing import Protocol

from serving_layer.index.norm_order import NormOrder
from serving_layer.index.ranking import Ranked
from serving_layer.index.scoring import Handles, Metric, Query

__all__ = ["ItemIndex"]


class ItemIndex(Protocol):
    """Finds the best rows of a generation's item factors, which never change; any thread may call it."""

    @property
    def rows(self) -> int:
        """How many items there are."""
        ...

    @property
    def cost(self) -> int:
        """About how many multiplications a search takes."""
        ...

    @property
    def largest_norm(self) -> float:
        """The length of the longest row."""
        ...

    @property
    def by_norm(self) -> NormOrder | None:
        """The rows by length, where that rules out many."""
        ...

    def best(self, query: Query, want: int, skip: Handles, metric: Metric) -> Ranked:
        """Return the ``want`` best rows, fewer only where there are no more, by exact score, ties by row.

        ``query`` float64[k], of a cosine only the columns that cosines compare; ``skip`` int64[s], ascending and
        unique: rows to leave out.
        """
        ...
