"""Which items moved while another thread searched, so that what it found can be put right."""

from typing import Final, NamedTuple, Self

import numpy as np

from serving_layer.index.ranking import outside
from serving_layer.index.scoring import Factors, Handles
from serving_layer.model.served_model import ServedModel

__all__ = ["SPARE", "Changes"]

SPARE: Final = 8
"""Rows beyond those wanted, for items that move while another thread searches."""


class Changes(NamedTuple):
    """Items whose vector changed during a search, ``handles`` int64[c], ascending, and what they have now.

    ``present`` int64[p], those of them with a vector, and ``vectors`` float32[p, k]: copies, for any thread.
    """

    handles: Handles
    present: Handles
    vectors: Factors

    @classmethod
    def since(cls, model: ServedModel, version: int) -> Self:
        """Look at what changed since the table of item vectors had this version."""
        table = model.state.item_vectors
        handles = np.sort(table.changed_since(version))
        present = handles[table.has(handles)]
        return cls(handles, present, table.gather(present))

    def unchanged(self, found: Handles) -> Handles:
        """Return the positions of those that did not change."""
        return np.flatnonzero(outside(found, self.handles))

    def too_many(self, found: Handles, want: int) -> bool:
        """Say whether so many of the ``want + SPARE`` best found have changed that fewer than ``want`` are sure."""
        return len(found) >= want + SPARE and len(found) - len(self.unchanged(found)) > SPARE
