"""Aliases that name an array's rank and dtype; NumPy's own stubs carry the dtype alone, so only that is checked."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

BoolVector: TypeAlias = NDArray[np.bool_]
IntVector: TypeAlias = NDArray[np.int64]
FloatVector: TypeAlias = NDArray[np.float32]
FloatMatrix: TypeAlias = NDArray[np.float32]
DoubleVector: TypeAlias = NDArray[np.float64]
DoubleMatrix: TypeAlias = NDArray[np.float64]
