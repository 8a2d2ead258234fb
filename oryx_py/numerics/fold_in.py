"""Fold-in of one row by a dense solve: the reference for every faster way."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector, FloatMatrix
from oryx_py.numerics.basis import Basis, eigenvectors, identity
from oryx_py.numerics.objective import Objective


@dataclass(frozen=True, eq=False)
class Prior:
    """What a fold-in knows of all rows of the fixed side: a generation's, unchanged until the next.

    ``gram`` float64[k, k] is ``YᵀY`` of the factors as published; ``rows`` is their number, ``|I|``.

    Raises:
        ValueError: ``gram`` is not square.
    """

    gram: DoubleMatrix
    rows: int

    def __post_init__(self) -> None:
        if self.gram.ndim != 2 or self.gram.shape[0] != self.gram.shape[1]:
            raise ValueError(f"a Gram matrix is square, not of shape {self.gram.shape}")

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
    """
    w, t, counted = objective.weights(strengths)
    Y = np.asarray(vectors, dtype=np.float64)
    b = Y.T @ t
    if not b.any():
        return b
    A = objective.g * prior.gram + (Y.T * w) @ Y
    A[np.diag_indices_from(A)] += objective.ridge(int(counted.sum()), prior.rows)
    return solve(A, b)


def solve(A: DoubleMatrix, b: DoubleVector) -> DoubleVector:
    """The solution of a symmetric positive definite system; that of least norm where it is only semidefinite."""
    try:
        np.linalg.cholesky(A)
    except np.linalg.LinAlgError:
        x = np.linalg.lstsq(A, b, rcond=None)[0]
    else:
        x = np.linalg.solve(A, b)
    return np.asarray(x, dtype=np.float64)
