"""What has changed in many users' histories since the generation, as arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChangedRows"]


@dataclass(frozen=True, slots=True, eq=False)
class ChangedRows:
    """Users' changed pairs as compressed sparse rows: what `oryx_py.model.state.pair_delta` holds.

    ``users`` int64[m]: handles, ascending, none twice. Row ``i`` has the pairs ``indptr[i]`` … ``indptr[i + 1] - 1``
    (int64[m + 1], from 0), in the order in which they first changed, no item twice. ``items`` int32[p]: handles.
    ``strengths`` float64[p]: folded, NaN where the generation has the pair and it is no longer known.
    """

    users: NDArray[np.int64]
    indptr: NDArray[np.int64]
    items: NDArray[np.int32]
    strengths: NDArray[np.float64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """bool[p]: which pairs are known."""
        return ~np.isnan(self.strengths)

    def user_of_pairs(self) -> NDArray[np.int64]:
        """Return int64[p]: the user of each pair."""
        return np.repeat(self.users, np.diff(self.indptr))

    def fault(self, users: int, items: int) -> str | None:
        """Say what is wrong with the arrays, where there are so many handles of each side; None where nothing is."""
        if not _ascends(self.users, users):
            return "users do not ascend, or are no handles"
        if not (len(self.indptr) == len(self.users) + 1 and self.indptr[0] == 0 and (np.diff(self.indptr) >= 0).all()):
            return "indptr does not ascend from 0"
        if not self.indptr[-1] == len(self.items) == len(self.strengths):
            return "indptr does not end with the pairs"
        if len(self.items) and not (self.items.min() >= 0 and self.items.max() < items):
            return "items are no handles"
        return "strengths are infinite" if np.isinf(self.strengths).any() else None


def _ascends(handles: NDArray[np.int64], count: int) -> bool:
    return not len(handles) or bool(handles[0] >= 0 and handles[-1] < count and (np.diff(handles) > 0).all())
