"""Random fold-in systems, and the slow way to solve them: A and b entry by entry from the objective's definition."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.objective import Objective

CONSTANTS: dict[str, dict[str, float]] = {
    "mllib_implicit": {"lambda": 0.05, "alpha": 1.7},
    "mllib_log": {"lambda": 0.05, "alpha": 0.6, "epsilon": 0.3},
    "mllib_explicit": {"lambda": 0.03},
    "ials": {"lambda": 0.004, "alpha0": 0.2, "nu": 1.0},
    "ials_half": {"lambda": 0.1, "alpha0": 0.05, "nu": 0.5},
}
"""Objectives by name, with constants of the size that trained models have."""


def objective(kind: str, scale: float = 1.0) -> Objective:
    """The project's own value for one of ``CONSTANTS``; ``scale`` multiplies λ."""
    c = CONSTANTS[kind]
    if kind == "mllib_explicit":
        return Objective.mllib_explicit(c["lambda"] * scale)
    if kind.startswith("ials"):
        return Objective.ials(c["alpha0"], c["lambda"] * scale, c["nu"])
    if kind == "mllib_log":
        return Objective.mllib_implicit(c["lambda"] * scale, c["alpha"], True, c["epsilon"])
    return Objective.mllib_implicit(c["lambda"] * scale, c["alpha"])


def pair(kind: str, s: float) -> tuple[float, float, int]:
    """Weight, target and count of one pair, as the papers and MLlib's source define them."""
    c = CONSTANTS[kind]
    if math.isnan(s):
        return 0.0, 0.0, 0
    if kind == "mllib_explicit":
        return 1.0, s, 1
    if kind.startswith("ials"):
        return abs(s), max(s, 0.0), int(s != 0)
    confidence = c["alpha"] * (math.log1p(abs(s) / c["epsilon"]) if kind == "mllib_log" else abs(s))
    return confidence, 1.0 + confidence if s > 0 else 0.0, int(s > 0)


def system(
    kind: str, scale: float, strengths: NDArray[np.float64], vectors: NDArray[Any], everything: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A float64[k, k] and b float64[k], one entry after the other."""
    Y, V = everything.astype(np.float64), vectors.astype(np.float64)
    k = Y.shape[1]
    weights = [pair(kind, float(s)) for s in strengths]
    n = sum(count for _, _, count in weights)
    c = CONSTANTS[kind]
    if kind.startswith("ials"):
        g, ridge = c["alpha0"], c["lambda"] * scale * (n + c["alpha0"] * len(Y)) ** c["nu"]
    else:
        g, ridge = (0.0 if kind == "mllib_explicit" else 1.0), c["lambda"] * scale * n
    A, b = np.zeros((k, k)), np.zeros(k)
    w, t = np.array([w for w, _, _ in weights]), np.array([t for _, t, _ in weights])
    for i in range(k):
        b[i] = np.sum(t * V[:, i])
        for j in range(i + 1):
            A[i, j] = A[j, i] = g * np.sum(Y[:, i] * Y[:, j]) + np.sum(w * V[:, i] * V[:, j]) + ridge * (i == j)
    return A, b


def solution(A: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """``A⁻¹ b``, and 0 where b is."""
    return np.asarray(np.linalg.solve(A, b), dtype=np.float64) if b.any() else np.zeros_like(b)


@dataclass(frozen=True)
class Histories:
    """Factors, their prior, and the histories of a few rows as a CSR matrix."""

    factors: NDArray[np.float32]
    prior: Prior
    indptr: NDArray[np.int64]
    indices: NDArray[np.int64]
    strengths: NDArray[np.float64]

    def row(self, row: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Strengths and vectors of one history."""
        pairs = slice(self.indptr[row], self.indptr[row + 1])
        return self.strengths[pairs], self.factors[self.indices[pairs]]


def random_histories(
    rng: np.random.Generator,
    *,
    k: int,
    lengths: list[int],
    rows: int,
    decades: float = 1.0,
    correlated: bool = False,
    turned: bool = False,
) -> Histories:
    """Factors whose Gram matrix spans ``2 * decades`` powers of ten, and histories with every kind of strength.

    ``turned`` rotates the factors into the eigenbasis of their Gram matrix, as they are published; ``correlated`` takes
    each history from rows that lie close together.
    """
    scales = np.logspace(0, -decades, k)
    Y = rng.standard_normal((rows, k)) * scales * rng.lognormal(0, 0.4, (rows, 1)) / math.sqrt(k)
    if not turned:
        Y = Y @ np.linalg.qr(rng.standard_normal((k, k)))[0]
    factors = Y.astype(np.float32)
    if turned:
        _, Q = np.linalg.eigh(factors.astype(np.float64).T @ factors.astype(np.float64))
        factors = (factors @ Q[:, ::-1]).astype(np.float32)
    gram = factors.astype(np.float64).T @ factors.astype(np.float64)
    near = np.argsort(factors[:, 0], kind="stable")
    indices = [
        near[start : start + n]
        if correlated and (start := int(rng.integers(0, rows - n + 1))) >= 0
        else rng.choice(rows, n, replace=False)
        for n in lengths
    ]
    flat = np.concatenate([*indices, np.empty(0, np.int64)]).astype(np.int64)
    strengths = rng.choice([1.0, 1.0, 2.0, 5.0, 0.25, -1.0, -3.0, 0.0, math.nan], len(flat))
    indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    return Histories(factors, Prior(gram, rows), indptr, flat, strengths)


def relative_error(x: NDArray[Any], exact: NDArray[np.float64]) -> float:
    """``‖x − x*‖ / ‖x*‖``; 0 where both are 0."""
    distance = float(np.linalg.norm(x - exact))
    return distance / float(np.linalg.norm(exact)) if distance else 0.0
