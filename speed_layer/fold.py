"""What an epoch's run needs of a fold, whatever its rule."""

from typing import Protocol

from oryx_py.events import Interaction
from oryx_py.messages import Update
from oryx_py.model.state import ModelState

__all__ = ["Fold"]


class Fold(Protocol):
    """Folds interactions into one epoch's state and says what to publish of it.

    The only one to change `state`, which it does through the messages that it returns, by the same fold as every
    reader of the update topic. `speed_layer.folding.EpochFold` is the exact one, `speed_layer.oryx_fold.OryxFold` that
    by Oryx 2's rule.
    """

    @property
    def state(self) -> ModelState:
        """The epoch's state, as of the last flush."""
        ...

    @property
    def pending(self) -> int:
        """How many users (or items, if these are more) wait for a flush."""
        ...

    def add(self, interaction: Interaction, partition: int, offset: int, kafka_ms: int = -1) -> None:
        """Take one interaction; those of a partition come in the order of its offsets.

        Args:
            interaction: what to take.
            partition: that its record is in.
            offset: of its record.
            kafka_ms: the record's time; -1 where it has none, so that it counts as new.
        """
        ...

    def flush(self, max_users: int | None = None) -> list[Update]:
        """Apply what was added to the state, and return the messages in the order to send.

        Args:
            max_users: at most so many users; the rest stays pending. None for all.
        """
        ...

    def resend(self) -> list[Update]:
        """Return what readers may have missed before a restart, and would not be sent otherwise."""
        ...
