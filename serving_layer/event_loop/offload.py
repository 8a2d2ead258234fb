"""Work that is too long for the loop goes to another thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final, ParamSpec, TypeVar

__all__ = ["COST_OF_NAMING", "COST_OF_RANKING", "INLINE_COST", "is_quick", "offload"]

P = ParamSpec("P")
T = TypeVar("T")

INLINE_COST: Final = 1_500_000
"""Multiplications that the loop does itself, a third of a millisecond; going to a thread and back costs a tenth."""
COST_OF_NAMING: Final = 1_000
"""Of making the ID of a handle."""
COST_OF_RANKING: Final = 500
"""Of sorting, for each score."""


def is_quick(cost: int) -> bool:
    """Say whether the loop itself does work of about so many multiplications."""
    return cost <= INLINE_COST


async def offload(pool: Executor, cost: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that touches nothing of the loop's: here if it is quick, else in the pool.

    ``cost`` is about how many multiplications it takes.
    """
    if is_quick(cost):
        return function(*args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(pool, lambda: function(*args, **kwargs))
