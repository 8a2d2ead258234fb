"""Arrays that begin where a cache line does: rows of 64 bytes or a multiple then take no more lines than they must."""

import numpy as np

from oryx_py.numerics.arrays import FloatMatrix

__all__ = ["aligned"]

_LINE = 64


def aligned(rows: int, columns: int) -> FloatMatrix:
    """Return float32[rows, columns], not initialised; NumPy's own large arrays begin 16 bytes behind a line's start."""
    size = 4 * rows * columns
    memory = np.empty(size + _LINE, np.uint8)
    first = -memory.ctypes.data % _LINE
    return memory[first : first + size].view(np.float32).reshape(rows, columns)
