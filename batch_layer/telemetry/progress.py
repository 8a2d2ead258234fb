"""How far a run is: what those who work report, and nothing of how it is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["OnProgress", "Progress", "unheard"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One report; None is what the step does not have or does not know yet.

    Args:
        step: what is being done, in a word: "read", "forget", "fold", "train", "solve", "write", "merge".
        rows: rows handled so far in this step.
        epoch: sweeps of the trainer that are done, from 0.
        of: how many epochs there are at most; of a step without epochs, how many rows.
        loss: of the training, as the objective has it.
        ndcg: nDCG of the validation, 0 … 1.
        left_s: seconds that this step will still take, as its worker sees it; reckoned from the reports otherwise.
    """

    step: str
    rows: int | None = None
    epoch: int | None = None
    of: int | None = None
    loss: float | None = None
    ndcg: float | None = None
    left_s: float | None = None

    @property
    def fraction(self) -> float | None:
        """How much of the step is done, 0 … 1; None where nobody knows."""
        done = self.rows if self.epoch is None else self.epoch
        return min(1.0, done / self.of) if done is not None and self.of else None


OnProgress: TypeAlias = Callable[[Progress], None]
"""Is told; must not raise, and returns at once. May be called in any thread."""


def unheard(_: Progress) -> None:
    """Take a report that nobody wants."""
