"""Fold-in of one row by a dense solve: the reference for every faster way."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector, FloatMatrix
from oryx_py.numerics.basis import Basis, eigenvectors, identity
from oryx_py.numerics.biases import Side
from oryx_py.numerics.objective import Objective

SINGULAR = 1e-13
"""A pivot that cancels to less than this share of its diagonal entry says that the matrix is singular in float64."""


@dataclass(frozen=True, eq=False)
class Prior:
    """What a fold-in knows of all rows of the fixed side: a generation's, unchanged until the next.

    ``gram`` float64[k, k] is ``YᵀY`` of the factors as published (kept as a copy that cannot be written); ``rows`` is
    their number, ``|I|``. ``of`` says whose rows they are; None will do where the objective has no biases.

    Raises:
        ValueError: ``gram`` is not a square matrix of finite numbers, or ``rows`` is negative.
    """

    gram: DoubleMatrix
    rows: int
    of: Side | None = None

    def __post_init__(self) -> None:
        gram = np.array(self.gram, dtype=np.float64, order="C")
        if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or not np.isfinite(gram).all():
            raise ValueError(f"a Gram matrix is square and finite; this one is of shape {gram.shape}")
        if self.rows < 0:
            raise ValueError(f"the number of rows cannot be {self.rows}")
        gram.flags.writeable = False
        object.__setattr__(self, "gram", gram)

    @cached_property
    def plain(self) -> Basis:
        """The Gram matrix in the basis that the factors are in; computed once."""
        return identity(self.gram)

    @cached_property
    def turned(self) -> Basis:
        """The Gram matrix in the basis of its eigenvectors; computed once, and only where the plain one does not do."""
        return eigenvectors(self.gram)


def fold_in(strengths: DoubleVector, vectors: FloatMatrix, prior: Prior, objective: Objective) -> DoubleVector:
    """Solve one user's (or item's) system in float64; O(n k² + k³).

    ``strengths`` float64[n] of the folded history (NaN: gone), ``vectors`` float32[n, k] of the other side in the
    same order. Returns float64[k]. Where b = 0 the answer is 0 without solving. A singular system (λ = 0) gives the
    solution of least norm, so that nothing in a history can make it fail.

    With biases the answer is a vector as published: solved is for k - 1 of its entries, and those are 0 where b = 0.

    Raises:
        ValueError: the objective has biases, and ``prior`` does not say whose rows are fixed.
    """
    w, t, counted = objective.weights(strengths)
    Y, gram = np.asarray(vectors, dtype=np.float64), prior.gram
    ridge = objective.ridge(int(counted.sum()), prior.rows)
    if objective.biases is None:
        return _ridge_solution(Y, gram, w, t, objective.g, ridge)
    fixed = side_of(prior)
    column = objective.biases.column(fixed)
    t = np.where(w > 0, t - objective.biases.offsets(Y[:, column], fixed), 0.0)
    gram = np.delete(np.delete(gram, column, axis=0), column, axis=1)
    x = np.insert(_ridge_solution(np.delete(Y, column, axis=1), gram, w, t, objective.g, ridge), column, 0.0)
    objective.biases.publish(x, fixed)
    return x


def side_of(prior: Prior) -> Side:
    """Return whose rows are fixed.

    Raises:
        ValueError: the prior does not say.
    """
    if prior.of is None:
        raise ValueError("with biases, a prior must say whose rows are fixed")
    return prior.of


def _ridge_solution(
    Y: DoubleMatrix, gram: DoubleMatrix, w: DoubleVector, t: DoubleVector, g: float, ridge: float
) -> DoubleVector:
    b: DoubleVector = Y.T @ t
    if not b.any():
        return b
    A = g * gram + (Y.T * w) @ Y
    A[np.diag_indices_from(A)] += ridge
    return solve(A, b)


def solve(A: DoubleMatrix, b: DoubleVector) -> DoubleVector:
    """The solution of a symmetric positive definite system; that of least norm where it is only semidefinite."""
    try:
        pivots = np.diag(np.linalg.cholesky(A)) ** 2
        regular = bool((pivots > SINGULAR * np.diag(A)).all())
    except np.linalg.LinAlgError:
        regular = False
    x = np.linalg.solve(A, b) if regular else np.linalg.lstsq(A, b, rcond=SINGULAR)[0]
    return np.asarray(x, dtype=np.float64)
