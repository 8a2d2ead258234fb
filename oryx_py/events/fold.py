"""The fold of the log: from a pair's interactions, in the order of the partition's offsets, to its strength.

Implicit feedback: strengths add up, and a delete resets to "nothing". Explicit feedback: the last one wins, and a
delete removes it. A sum of 0 is not "nothing": the pair is known, but counts as unobserved.
"""

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["FoldSettings", "fold_columns", "fold_pair"]


class FoldSettings(msgspec.Struct, frozen=True):
    """How interactions become strengths; stands in the manifest under `fold`, and everybody takes it from there.

    Attributes:
        feedback: `implicit` adds up, `explicit` keeps the last.
        dedupe_window_s: a record whose user had its ID so long before is ignored (`oryx_py.events.dedupe`); 0: none is,
            as in manifests from before there was a window.
        dedupe_records: the window reaches back over at most so many records with an ID, by partition.
    """

    feedback: Literal["implicit", "explicit"]
    dedupe_window_s: float = 0.0
    dedupe_records: int = 1_000_000

    @property
    def dedupes(self) -> bool:
        """Whether IDs count at all."""
        return self.dedupe_window_s > 0

    @property
    def dedupe_window_ms(self) -> int:
        """The window in Kafka's unit."""
        return round(self.dedupe_window_s * 1000)


def fold_pair(state: float | None, strength: float | None, settings: FoldSettings) -> float | None:
    """Return a pair's state after one more interaction.

    Args:
        state: the folded strength so far, None for "nothing".
        strength: the interaction's, None for a delete.
        settings: the generation's.
    """
    if strength is None:
        return None
    if settings.feedback == "explicit":
        return strength
    # From 0.0 also where there was nothing, as `fold_columns` adds: 0.0 + -0.0 is 0.0.
    return (0.0 if state is None else state) + strength


def fold_columns(
    pair_ids: NDArray[np.int64], strengths: NDArray[np.float64], settings: FoldSettings, groups: int
) -> NDArray[np.float64]:
    """Fold many pairs at once, with the bits that `fold_pair` gives row by row.

    Args:
        pair_ids: int64[n], the number of each row's pair in 0 … groups-1; rows in the order of the log.
        strengths: float64[n], NaN for a delete.
        settings: the generation's.
        groups: the number of pairs.

    Returns:
        float64[groups], NaN for "nothing".
    """
    if len(pair_ids) == 0:
        return np.full(groups, np.nan)
    rows = np.arange(len(pair_ids))
    if settings.feedback == "explicit":
        last = _last_row(pair_ids, rows, groups)
        return np.where(last >= 0, strengths[last], np.nan)
    deleted = np.isnan(strengths)
    if deleted.any():
        alive = rows > _last_row(pair_ids[deleted], rows[deleted], groups)[pair_ids]
        pair_ids, strengths = pair_ids[alive], strengths[alive]
    # bincount adds in the order of the rows, one after the other, which makes the bits fold_pair's.
    sums: NDArray[np.float64] = np.bincount(pair_ids, weights=strengths, minlength=groups).astype(
        np.float64, copy=False
    )
    sums[np.bincount(pair_ids, minlength=groups) == 0] = np.nan
    return sums


def _last_row(pair_ids: NDArray[np.int64], rows: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Return int64[groups]: the last of each group's rows, -1 where it has none."""
    last = np.full(groups, -1, np.int64)
    last[pair_ids] = rows  # of equal indices NumPy keeps the last
    return last
