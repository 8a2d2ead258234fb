"""The system of the design's text, term by term, in dense float64."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.objective import Objective

__all__ = ["Vector", "solved"]

Vector = NDArray[np.float64]


def solved(
    strengths: Mapping[str, float], vectors: Mapping[str, Vector], gram: Vector, rows: int, objective: Objective
) -> Vector:
    """Solve ``A x = b`` for the pairs whose other side has a vector.

    Args:
        strengths: folded, by the other side's ID.
        vectors: of the other side, float64[k].
        gram: float64[k, k], of the generation's factors of the other side.
        rows: how many those are.
        objective: the generation's.
    """
    k = len(gram)
    A, b, n = objective.g * gram, np.zeros(k), 0
    for other, s in strengths.items():
        y = vectors.get(other)
        if y is None:
            continue
        f = np.log1p(abs(s) / objective.epsilon) if objective.log_strength else abs(s)
        if objective.feedback == "explicit":
            w, t, counts = 1.0, s, True
        else:
            w = objective.alpha * f
            t = objective.kappa + w if s > 0 else 0.0
            counts = s > 0 if objective.counts == "positive" else s != 0
        A = A + w * np.outer(y, y)
        b = b + t * y
        n += counts
    if not b.any():
        return np.zeros(k)
    scale = float(n + objective.rho * rows) ** objective.nu
    return np.linalg.solve(A + objective.lambda_ * scale * np.eye(k), b)
