"""Small logs to replay, and the slow, obvious answers to what each arm ranks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batch_layer.recipe import Recipe, recipe_of
from oryx_py.cli.evaluate.log import Log, LogBuilder
from oryx_py.config import Input, Model
from oryx_py.events import Interaction
from oryx_py.model.generations.generation import Generation
from tests.support.generations import Pairs, at_rest
from tests.support.oryx_rule import formula

Scores = Mapping[str, float]

TRAINERS: dict[str, dict[str, Any]] = {
    "mllib": {"lambda_": 0.05, "alpha": 1.5},
    "ials": {"nu": 1.0, "lambda_": 0.02, "unobserved_weight": 0.2},
}


def recipe(trainer: str = "mllib", **changes: Any) -> Recipe:
    """What settings mean; two features and three sweeps."""
    return recipe_of(Model(**{"features": 2, "iterations": 3, **TRAINERS[trainer], **changes}), trainer, Input())


def random_rows(
    rng: np.random.Generator, count: int, users: int, items: int, late: int, *, deletes: float = 0.05
) -> list[Interaction]:
    """Interactions of different strengths, repeats and deletes among them; ``late`` users and items come in the end."""
    rows = []
    for at in range(count):
        both = (users, items) if at > 0.6 * count else (users - late, items - late)
        user, item = (int(rng.integers(each)) for each in both)
        strength = None if rng.random() < deletes else float(np.round(rng.choice([-1.0, 1.0, 2.0]) + rng.random(), 3))
        rows.append(Interaction(f"u{user}", f"i{item}", strength, 1_000 * at))
    return rows


def log_of(rows: Sequence[Interaction]) -> Log:
    """The log of interactions."""
    builder = LogBuilder()
    for row in rows:
        builder.add(row)
    return builder.log()


def known_pairs(rows: Sequence[Interaction]) -> Pairs:
    """What implicit feedback folds to, one after the other."""
    pairs: Pairs = {}
    for row in rows:
        mine = pairs.setdefault(row.user, {})
        if row.strength is None:
            mine.pop(row.item, None)
        else:
            mine[row.item] = mine.get(row.item, 0.0) + row.strength
    return pairs


def popularity(rows: Sequence[Interaction]) -> Scores:
    """How many users know each item that anybody knows."""
    found: dict[str, float] = {}
    for mine in known_pairs(rows).values():
        for item in mine:
            found[item] = found.get(item, 0) + 1
    return found


def exact_scores(generation: Generation, rows: Sequence[Interaction], trained: int, user: str) -> Scores:
    """By the design's levels, everything solved anew in float64 from the histories; popularity where there is none."""
    log = [(0, trained + at, row) for at, row in enumerate(rows[trained:])]
    state = at_rest(generation, known_pairs(rows[:trained]), log, 1)
    vector = state.users.get(user)
    if vector is None or not vector.astype(np.float32).any():
        return popularity(rows)
    return {item: float(y @ vector) for item, y in state.items.items() if y is not None}


def oryx_scores(generation: Generation, rows: Sequence[Interaction], trained: int, user: str) -> Scores:
    """By Oryx's documentation, step by step from the generation's vectors."""
    users = {generation.users.id(row): generation.user_factors[row] for row in range(len(generation.users))}
    items = {generation.items.id(row): generation.item_factors[row] for row in range(len(generation.items))}
    objective = generation.manifest.objective
    grams = generation.user_gram, generation.item_gram
    X, Y = formula(users, items, rows[trained:], objective, grams)
    return _products(X.get(user), Y) or popularity(rows)


def frozen_scores(generation: Generation, rows: Sequence[Interaction], trained: int, user: str) -> Scores:
    """By the generation's own vectors."""
    items = {generation.items.id(row): generation.item_factors[row] for row in range(len(generation.items))}
    row = generation.users.find(user)
    return _products(generation.user_factors[row] if row >= 0 else None, items) or popularity(rows[:trained])


def _products(x: NDArray[np.float32] | None, items: Mapping[str, NDArray[np.float32]]) -> Scores:
    if x is None or not x.any():
        return {}
    return {item: float(y.astype(np.float64) @ x.astype(np.float64)) for item, y in items.items()}


def place(scores: Scores, target: str, known: set[str]) -> int:
    """The target's place among all items but the known, the first of equals by its ID; 0 where it is not there."""
    order = sorted((item for item in scores if item not in known), key=lambda item: (-scores[item], item.encode()))
    return order.index(target) + 1 if target in order else 0
