"""The slow, obvious answer to what biases are solved to: every entry of a system from the definition of a score."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.biases import Biases, Side


def published(rng: np.random.Generator, rows: int, latent: int, biases: Biases, of: Side) -> NDArray[np.float32]:
    """Return random factors of that side, [p, b_u, 1] or [q, 1, μ + b_i], float32[rows, latent + 2]."""
    factors = rng.normal(size=(rows, latent + 2)).astype(np.float32) * np.float32(0.7)
    if of == "users":
        factors[:, latent + 1] = 1
    else:
        factors[:, latent] = 1
        factors[:, latent + 1] += np.float32(biases.mean)
    return factors


def biased_ridge(
    strengths: NDArray[np.float64], vectors: NDArray[Any], fixed: Side, mean: float, lambda_: float
) -> NDArray[np.float64]:
    """Minimise ``Σ (s − p·q − b_u − μ − b_i)² + λ n (‖p‖² + b_u²)`` over one user, or the same over one item.

    ``vectors`` float[n, d + 2] are those of the other side, in the form that is published, and so is the answer; 0 of
    the factors and the bias where no target is left to reach.
    """
    d = vectors.shape[1] - 2
    A, b = np.zeros((d + 1, d + 1)), np.zeros(d + 1)
    for s, vector in zip(strengths.tolist(), vectors.astype(np.float64), strict=True):
        factors = [*vector[:d], 1.0]
        target = s - vector[d + 1] if fixed == "items" else s - mean - vector[d]
        for i in range(d + 1):
            b[i] += target * factors[i]
            for j in range(d + 1):
                A[i, j] += factors[i] * factors[j]
        for i in range(d + 1):
            A[i, i] += lambda_
    x = np.linalg.solve(A, b) if b.any() else np.zeros(d + 1)
    return np.array([*x, 1.0]) if fixed == "items" else np.array([*x[:d], 1.0, mean + x[d]])
