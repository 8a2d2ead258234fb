"""Whole trainings within this process: what the batch layer would publish of the interactions so far."""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from batch_layer.recipe import Recipe
from oryx_py.cli.evaluate.log import Log, LogBuilder
from oryx_py.errors import UserError
from oryx_py.events import FoldSettings, Interaction, KindSettings, fold_columns, weigh_columns
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.in_memory import generation_in_memory
from oryx_py.numerics.als import Course, Plan, State, Threads, observed, start, train
from oryx_py.numerics.arrays import DoubleVector, FloatMatrix, IntVector
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import eigenbasis, gram
from oryx_py.numerics.objective import Objective

__all__ = ["Pairs", "Trainer", "ageless", "folded"]


class Pairs(NamedTuple):
    """Folded pairs, ascending by user, then item: numbers in the log int64[n], int64[n] and strengths float64[n]."""

    users: IntVector
    items: IntVector
    strengths: DoubleVector


def ageless(fold: FoldSettings) -> FoldSettings:
    """Return the settings without what depends on the present time."""
    kinds = {name: KindSettings(kind.weight) for name, kind in fold.kinds.items()}
    return msgspec.structs.replace(fold, half_life_s=0.0, max_age_s=0.0, kinds=kinds)


def folded(log: Log, fold: FoldSettings) -> Pairs:
    """Fold all of a log as the history is folded, as of its newest interaction."""
    as_of_ms = as_of(log)
    places = {name: place for place, name in enumerate(fold.kinds)}
    table = np.array([*(places.get(name, -1) for name in log.kind_names), -1])  # the last is where -1 points to
    weighed, counts = weigh_columns(log.strengths, table[log.kinds], log.times_ms, fold, as_of_ms)
    keys = log.users.astype(np.int64)[counts] * len(log.item_ids) + log.items[counts]
    pairs, of_row = np.unique(keys, return_inverse=True)
    strengths = fold_columns(of_row.astype(np.int64), weighed[counts], fold, len(pairs))
    known = ~np.isnan(strengths)
    users, items = np.divmod(pairs[known], max(1, len(log.item_ids)))
    return Pairs(users, items, strengths[known])


def as_of(log: Log) -> int:
    """Return the time of the newest interaction; 0 where none has one."""
    return max(0, int(log.times_ms.max(initial=0)))


class Trainer:
    """Trains on the beginning of a log, for the objective and the number of sweeps of a recipe, in this process.

    The same as the batch layer's trainer "ials" but that all sweeps are made: nobody is held out to stop by
    (`model.patience`). With the recipe of "mllib" it minimises MLlib's loss.

    Args:
        recipe: the settings'.
        threads: at work at the same time; the bits do not depend on them.
    """

    def __init__(self, recipe: Recipe, threads: int = 1) -> None:
        self.recipe = recipe
        self._threads = threads

    def prepare(self) -> None:
        """Load or compile the kernels, so that no training is charged with it."""
        builder = LogBuilder()
        for item in "ab":
            builder.add(Interaction("a", item, 1.0))
        self.train(builder.log())

    def train(self, log: Log, before: Generation | None = None) -> Generation:
        """Return the generation of a log, whose ``input`` covers the log's rows as offsets of partition 0.

        Args:
            log: everything so far; nothing else is looked at.
            before: begin with its vectors; None: at random.

        Raises:
            UserError: nothing in the log counts, or the training diverged.
        """
        pairs = folded(log, self.recipe.fold)
        if not len(pairs.users):
            raise UserError("there is nothing to train on in the first part: give more interactions, or --train-share")
        recipe = self.recipe.fitted_to(pairs.strengths)
        users, user_rows = np.unique(pairs.users, return_inverse=True)
        items, item_rows = np.unique(pairs.items, return_inverse=True)
        user_ids, item_ids = (
            [ids[at] for at in there] for ids, there in ((log.user_ids, users), (log.item_ids, items))
        )
        histories = Csr.from_pairs(user_rows, item_rows, pairs.strengths, len(users))
        # BLAS adds in an order that depends on its threads.
        with threadpool_limits(limits=1, user_api="blas"):
            begin = _begin(recipe, user_ids, item_ids, before)
            factors = self._items(user_rows, item_rows, pairs.strengths, recipe.objective, begin)
            if not np.isfinite(factors).all():
                raise UserError("the training diverged: raise model.lambda")
            vectors = fold_in_many(
                histories.indptr,
                histories.indices,
                histories.strengths,
                factors,
                Prior(gram(factors), len(factors), of="items"),
                recipe.objective,
                threads=self._threads,
            )
            return generation_in_memory(
                name=f"evaluated-{len(log)}",
                user_ids=user_ids,
                item_ids=item_ids,
                user_factors=vectors,
                item_factors=factors,
                user_histories=histories,
                objective=recipe.objective,
                fold=recipe.fold,
                trainer=recipe.trainer,
                as_of_ms=as_of(log),
                input={0: (0, len(log))},
                interactions=len(log),
            )

    def _items(
        self,
        users: NDArray[np.int64],
        items: NDArray[np.int64],
        strengths: DoubleVector,
        objective: Objective,
        begin: tuple[FloatMatrix, FloatMatrix],
    ) -> FloatMatrix:
        """The items' factors after all sweeps, in the basis that a generation has them in."""
        by_users, by_items = observed(users, items, strengths, (len(begin[0]), len(begin[1])), objective)
        with Threads(by_users, by_items, self.recipe.features, threads=self._threads) as workers:
            state = State(*begin, workers.gram("items", begin[1]))
            factors = train(workers, Course(state, state), objective, Plan(self.recipe.iterations)).now.items
        if objective.feedback == "explicit":
            return factors
        return (factors.astype(np.float64) @ eigenbasis(gram(factors))).astype(np.float32)


def _begin(
    recipe: Recipe, user_ids: list[str], item_ids: list[str], before: Generation | None
) -> tuple[FloatMatrix, FloatMatrix]:
    """Vectors to begin with: an earlier generation's where it has the ID; items at random, users at 0."""
    biases = recipe.objective.biases
    items = start(len(item_ids), recipe.features, np.random.default_rng(recipe.seed), biases)
    users = np.zeros((len(user_ids), recipe.features), np.float32)
    if biases is not None:
        users += biases.of_nobody(recipe.features, "users")
    if before is not None:
        for ids, factors, table, known in (
            (user_ids, users, before.users, before.user_factors),
            (item_ids, items, before.items, before.item_factors),
        ):
            rows = np.array([table.find(name) for name in ids], np.int64)
            factors[rows >= 0] = known[rows[rows >= 0]]
    return users, items
