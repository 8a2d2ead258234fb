"""The fold of the log: from a pair's interactions, in the order of the partition's offsets, to its strength.

Implicit feedback: strengths add up, and a delete resets to "nothing". Explicit feedback: the last one wins, and a
delete removes it. A sum of 0 is not "nothing": the pair is known, but counts as unobserved. What is folded are the
strengths as `oryx_py.events.weighing` makes them of the interactions': by kind and age.
"""

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["FoldSettings", "KindSettings", "fold_columns", "fold_pair"]


class KindSettings(msgspec.Struct, frozen=True):
    """How interactions of one kind count: ``weight`` multiplies their strength, ``half_life_s`` is 0 for no decay."""

    weight: float = 1.0
    half_life_s: float = 0.0


class FoldSettings(msgspec.Struct, frozen=True):
    """How interactions become strengths; stands in the manifest under `fold`, and everybody takes it from there.

    Attributes:
        feedback: `implicit` adds up, `explicit` keeps the last.
        dedupe_window_s: a record whose user had its ID so long before is ignored (`oryx_py.events.dedupe`); 0: none is,
            as in manifests from before there was a window.
        dedupe_records: the window reaches back over at most so many records with an ID, by partition.
        half_life_s: a strength is halved by so much age; 0: never.
        kinds: by the name of a kind, how it counts in place of ``half_life_s`` and a weight of 1.
        zero_threshold: an interaction whose strength comes to less, whatever its sign, is ignored; 0: none is.
        max_age_s: one that is older is ignored; 0: none is.

    Raises:
        ValueError: decay, kinds or a threshold with explicit feedback, where no strengths add up.
    """

    feedback: Literal["implicit", "explicit"]
    dedupe_window_s: float = 0.0
    dedupe_records: int = 1_000_000
    half_life_s: float = 0.0
    kinds: dict[str, KindSettings] = {}
    zero_threshold: float = 0.0
    max_age_s: float = 0.0

    def __post_init__(self) -> None:
        if self.feedback == "explicit" and (self.half_life_s or self.kinds or self.zero_threshold):
            raise ValueError("explicit feedback has no decay, kinds or threshold: the last rating is as it is")

    @property
    def is_plain(self) -> bool:
        """Whether strengths fold as they are, whatever their kind and age."""
        return not (self.reads_time or self.kinds or self.zero_threshold)

    @property
    def reads_time(self) -> bool:
        """Whether strengths depend on the age of interactions, so that every generation has others."""
        decays = self.half_life_s or any(kind.half_life_s for kind in self.kinds.values())
        return bool(decays or self.max_age_s)

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
