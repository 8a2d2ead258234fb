"""What a training takes, in bytes, before it is begun: arithmetic, measured to be on the safe side."""

from typing import NamedTuple

__all__ = ["PROCESS_BYTES", "Needs", "needs"]

_FLOAT = 4
PROCESS_BYTES = 400 << 20
"""Python with NumPy, numba's code and a task's scratch."""

_STATES = 4
"""Factors of both sides that are there at the same time: as they stand, turned, improved, and the best so far."""


class Needs(NamedTuple):
    """Bytes.

    ``one_task``: memory of the host on which one task does the whole training. ``each_host``: memory of a host for the
    factors that its tasks share, mapped, where many do it; were they not in memory, every vector would come from the
    disk. ``each_task``: what each of these takes for itself. ``work_dir``: room in the working directory, at most.
    """

    one_task: int
    each_host: int
    each_task: int
    work_dir: int


def needs(users: int, items: int, pairs: int, features: int) -> Needs:
    """Return what training takes.

    Pairs cost their weight and target on both sides (16 bytes), and the mapped indices of both (8): the strengths are
    read once. Tasks that share the work map the fixed side and hold a 64th of the other.
    """
    largest, both = _FLOAT * features * max(users, items), _FLOAT * features * (users + items)
    weights = 16 * pairs + _FLOAT * (users + items)
    gram = 8 * features**2
    return Needs(
        one_task=PROCESS_BYTES + _STATES * both + weights + 8 * pairs + 64 * gram,
        each_host=largest,
        each_task=PROCESS_BYTES + largest // 32 + 8 * gram + 24 * (pairs // 64),
        work_dir=(_STATES + 1) * both + 2 * weights,
    )
