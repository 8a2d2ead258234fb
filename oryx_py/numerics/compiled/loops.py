"""Loops over one vector or one small matrix, for kernels to compile in.

Plain ones, as everywhere in kernels: numba takes seconds to compile an assignment to a slice.
"""

from oryx_py.numerics.arrays import DoubleMatrix, DoubleVector, FloatVector
from oryx_py.numerics.compiled.compiling import lean_part


@lean_part
def dot(a: DoubleVector, b: DoubleVector | FloatVector) -> float:
    """``aᵀ b``."""
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return float(total)


@lean_part
def smallest(a: DoubleVector) -> float:
    """``min a_j``."""
    least = a[0]
    for j in range(1, len(a)):
        least = min(least, a[j])
    return float(least)


@lean_part
def largest(a: DoubleVector) -> float:
    """``max |a_j|``."""
    most = abs(a[0])
    for j in range(1, len(a)):
        most = max(most, abs(a[j]))
    return float(most)


@lean_part
def product(M: DoubleMatrix, p: DoubleVector | FloatVector, v: DoubleVector | FloatVector) -> None:
    """``v = M p``, of which M has no more entries than the two vectors."""
    for i in range(len(M)):
        v[i] = dot(M[i], p)
