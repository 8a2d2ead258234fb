"""Workers in this process: threads over factors in memory."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

import numpy as np

from oryx_py.numerics.als.matrix import Observed
from oryx_py.numerics.als.phases import STEPS, Block, Half, Turn, block_gram, blocks, improved, summed, turned
from oryx_py.numerics.als.sweeping import SideName, State
from oryx_py.numerics.arrays import DoubleMatrix, FloatMatrix
from oryx_py.numerics.compiled.aligned import aligned

__all__ = ["Threads"]

T = TypeVar("T")


class Threads:
    """Workers that share this process's memory; close them, or use them as a context.

    BLAS must be limited to one thread (`threadpoolctl`), or it adds in another order.

    Args:
        users: the users' pairs.
        items: the items' pairs.
        features: k.
        threads: at work at the same time.
        steps: of conjugate gradients a half sweep.
    """

    def __init__(
        self, users: Observed, items: Observed, features: int, *, threads: int = 1, steps: int = STEPS
    ) -> None:
        self._sides: Mapping[SideName, Observed] = {"users": users, "items": items}
        self._blocks: Mapping[SideName, list[Block]] = {
            "users": blocks(users.indptr, features),
            "items": blocks(items.indptr, features),
        }
        self._steps = steps
        self._pool = ThreadPoolExecutor(threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def put(self, side: SideName, factors: FloatMatrix) -> FloatMatrix:  # noqa: ARG002 - any side's are as good
        """See `Workers`."""
        return factors

    def turn(self, side: SideName, factors: FloatMatrix, turn: Turn) -> FloatMatrix:
        """See `Workers`."""
        found = aligned(*factors.shape)

        def work(block: Block) -> None:
            found[block.first : block.last] = turned(factors, block, turn)

        self._each(side, work)
        return found

    def improve(self, side: SideName, rows: FloatMatrix, fixed: FloatMatrix, turn: Turn) -> tuple[FloatMatrix, Half]:
        """See `Workers`."""
        found = np.empty_like(rows)

        def work(block: Block) -> Half:
            found[block.first : block.last], half = improved(
                self._sides[side], rows, fixed, block, turn, steps=self._steps
            )
            return half

        return found, summed(self._each(side, work))

    def gram(self, side: SideName, factors: FloatMatrix) -> DoubleMatrix:
        """See `Workers`."""
        parts = self._each(side, lambda block: Half(block_gram(factors[block.first : block.last]), 0.0, 0.0))
        return summed(parts).gram

    def read(self, factors: FloatMatrix) -> FloatMatrix:
        """See `Workers`."""
        return factors

    def keep(self, *states: State[FloatMatrix] | None) -> None:
        """See `Workers`; nobody refers to the others any more."""

    def _each(self, side: SideName, work: Callable[[Block], T]) -> list[T]:
        return list(self._pool.map(work, self._blocks[side]))
