"""Oryx's fold-in rule, transcribed from its documentation line by line: slow, and obviously right."""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import Interaction
from oryx_py.numerics.objective import Objective

__all__ = ["Vectors", "formula", "step"]

Vector = NDArray[np.float32]
Vectors = dict[str, Vector]


def formula(
    users: Mapping[str, Vector],
    items: Mapping[str, Vector],
    interactions: Iterable[Interaction],
    objective: Objective,
    grams: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> tuple[Vectors, Vectors]:
    """Return both sides' vectors after one interaction after the other, both sides from what was before it.

    Args:
        users, items: the vectors to begin with.
        interactions: in their order; deletes move nothing, forgets take the vector (an item's once).
        objective: its feedback, log_strength and epsilon.
        grams: XᵀX and YᵀY that stay as they are; None: those of the vectors before each interaction.
    """
    X, Y = dict(users), dict(items)
    forgotten: set[str] = set()
    for interaction in interactions:
        user, item, strength = interaction.user, interaction.item, interaction.strength
        if strength is None:
            if not item:
                X.pop(user, None)
            if not user and item not in forgotten:
                Y.pop(item, None)
                forgotten.add(item)
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            v = float(np.log1p(strength / objective.epsilon)) if objective.log_strength else strength
        x, y = X.get(user), Y.get(item)
        user_gram, item_gram = (_gram(X), _gram(Y)) if grams is None else grams
        new_x = None if y is None else step(x, y, v, item_gram, objective.feedback)
        new_y = None if x is None else step(y, x, v, user_gram, objective.feedback)
        X |= {} if new_x is None else {user: new_x}
        Y |= {} if new_y is None else {item: new_y}
    return X, Y


def step(x: Vector | None, y: Vector, v: float, gram: NDArray[np.float64], feedback: str) -> Vector | None:
    """Return x after an interaction of strength v with y, None where nothing changes."""
    old = np.zeros(len(y)) if x is None else x.astype(float)
    q = sum(float(a) * float(b) for a, b in zip(old, y, strict=True))
    seen = 0.5 if x is None else q
    if not np.isfinite(v):
        return None
    if feedback == "explicit":
        aim = v
    elif v > 0 and seen < 1:
        aim = seen + v / (1 + v) * (1 - max(0, seen))
    elif v < 0 and seen > 0:
        aim = seen + v / (v - 1) * (-min(1, seen))
    else:
        return None
    return (old + np.linalg.solve(gram, y.astype(float) * (aim - q))).astype(np.float32)


def _gram(vectors: Vectors) -> NDArray[np.float64]:
    rows = np.array(list(vectors.values()), np.float64)
    return rows.T @ rows
