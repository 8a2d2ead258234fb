"""The Gram matrix of vectors that move: Oryx 2 folds in by that of the vectors in memory, not by the generation's."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oryx_py.numerics.arrays import DoubleMatrix
from oryx_py.numerics.fold_in.dense import Prior

__all__ = ["LivePrior"]

_Vector = NDArray[np.float32] | None


class LivePrior:
    """Keeps ``YᵀY`` up to date, vector by vector, and hands out a copy at most so often.

    A change costs k² in float64, and rounds as often: 10⁶ of them leave some 10⁻¹³ of the matrix. A new `Prior` costs
    whoever solves with it k³, so that a busy topic must not mean one for every request.

    Args:
        gram: float64[k, k], to begin with.
        rows: how many vectors that is of.
        monotonic: the clock, in seconds.
        every_s: how old the copy handed out may be.
    """

    def __init__(self, gram: DoubleMatrix, rows: int, monotonic: Callable[[], float], every_s: float = 1.0) -> None:
        self._gram = np.array(gram, np.float64)
        self._rows = rows
        self._monotonic, self._every_s = monotonic, every_s
        self._prior = Prior(gram, rows)
        self._since = monotonic()
        self._is_behind = False

    def replace(self, before: _Vector, after: _Vector) -> None:
        """Take note that a vector float32[k] has become another; None stands for none."""
        for vector, sign in ((before, -1), (after, 1)):
            if vector is not None:
                y = vector.astype(np.float64)
                self._gram += sign * np.outer(y, y)
                self._rows += sign
                self._is_behind = True

    def now(self) -> Prior:
        """Return the prior of the vectors as they are, or were at most ``every_s`` ago."""
        if self._is_behind and self._monotonic() - self._since >= self._every_s:
            self._prior, self._since, self._is_behind = Prior(self._gram, self._rows), self._monotonic(), False
        return self._prior
