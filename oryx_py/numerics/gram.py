"""Gram matrices, and the basis in which they are diagonal."""

import numpy as np

from oryx_py.numerics.arrays import DoubleMatrix, FloatMatrix


def gram(factors: FloatMatrix, block: int = 65536) -> DoubleMatrix:
    """``YᵀY`` of float32[n, k] factors in float64[k, k], ``block`` rows at a time; exactly symmetric."""
    k = factors.shape[1]
    total = np.zeros((k, k))
    for start in range(0, factors.shape[0], block):
        Y = np.asarray(factors[start : start + block], dtype=np.float64)
        total += Y.T @ Y
    return (total + total.T) / 2


def eigenbasis(gram: DoubleMatrix) -> DoubleMatrix:
    """An orthonormal Q float64[k, k] with ``Qᵀ gram Q`` diagonal, its entries descending.

    Scores do not change when both factor matrices are multiplied by Q, and the prior of every fold-in then is
    diagonal. Each column's entry of largest magnitude (the first of equals) is positive, so that the same Gram
    matrix gives the same basis.
    """
    _, Q = np.linalg.eigh(gram)
    Q = Q[:, ::-1]
    k = Q.shape[1]
    signs = np.sign(Q[np.argmax(np.abs(Q), axis=0), np.arange(k)])
    return np.ascontiguousarray(Q * signs)
