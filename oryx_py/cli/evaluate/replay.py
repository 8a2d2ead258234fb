"""The replay: each interaction of the test part is ranked for its user by every arm, and only then learned."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from oryx_py.cli.evaluate.arms import Arm, ArmName, make_arms
from oryx_py.cli.evaluate.known import Known
from oryx_py.cli.evaluate.log import Log
from oryx_py.cli.evaluate.training import Trainer
from oryx_py.model.generations.generation import Generation
from oryx_py.numerics.arrays import BoolVector, FloatVector, IntVector

__all__ = ["Clocks", "Counts", "Outcomes", "Part", "Replay", "rank_of"]

MakeArms: TypeAlias = Callable[[Sequence[ArmName], Log, Known, Generation], Sequence[Arm]]


class Clocks(NamedTuple):
    """Seconds of the wall and of this process's cores."""

    wall: Callable[[], float] = time.perf_counter
    cpu: Callable[[], float] = time.process_time


@dataclass(slots=True)
class Part:
    """Seconds that went into one kind of work, and how often it was done."""

    times: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0

    @contextmanager
    def measured(self, clocks: Clocks) -> Iterator[None]:
        """Add what the block takes."""
        wall, cpu = clocks.wall(), clocks.cpu()
        yield
        self.times += 1
        self.wall_s += clocks.wall() - wall
        self.cpu_s += clocks.cpu() - cpu


@dataclass(slots=True)
class Costs:
    """What an arm took; trainings are shared, and charged to every arm that uses them."""

    ranking: Part = field(default_factory=Part)
    learning: Part = field(default_factory=Part)
    training: Part = field(default_factory=Part)


@dataclass(slots=True)
class Counts:
    """What became of the interactions: ``ranked`` and learned, or learned alone.

    ``repeats`` are of pairs that the user knew; ``others`` are deletes, and what is too little or not positive.
    """

    trained: int = 0
    ranked: int = 0
    repeats: int = 0
    others: int = 0

    @property
    def replayed(self) -> int:
        """All after the first part."""
        return self.ranked + self.repeats + self.others


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """One case for each interaction ranked, in their order.

    ``at`` int64[c], its place in the log, ``users`` int64[c] its user. ``ranks`` int64[arms, c]: the place of its item
    from 1, 0 where the arm had not that item. ``known_user``, ``known_item`` bool[c]: whether the first part had them.
    """

    arms: tuple[ArmName, ...]
    at: IntVector
    users: IntVector
    ranks: NDArray[np.int64]
    known_user: BoolVector
    known_item: BoolVector


class Replay:
    """A replay over one log; `run` it once.

    Args:
        log: all of it, in its order.
        trained: how many of the first interactions are trained on before; the rest is replayed.
        trainer: for the first part, and for the arms that retrain.
        names: of the arms.
        every: interactions from one retraining to the next; it takes no time of the replay's.
        warm: a retraining begins with the vectors of the one before.
        make: makes the arms of these names.
        clocks: what measures.
    """

    def __init__(
        self,
        log: Log,
        trained: int,
        trainer: Trainer,
        names: Sequence[ArmName],
        *,
        every: int,
        warm: bool = False,
        make: MakeArms = make_arms,
        clocks: Clocks | None = None,
    ) -> None:
        self._log, self._trained, self._trainer = log, trained, trainer
        self.names, self._every, self._warm = tuple(names), every, warm
        self._make, self._clocks = make, clocks or Clocks()
        self.first = Part()
        """The training of the first part."""
        self.generation: Generation
        """What it made; there once `run` has begun."""
        self.costs = {name: Costs() for name in names}
        self.counts = Counts(trained=trained)

    def run(self, on_done: Callable[[int], None] = lambda _: None) -> Outcomes:
        """Replay; ``on_done`` is told how many interactions are."""
        self._trainer.prepare()
        with self.first.measured(self._clocks):
            self.generation = generation = self._trainer.train(self._log.first(self._trained))
        known = Known(self._log, self._trained, self._trainer.recipe.fold)
        arms = self._make(self.names, self._log, known, generation)
        cases: list[int] = []
        ranks: list[list[int]] = []
        for done, at in enumerate(range(self._trained, len(self._log))):
            if done and done % self._every == 0:
                generation = self._renew(arms, at, generation)
            if self._is_test(known, at):
                cases.append(at)
                ranks.append(self._ranked(arms, known, at))
            self._learn(arms, known, at)
            on_done(done + 1)
        return self._outcomes(self.generation, cases, ranks)

    def _is_test(self, known: Known, at: int) -> bool:
        strength = known.added(at)
        positive = self._trainer.recipe.fold.feedback == "implicit"
        if strength is None or (positive and strength <= 0):
            self.counts.others += 1
            return False
        if known.knows(int(self._log.users[at]), int(self._log.items[at])):
            self.counts.repeats += 1
            return False
        self.counts.ranked += 1
        return True

    def _ranked(self, arms: Sequence[Arm], known: Known, at: int) -> list[int]:
        user, target = int(self._log.users[at]), int(self._log.items[at])
        items = known.items(user)
        found = []
        for arm in arms:
            with self.costs[arm.name].ranking.measured(self._clocks):
                found.append(rank_of(arm.scores(user), target, items))
        return found

    def _learn(self, arms: Sequence[Arm], known: Known, at: int) -> None:
        known.learn(at)
        for arm in arms:
            with self.costs[arm.name].learning.measured(self._clocks):
                arm.learn(at)

    def _renew(self, arms: Sequence[Arm], at: int, before: Generation) -> Generation:
        users = [arm for arm in arms if arm.retrains]
        if not users:
            return before
        took = Part()
        with took.measured(self._clocks):
            generation = self._trainer.train(self._log.first(at), before if self._warm else None)
        for arm in users:
            training = self.costs[arm.name].training
            training.times += 1
            training.wall_s += took.wall_s
            training.cpu_s += took.cpu_s
            arm.renew(generation)
        return generation

    def _outcomes(self, first: Generation, cases: list[int], ranks: list[list[int]]) -> Outcomes:
        at = np.array(cases, np.int64)
        users, items = self._log.users[at], self._log.items[at]
        in_users, in_items = (
            np.array([table.find(name) >= 0 for name in ids], np.bool_)
            for table, ids in ((first.users, self._log.user_ids), (first.items, self._log.item_ids))
        )
        return Outcomes(
            arms=self.names,
            at=at,
            users=users.astype(np.int64),
            ranks=np.array(ranks, np.int64).reshape(len(at), len(self.names)).T,
            known_user=in_users[users],
            known_item=in_items[items],
        )


def rank_of(scores: FloatVector, target: int, known: IntVector) -> int:
    """Return the place, from 1, of an item among all items but those known; 0 where its score is -inf.

    Of equal scores the lower number comes first. ``scores`` float32[items]; ``known`` int64[n], each once, without the
    target.
    """
    score = scores[target]
    if score == -np.inf:
        return 0
    others = scores[known]
    before = np.count_nonzero(scores > score) - np.count_nonzero(others > score)
    ties = np.count_nonzero(scores[:target] == score) - np.count_nonzero(others[known < target] == score)
    return 1 + int(before) + int(ties)
