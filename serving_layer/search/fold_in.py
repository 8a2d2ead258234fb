"""Vectors that are solved for one request: of whoever has just these items, and of a user with these in mind, too."""

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Protocol

import numpy as np

from oryx_py.events import FoldSettings, fold_pair, weigh
from oryx_py.model.generations.manifest import Manifest
from oryx_py.numerics.fold_in.dense import Prior, fold_in
from oryx_py.numerics.fold_in.oryx_rule import Solver, check_rule, fold_in_order
from serving_layer.event_loop.offload import offload
from serving_layer.index.scoring import Handles, Query
from serving_layer.model.served_model import ServedModel

__all__ = ["ExactFolding", "Folding", "OryxFolding"]


class Folding(Protocol):
    """Folds interactions that are stored nowhere into a vector."""

    async def query(
        self, model: ServedModel, user: int | None, items: Handles, strengths: Sequence[float], pool: Executor
    ) -> Query | None:
        """Return float64[k], None where nothing of all that has a vector.

        Args:
            model: for its loop.
            user: handle of the user into whose history they are folded; None for nobody's.
            items: int64[n], handles; the same one may be there several times.
            strengths: of the interactions, in their order.
            pool: for long solves.

        Raises:
            NotReady: the model's vectors do not suffice for it.
            ConfigError: the rule does not go with the model.
        """
        ...


class ExactFolding:
    """The solve that the speed layer makes of the same interactions, once they are stored."""

    async def query(
        self, model: ServedModel, user: int | None, items: Handles, strengths: Sequence[float], pool: Executor
    ) -> Query | None:
        """Solve the folded history; see `Folding.query`."""
        state = model.state
        known, values = state.history(user) if user is not None else (np.empty(0, np.int64), np.empty(0, np.float64))
        manifest = state.generation.manifest
        told = _that_count(items, strengths, manifest)
        handles, sums = _of_one_level(model, *_folded(known, values, *told, manifest.fold))
        if not len(handles):
            return None
        vectors = state.item_vectors.gather(handles)
        cost = (len(vectors) + vectors.shape[1]) * vectors.shape[1] ** 2
        return await offload(pool, cost, fold_in, sums, vectors, model.prior, manifest.objective)


def _that_count(items: Handles, strengths: Sequence[float], manifest: Manifest) -> tuple[Handles, Sequence[float]]:
    """Return what the speed layer would fold of interactions that came now, without a kind."""
    if manifest.fold.is_plain:
        return items, strengths
    weighed = [weigh(strength, None, manifest.as_of_ms, manifest.fold, manifest.as_of_ms) for strength in strengths]
    counts = [strength is not None for strength in weighed]
    return items[np.array(counts, np.bool_)], [strength for strength in weighed if strength is not None]


def _folded(
    known: Handles, values: Query, items: Handles, strengths: Sequence[float], settings: FoldSettings
) -> tuple[Handles, Query]:
    """Return a history, int64[n] and float64[n], with interactions folded into it one after the other.

    Items that were not known come at its end. The known ones cost no step each: there may be a hundred thousand.
    """
    sums = values.copy()
    where = {int(known[at]): int(at) for at in np.flatnonzero(np.isin(known, items))}
    new: dict[int, float] = {}
    for item, strength in zip(items.tolist(), strengths, strict=True):
        at = where.get(item)
        folded = fold_pair(new.get(item) if at is None else float(sums[at]), strength, settings) or 0.0
        if at is None:
            new[item] = folded
        else:
            sums[at] = folded
    return (
        np.concatenate([known, np.fromiter(new, np.int64, len(new))]),
        np.concatenate([sums, np.fromiter(new.values(), np.float64, len(new))]),
    )


def _of_one_level(model: ServedModel, handles: Handles, strengths: Query) -> tuple[Handles, Query]:
    """Return what the system is made of, as in the speed layer: the generation's items, else new ones with a vector."""
    forgotten = model.state.forgotten_items
    level0 = handles < model.state.items.base
    if forgotten:
        level0 &= np.fromiter((item not in forgotten for item in handles.tolist()), np.bool_, len(handles))
    if level0.any():
        handles, strengths = handles[level0], strengths[level0]
    usable = model.state.item_vectors.has(handles)
    return handles[usable], strengths[usable]


class OryxFolding:
    """Oryx 2's rule: the interactions one after the other, from the user's vector or from none."""

    def __init__(self) -> None:
        self._solver: tuple[Prior, Solver] | None = None

    async def query(
        self, model: ServedModel, user: int | None, items: Handles, strengths: Sequence[float], pool: Executor
    ) -> Query | None:
        """Fold them in their order; see `Folding.query`."""
        state = model.state
        items, strengths = _that_count(items, strengths, state.generation.manifest)
        start = state.user_vector(user) if user is not None else None
        usable = state.item_vectors.has(items)
        vectors = state.item_vectors.gather(items[usable])
        given = list(zip(vectors, np.asarray(strengths, np.float64)[usable].tolist(), strict=True))
        cost = (len(given) + vectors.shape[1]) * vectors.shape[1] ** 2
        objective = state.generation.manifest.objective
        check_rule(objective)
        solver = await self._solver_of(model.prior, pool)
        vector = await offload(pool, cost, fold_in_order, start, given, solver, objective.feedback)
        return None if vector is None else vector.astype(np.float64)

    async def _solver_of(self, prior: Prior, pool: Executor) -> Solver:
        if self._solver is None or self._solver[0] is not prior:
            self._solver = prior, await offload(pool, 4 * len(prior.gram) ** 3, Solver.of, prior.gram)
        return self._solver[1]
