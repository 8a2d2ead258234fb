"""What an epoch's run needs of a fold, whatever its rule."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import Interaction, InteractionColumns
from oryx_py.messages import Update
from oryx_py.messages.blocks import Updates
from oryx_py.model.state.model_state import ModelState
from speed_layer.solving.budget import Budget

__all__ = ["Fold"]


class Fold(Protocol):
    """Folds interactions into one epoch's state and says what to publish of it.

    The only one to change `state`, which it does through the messages that it returns, by the same fold as every
    reader of the update topic. `speed_layer.folding.exact_fold` has the exact one, `speed_layer.oryx_rule.fold` that
    by Oryx 2's rule.
    """

    @property
    def state(self) -> ModelState:
        """The epoch's state, as of the last flush."""
        ...

    @property
    def pending(self) -> int:
        """How many users or interactions wait for a step; 0 for none."""
        ...

    @property
    def stale(self) -> int:
        """How many vectors are to be solved again for what others did."""
        ...

    @property
    def shaken(self) -> int:
        """How many of these are users who are behind what is announced, since an item that they knew is forgotten."""
        ...

    @property
    def unsaid(self) -> int:
        """Of how many pairs that are gone readers have yet to be told: nothing is announced before."""
        ...

    def owe(self) -> None:
        """Mark all that is stale now."""
        ...

    @property
    def owed(self) -> int:
        """How much of what was marked is stale still: it comes to its turn, whatever comes in meanwhile."""
        ...

    @property
    def nbytes(self) -> int:
        """About how many bytes this holds beside the generation's files."""
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

    def add_many(
        self,
        interactions: InteractionColumns,
        partitions: NDArray[np.int64],
        offsets: NDArray[np.int64],
        kafka_ms: NDArray[np.int64],
    ) -> None:
        """Do as `add` of many: n interactions, their partitions, offsets and Kafka's times, int64[n]."""
        ...

    def step(self, max_users: int | None = None, budget: Budget | None = None) -> list[Updates]:
        """Apply what was added to the state, and return the messages in the order to send.

        Args:
            max_users: at most so many users; the rest stays pending. None for all.
            budget: for what is stale; None for all of it.
        """
        ...

    def flush(self, max_users: int | None = None) -> list[Update]:
        """Do a `step` without a budget; return its messages one by one."""
        ...

    def retrace(self, max_users: int | None = None) -> None:
        """Do a `step` of what was announced before a restart: nothing of it is sent, but for what may not have been."""
        ...

    def resend(self) -> list[Updates]:
        """Return what readers may have missed before a restart, and would not be sent otherwise, or let it be stale."""
        ...
