"""The fold of an Oryx 2 model: its own rule, in messages that its readers take."""

import structlog

from oryx_py.errors import NearSingular
from oryx_py.events import Action, Interaction
from oryx_py.messages import ItemVector, Update, UserVector
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.oryx2.live_prior import LivePrior
from speed_layer.oryx_rule.steps import Solvers, Steps

__all__ = ["Oryx2Fold"]

log = structlog.get_logger("speed")


class Oryx2Fold:
    """Folds interactions into steps, which change `state` only when they come back by the update topic.

    So the state is what any reader of the topic has, the batch layer's updates and ours in one order. As in Oryx: what
    moves no vector is not sent, nor known; a delete or a forget changes nothing until the next model; the Gram matrices
    are those of all vectors as the micro-batch began, and while one is near-singular nothing is folded in.

    Args:
        state: the model's.
    """

    def __init__(self, state: ModelState) -> None:
        generation = state.generation
        self.state = state
        self._users = LivePrior(generation.user_gram, len(generation.users), _now, 0.0)
        self._items = LivePrior(generation.item_gram, len(generation.items), _now, 0.0)
        self._priors: tuple[Prior, Prior] | None = None
        self.trouble: str | None = None
        """Why nothing can be folded in; None where it can."""
        self._steps = Steps(state, generation.manifest.objective, None)
        self._known: dict[int, dict[str, float]] = {}
        """By user who moved: the items of it."""
        self._last: dict[int, str] = {}
        """By item that moved: the user who moved it last."""

    def apply(self, update: Update) -> None:
        """Take a message of the update topic.

        Raises:
            BadMessage: its vector is not of the model's length; nothing has changed.
        """
        state = self.state
        match update:
            case UserVector():
                before = state.user_vector(state.users.intern(update.user))
                before = None if before is None else before.copy()
                if state.apply(update):
                    self._users.replace(before, update.vector)
            case ItemVector():
                before = state.item_vector(state.items.intern(update.item))
                before = None if before is None else before.copy()
                if state.apply(update):
                    self._items.replace(before, update.vector)
            case _:
                pass

    def begin(self) -> None:
        """Begin a micro-batch: solve by the vectors as they are now."""
        priors = (self._users.now(), self._items.now())
        if priors != self._priors:
            self._priors = priors
            self._steps.solvers = self._solvers(*priors)

    def add(self, interaction: Interaction) -> None:
        """Take the steps of one interaction."""
        if interaction.action is not Action.ADD or interaction.strength is None:
            return
        users, items = self.state.users, self.state.items
        if users.find(interaction.user) < 0 and items.find(interaction.item) < 0:
            return  # nothing moves, and nobody else hears of either: neither takes any memory
        user, item = users.intern(interaction.user), items.intern(interaction.item)
        user_moved, item_moved = self._steps.take(user, item, interaction.strength)
        if user_moved:
            self._known.setdefault(user, {})[interaction.item] = 1.0
        if item_moved:
            self._last[item] = interaction.user

    def flush(self) -> list[Update]:
        """Return the messages of the micro-batch: a vector with the items of its steps, or with the last user.

        They name the model's epoch in a header, so that none is taken for the next one's; other readers ignore it.
        """
        steps, epoch = self._steps, self.state.epoch
        updates: list[Update] = []
        for user, items in self._known.items():
            name = self.state.users.id(user)
            updates.append(UserVector(name, steps.users[user], tuple(items), tuple(items.values()), epoch))
        for item, user_name in self._last.items():
            updates.append(ItemVector(self.state.items.id(item), steps.items[item], (user_name,), epoch))
        for taken in (steps.users, steps.items, self._known, self._last):
            taken.clear()
        return updates

    def _solvers(self, users: Prior, items: Prior) -> Solvers | None:
        try:
            solvers = Solvers.of(users.gram, items.gram)
        except NearSingular as reason:
            if self.trouble is None:
                log.warning("nothing_is_folded_in", epoch=self.state.epoch, reason=str(reason))
            self.trouble = f"nothing is folded in: {reason}"
            return None
        self.trouble = None
        return solvers


def _now() -> float:
    """Tell no time: the matrices are asked for once a micro-batch, and must not be older."""
    return 0.0
