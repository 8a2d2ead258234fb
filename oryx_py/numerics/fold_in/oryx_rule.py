"""Oryx 2's fold-in: one step of a vector towards a target estimate, for those who want its results, not exact ones.

An interaction of strength v between a user's x and an item's y moves the estimate ``Q = x·y`` to a target Q'::

    implicit, v > 0 and Q < 1:   Q' = Q + v/(1+v) · (1 − max(0, Q))
    implicit, v < 0 and Q > 0:   Q' = Q + v/(v−1) · (−min(1, Q))
    implicit, otherwise:         none
    explicit:                    Q' = v
    x ← x + (YᵀY)⁻¹ y (Q' − Q)

Where there is no x yet the target is that of Q = 0.5 ("don't know"), and the step is made from x = 0. An item's vector
moves by the same rule with the sides exchanged, both from the vectors before the interaction. Nothing regularises,
nothing remembers: the result depends on the order of the interactions, and folding one twice moves the vector twice.

Source: Oryx 2.8, ``ALSUtils.computeTargetQui`` and ``computeUpdatedXu``; ``LinearSystemSolver`` for what is singular.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from oryx_py.errors import ConfigError, NearSingular
from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector, FloatVector
from oryx_py.numerics.objective import STRENGTH_LIMIT, Objective

__all__ = ["Feedback", "Solver", "check_rule", "fold_in_order", "scaled", "target", "updated"]

Feedback = Literal["implicit", "explicit"]

UNKNOWN = 0.5
"""The estimate from which the target is computed where there is no vector."""
SINGULAR = 1e-5
"""A pivot of at most this share of the matrix's norm makes it near-singular, as in Oryx."""


@dataclass(frozen=True, eq=False)
class Solver:
    """The inverse of one side's Gram matrix, float64[k, k], symmetric; make it by `of`."""

    inverse: DoubleMatrix

    @classmethod
    def of(cls, gram: DoubleMatrix) -> Self:
        """Invert ``YᵀY``, float64[k, k].

        Raises:
            NearSingular: the vectors do not span the features well enough for a step to mean anything; the message
                says how many features they do span.
        """
        rank = apparent_rank(gram)
        k = len(gram)
        if rank < k:
            raise NearSingular(
                f"the Gram matrix is near-singular: the vectors span about {rank} of {k} features;"
                f" wait for more data, or train with at most {max(1, rank)} features"
            )
        inverse = np.linalg.inv(np.asarray(gram, np.float64))
        inverse = (inverse + inverse.T) / 2
        inverse.flags.writeable = False
        return cls(inverse)

    def solve(self, b: DoubleVector) -> DoubleVector:
        """Return ``(YᵀY)⁻¹ b``, float64[k]."""
        return self.inverse @ b


def apparent_rank(gram: DoubleMatrix) -> int:
    """Number of pivots above `SINGULAR` times the norm, in a QR decomposition that takes the longest column first.

    ``gram`` float64[k, k]; one that is not finite has rank 0. The norm is the largest sum of a column's magnitudes.
    """
    A = np.array(gram, dtype=np.float64)
    if not np.isfinite(A).all():
        return 0
    threshold = SINGULAR * np.abs(A).sum(axis=0).max(initial=0.0)
    if np.linalg.eigvalsh(A).min(initial=np.inf) > threshold:
        return len(A)  # no pivot is below the smallest singular value, which is found much faster
    for rank in range(len(A)):
        lengths = np.linalg.norm(A, axis=0)
        longest = int(np.argmax(lengths))
        if lengths[longest] <= threshold:
            return rank
        direction = A[:, longest] / lengths[longest]
        A -= np.outer(direction, direction @ A)
        A[:, longest] = 0.0
    return len(A)


def scaled(strength: float, objective: Objective) -> float | None:
    """The strength that the rule takes for an interaction's, rounded to float32 as Oryx's speed layer does.

    With ``log_strength`` it is ``log1p(strength/epsilon)``, which has no value for strengths of -epsilon or less: None,
    no update.
    """
    if not math.isfinite(strength):
        return None
    if objective.log_strength:
        ratio = strength / objective.epsilon
        if not -1.0 < ratio < math.inf:
            return None
        strength = math.log1p(ratio)
    return float(np.float32(min(max(strength, -STRENGTH_LIMIT), STRENGTH_LIMIT)))


def target(strength: float, current: float, feedback: Feedback) -> float | None:
    """The estimate Q' that an interaction asks for where the estimate is ``current``; None: leave it as it is."""
    if feedback == "explicit":
        return None if math.isnan(strength) else strength
    if strength > 0 and current < 1:
        return current + strength / (1 + strength) * (1 - max(0.0, current))
    if strength < 0 and current > 0:
        return current + strength / (strength - 1) * -min(1.0, current)
    return None


def updated(
    vector: FloatVector | None, other: FloatVector, strength: float, solver: Solver, feedback: Feedback
) -> FloatVector | None:
    """The vector after one interaction, float32[k]; None where the interaction changes nothing.

    Args:
        vector: float32[k] before it, None where there is none yet.
        other: float32[k], the other side's vector before it.
        strength: the interaction's; one that is not finite changes nothing, nor does one whose step does not fit
            into float32.
        solver: of the *other* side's Gram matrix.
        feedback: the generation's.
    """
    if not math.isfinite(strength):
        return None
    y = np.asarray(other, np.float64)
    x = np.zeros(len(y)) if vector is None else np.asarray(vector, np.float64)
    current = float(x @ y)
    aim = target(strength, UNKNOWN if vector is None else current, feedback)
    if aim is None:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        moved = (x + solver.solve(y * (aim - current))).astype(np.float32)
    return moved if np.isfinite(moved).all() else None


def check_rule(objective: Objective) -> None:
    """Refuse vectors that have biases: a step would move the column of ones.

    Raises:
        ConfigError: they have.
    """
    if objective.biases is not None:
        raise ConfigError(
            'speed.fold_in = "oryx" cannot fold into a generation with biases: set "exact", or publish one that was '
            "trained without model.biases"
        )


def fold_in_order(
    vector: FloatVector | None,
    given: Iterable[tuple[FloatVector, float]],
    solver: Solver,
    feedback: Feedback,
) -> FloatVector | None:
    """The vector after several interactions, one after the other; as ``updated``, float32 after each.

    This is how Oryx answers for an anonymous user (``vector`` None) and for a user in a context; the strengths of a
    query are taken as they are, without `scaled`. Returns ``vector`` itself where none changes anything.
    """
    for other, strength in given:
        moved = updated(vector, other, strength, solver, feedback)
        vector = vector if moved is None else moved
    return vector
