"""Bases in which a Gram matrix is diagonal, exactly or nearly."""

from typing import NamedTuple

import numpy as np

from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector
from oryx_py.numerics.gram import eigenbasis


class Basis(NamedTuple):
    """``gram = Q diag(values) Qᵀ + spill``.

    ``values`` float64[k], not negative; ``Q`` float64[k, k] and its transpose ``Qt`` (stored by rows, too), both empty
    for the identity; ``spill`` float64[k, k], empty where nothing is left; ``spilled`` its norm.
    """

    values: DoubleVector
    Q: DoubleMatrix
    Qt: DoubleMatrix
    spill: DoubleMatrix
    spilled: float


def identity(gram: DoubleMatrix) -> Basis:
    """The basis that the factors are in; everything off the diagonal is spill."""
    values = np.diag(gram).copy()
    spill = gram - np.diag(values)
    norm = float(np.linalg.norm(spill))
    return Basis(values, _none(), _none(), spill if norm > 0 else _none(), norm)


def eigenvectors(gram: DoubleMatrix) -> Basis:
    """The basis in which nothing spills."""
    Q = eigenbasis(gram)
    values = np.maximum(np.einsum("ij,ij->j", Q, gram @ Q), 0.0)
    return Basis(values, Q, np.ascontiguousarray(Q.T), _none(), 0.0)


def _none() -> DoubleMatrix:
    return np.empty((0, 0))
