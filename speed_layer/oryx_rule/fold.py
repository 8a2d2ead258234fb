"""The fold of an epoch by Oryx 2's rule: for its results on our own generations."""

from collections.abc import Iterable, Mapping
from itertools import islice

import numpy as np
import structlog
from numpy.typing import NDArray

from oryx_py.errors import NearSingular
from oryx_py.events import Action, Interaction, InteractionColumns
from oryx_py.messages import ItemGone, ItemVector, Update
from oryx_py.messages.blocks import Updates
from oryx_py.messages.update import Vector
from oryx_py.model.state.model_state import ModelState
from speed_layer.oryx_rule.messages import removals, user_update
from speed_layer.oryx_rule.pending import Pending
from speed_layer.oryx_rule.steps import Solvers, Steps
from speed_layer.publishing.records import stamped
from speed_layer.solving.budget import Budget

__all__ = ["OryxFold"]

Handles = NDArray[np.int64]
log = structlog.get_logger("speed")


class OryxFold:
    """Folds interactions into one epoch's state by steps towards a target (`speed_layer.oryx_rule.steps`).

    Known items and their strengths are folded as ever. The vectors are what the steps left, one after the other: the
    state is *no* function of the folded histories, and a step must not be taken twice. So after a restart it begins
    with the vectors of the update topic (`speed_layer.oryx_rule.restoring`) and leaves out what these have in them
    already. Replays onto a new generation begin with its own vectors. Between input partitions the order is that of
    reading.

    As in Oryx, deleting an interaction moves no vector; it makes the item unknown. Who is forgotten loses the vector.
    The Gram matrices are the generation's; if one is near-singular no vector moves until the next.

    Args:
        state: the epoch's state.
        partitions: partitions of the input topic.
        covered: by input partition, the offset below which `state` has everything.
        astray: items whose vectors readers may have otherwise than `state`; they are sent once more.
    """

    def __init__(
        self,
        state: ModelState,
        partitions: int,
        *,
        covered: Mapping[int, int] | None = None,
        astray: Iterable[str] = (),
    ) -> None:
        generation = state.generation
        self.state = state
        self._partitions = partitions
        self._covered = dict(covered or {})
        self._pending = self._nothing()
        self._times_ms: dict[str, int] = {}
        """By user: Kafka's timestamp of the newest interaction since the last step."""
        self._steps = Steps(state, generation.manifest.objective, _solvers(state))
        self._astray = [state.items.intern(name) for name in sorted(astray)]
        if not covered:  # what is replayed is sent as a whole, and these with it
            self._steps.items |= {item: state.item_vector(item) for item in self._astray}

    @property
    def pending(self) -> int:
        """How many users or items wait for a flush, whichever are more."""
        return max(len(self._pending), len(self._steps.items))

    @property
    def nbytes(self) -> int:
        """About how many bytes the state takes beside the generation's files."""
        return self.state.nbytes

    def add_many(
        self, interactions: InteractionColumns, partitions: Handles, offsets: Handles, kafka_ms: Handles
    ) -> None:
        """Take the steps of interactions, one after the other."""
        places = zip(partitions.tolist(), offsets.tolist(), kafka_ms.tolist(), strict=True)
        for number, place in enumerate(places):
            self.add(interactions.interaction(number), *place)

    def add(self, interaction: Interaction, partition: int, offset: int, kafka_ms: int = -1) -> None:
        """Take the steps of one interaction; nothing is said of them before `flush`."""
        if offset < self._covered.get(partition, 0):
            return
        if interaction.user and kafka_ms >= 0:
            self._times_ms[interaction.user] = kafka_ms
        state, steps = self.state, self._steps
        waiting = set(self._pending.forgotten_items)
        strength = self._pending.add(interaction, partition, offset, kafka_ms)
        match interaction.action:
            case Action.FORGET_USER:
                steps.users[state.users.intern(interaction.user)] = None
            case Action.FORGET_ITEM:
                item = state.items.intern(interaction.item)
                # Each partition has the forget once; the later ones must not take what came after the first.
                again = item in waiting or item in state.forgotten_items
                if not (again and self._is_known(item)):
                    steps.items[item] = None
            case _:
                if strength is not None:
                    user, item = state.users.intern(interaction.user), state.items.intern(interaction.item)
                    steps.take(user, item, strength)

    @property
    def stale(self) -> int:
        """Nothing: a step moves the vectors of its own user and item alone."""
        return 0

    @property
    def shaken(self) -> int:
        """Nobody: see `stale`."""
        return 0

    @property
    def unsaid(self) -> int:
        """None: all is said with the record."""
        return 0

    def owe(self) -> None:
        """Mark nothing: see `stale`."""

    @property
    def owed(self) -> int:
        """Nothing: see `stale`."""
        return 0

    def step(self, max_users: int | None = None, budget: Budget | None = None) -> list[Updates]:  # noqa: ARG002
        """Publish what has moved, users with the time of what they did."""
        times_ms, self._times_ms = self._times_ms, {}
        return [*stamped(self.flush(max_users), times_ms)]

    def flush(self, max_users: int | None = None) -> list[Update]:
        """Publish what has moved: users with their items, and items, at most `max_users` of each."""
        if max_users is None or len(self._pending) <= max_users:
            batch, self._pending = self._pending, self._nothing()
        else:
            batch = self._pending.take(max_users)
        state, steps = self.state, self._steps
        updates: list[Update] = []
        for removal in removals(state, batch):
            self._publish(removal, updates)
        gone = batch.forgotten_items - state.forgotten_items
        for item in sorted(gone):
            self._publish(ItemGone(state.items.id(item), state.epoch), updates)
        for user in batch.pairs:
            vector = steps.users.pop(user, state.user_vector(user))
            self._publish(user_update(state, batch, user, vector), updates)
        for item in list(islice(steps.items, max_users)):
            vector = steps.items.pop(item)
            if vector is not None or item not in gone:
                self._publish(self._message(item, vector), updates)
        return updates

    def retrace(self, max_users: int | None = None) -> None:
        """See `Fold`: whatever moves is sent with the record that moves it."""
        self.step(max_users)

    def resend(self) -> list[Updates]:
        """Return the vectors of the items astray; of all else readers have what this began with."""
        return [self._message(item, self.state.item_vector(item)) for item in self._astray]

    def _nothing(self) -> Pending:
        return Pending(self.state, self._partitions)

    def _message(self, item: int, vector: Vector) -> ItemVector:
        return ItemVector(self.state.items.id(item), vector, (), self.state.epoch)

    def _publish(self, update: Update, updates: list[Update]) -> None:
        self.state.apply(update)
        updates.append(update)

    def _is_known(self, item: int) -> bool:
        pairs = self._pending.pairs
        waiting = any(known.get(item) is not None for known in pairs.values())
        return waiting or any(item not in pairs.get(user, {}) for user in self.state.histories.users_of(item).tolist())


def _solvers(state: ModelState) -> Solvers | None:
    generation = state.generation
    try:
        return Solvers.of(generation.user_gram, generation.item_gram)
    except NearSingular as reason:
        log.warning("nothing_is_folded_in", generation=generation.name, reason=str(reason))
        return None
