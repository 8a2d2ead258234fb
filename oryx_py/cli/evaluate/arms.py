"""The arms that a replay compares: each ranks all items it has for a user, and learns in its own way, or not at all."""

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from oryx_py.cli.evaluate.known import Known
from oryx_py.cli.evaluate.log import Log
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.arrays import FloatVector
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.folding.fold import Fold
from speed_layer.oryx_rule.fold import OryxFold

__all__ = ["ARMS", "TITLES", "Arm", "ArmName", "ModelArm", "PopularityArm", "make_arms"]

ArmName: TypeAlias = Literal["none", "speed", "oryx", "retrain", "speed+retrain", "popularity"]

ARMS: Final[tuple[ArmName, ...]] = get_args(ArmName)

TITLES: Final[dict[ArmName, str]] = {
    "none": "no update",
    "speed": "speed layer",
    "oryx": "Oryx's fold-in rule",
    "retrain": "full retraining",
    "speed+retrain": "speed layer and retraining",
    "popularity": "popularity",
}

_EPOCH = 1


class Arm(Protocol):
    """One way to answer, over the items' numbers in the log.

    ``name`` is its own; ``retrains`` says whether `renew` is for it.
    """

    name: ArmName
    retrains: bool

    def scores(self, user: int) -> FloatVector:
        """Return float32[items], -inf for items that it has not; it must not have learned what is ranked."""
        ...

    def learn(self, at: int) -> None:
        """Take in the log's interaction of this number, if it learns at all; they come in their order."""
        ...

    def renew(self, generation: Generation) -> None:
        """Go on with a generation of everything so far."""
        ...


class ModelArm:
    """A model, with a fold that keeps it up to date or without one.

    To users without a vector, or with one of zeros, it gives what is popular: by the counts of now if it has a fold,
    else by those of its last training.

    Args:
        name: its own.
        log: what is replayed.
        known: for popularity; read, never changed.
        generation: the first part's.
        rule: makes the fold of a state; None: nothing is learned between generations.
        retrains: whether `renew` changes it.
    """

    def __init__(
        self,
        name: ArmName,
        log: Log,
        known: Known,
        generation: Generation,
        rule: Callable[[ModelState], Fold] | None,
        *,
        retrains: bool,
    ) -> None:
        self.name, self.retrains = name, retrains
        self._log, self._known, self._rule = log, known, rule
        self._number = {name: number for number, name in enumerate(log.item_ids)}
        self._begin(generation)

    def _begin(self, generation: Generation) -> None:
        self.state = ModelState(generation, _EPOCH)
        self._fold = self._rule(self.state) if self._rule is not None else None
        rows = np.arange(len(generation.items))
        self._numbers = [self._number[name] for name in generation.items.ids(rows)]
        self._rows = np.array(self._numbers, np.int64)
        self._popularity = self._known.counts if self._fold is not None else self._known.counts.copy()

    def scores(self, user: int) -> FloatVector:
        """See `Arm`."""
        vector = self.state.user_vector(self.state.users.find(self._log.user_ids[user]))
        if vector is None or not vector.any():
            return popular(self._popularity)
        found = np.full(len(self._log.item_ids), -np.inf, np.float32)
        table = self.state.item_vectors
        found[self._rows] = table.base @ vector
        if len(table.delta_handles):
            moved = np.where(table.delta_present, table.delta_matrix @ vector, np.float32(-np.inf))
            found[self._of(table.delta_handles)] = moved
        return found

    def learn(self, at: int) -> None:
        """See `Arm`; each interaction is a micro-batch of its own, with all that follows from it."""
        if self._fold is not None:
            self._fold.add(self._log.interaction(at), 0, at)
            self._fold.step()

    def renew(self, generation: Generation) -> None:
        """See `Arm`."""
        if self.retrains:
            self._begin(generation)

    def _of(self, handles: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers in the log of the state's handles."""
        items = self.state.items
        while len(self._numbers) < len(items):
            self._numbers.append(self._number[items.id(len(self._numbers))])
        return np.fromiter((self._numbers[handle] for handle in handles.tolist()), np.int64, len(handles))


class PopularityArm:
    """Ranks by the number of users who know an item now."""

    name: ArmName = "popularity"
    retrains = False

    def __init__(self, known: Known) -> None:
        self._known = known

    def scores(self, user: int) -> FloatVector:  # noqa: ARG002 - everybody gets the same
        """See `Arm`."""
        return popular(self._known.counts)

    def learn(self, at: int) -> None:
        """See `Arm`: the counts are everybody's."""

    def renew(self, generation: Generation) -> None:
        """See `Arm`: there is nothing trained."""


def popular(counts: NDArray[np.int64]) -> FloatVector:
    """Return float32[items]: how many users know each; -inf where nobody does."""
    return np.where(counts > 0, counts, -np.inf).astype(np.float32)


def make_arms(names: Sequence[ArmName], log: Log, known: Known, generation: Generation) -> list[Arm]:
    """Return the arms of these names, as of the first part."""
    rules: dict[ArmName, tuple[Callable[[ModelState], Fold] | None, bool]] = {
        "none": (None, False),
        "speed": (_exact, False),
        "oryx": (_by_oryx, False),
        "retrain": (None, True),
        "speed+retrain": (_exact, True),
    }
    arms: list[Arm] = []
    for name in names:
        if name == "popularity":
            arms.append(PopularityArm(known))
        else:
            rule, retrains = rules[name]
            arms.append(ModelArm(name, log, known, generation, rule, retrains=retrains))
    return arms


def _exact(state: ModelState) -> Fold:
    return ExactFold(state, 1)


def _by_oryx(state: ModelState) -> Fold:
    return OryxFold(state, 1)
