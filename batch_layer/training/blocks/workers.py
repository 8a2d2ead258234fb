"""Workers that are tasks anywhere, of which none needs a whole side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from batch_layer.training.blocks.cutting import OTHER, SIDES, Cuts, Factors, Sources, edges_of
from batch_layer.training.blocks.gathering import read_rows
from batch_layer.training.blocks.tasks import Improve, Prepare, TurnGroup, sum_gram
from batch_layer.training.job import Job
from oryx_py.errors import StoreUnavailable
from oryx_py.model.files import create_array, map_array, write_span
from oryx_py.numerics.als import SideName, State
from oryx_py.numerics.als.phases import Half, Turn, summed
from oryx_py.numerics.als.portions import READ_BYTES, Group
from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, FloatMatrix

__all__ = ["BlockWorkers", "RunGroups", "assembled", "handed_in"]


class RunGroups(Protocol):
    """Runs a function of each group, anywhere, in any order, perhaps twice; answers in the groups' order."""

    def __call__(self, work: Callable[[Group], list[Half]], given: Sequence[Group]) -> Sequence[list[Half]]:
        """Run them."""


class BlockWorkers:
    """Workers whose factors are a file for each group of rows; each phase is a run of tasks over these.

    Each file is written by the tasks of one phase and read by those that follow, so a task may be run again.

    Args:
        job: on what; its directories are this process's own.
        out: users whom the training leaves out, bool[users].
        run: who runs the tasks.
        at: where these find histories and leave files.
        cuts: the same for all workers of a job.
        name: of files that are this one's.
    """

    def __init__(self, job: Job, out: BoolVector | None, run: RunGroups, *, at: Sources, cuts: Cuts, name: str) -> None:
        self._job = job
        self._run = run
        self._at = at
        self._cuts = cuts
        self._name = name
        self._numbers = count()
        self._made: set[str] = set()
        objective, left_out = job.recipe.objective, np.flatnonzero(out if out is not None else np.empty(0, np.bool_))
        for side in SIDES:
            self._each(side, Prepare(at, side, self._portions(side), job.rows(OTHER[side]), objective, left_out))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the portions, which nobody needs any more; factors go with the working directory."""
        for side in SIDES:
            self._forget(self._portions(side))

    def put(self, side: SideName, factors: FloatMatrix) -> Factors:
        """See `Workers`."""
        new = self._new(side)
        return handed_in(self._at, self._cuts.of(side), factors, new.name)

    def turn(self, side: SideName, factors: Factors, turn: Turn) -> Factors:
        """See `Workers`."""
        into = self._new(side)
        self._each(side, TurnGroup(self._at, factors, into, turn))
        return into

    def improve(self, side: SideName, rows: Factors, fixed: Factors, turn: Turn) -> tuple[Factors, Half]:
        """See `Workers`."""
        into = self._new(side)
        return into, summed(self._each(side, Improve(self._at, self._portions(side), rows, fixed, into, turn)))

    def gram(self, side: SideName, factors: Factors) -> DoubleMatrix:
        """See `Workers`."""
        return summed(self._each(side, partial(sum_gram, at=self._at, factors=factors))).gram

    def read(self, factors: Factors) -> FloatMatrix:
        """See `Workers`: mapped, in this process's working directory, until the next is read."""
        for path in self._job.work.glob(f"{self._name}-read-*.npy"):
            path.unlink()  # what is mapped stays
        path = self._job.work / f"{self._name}-read-{next(self._numbers)}.npy"
        create_array(path, np.float32, (factors.edges[-1], factors.features))
        for first, rows in assembled(self._at, factors):
            write_span(path, first, rows)
        return map_array(path, np.float32, (None, None))

    def keep(self, *states: State[Factors] | None) -> None:
        """See `Workers`."""
        kept = {factors.name for state in states if state is not None for factors in (state.users, state.items)}
        for name in sorted(self._made - kept):
            self._forget(name)
        self._made &= kept

    def _forget(self, name: str) -> None:
        with suppress(StoreUnavailable):  # it goes with the working directory
            self._at.work.delete(name)

    def _each(self, side: SideName, work: Callable[[Group], list[Half]]) -> list[Half]:
        return [half for answer in self._run(work, self._cuts.of(side)) for half in answer]

    def _new(self, side: SideName) -> Factors:
        name = f"{self._name}-factors-{next(self._numbers):05d}"
        self._made.add(name)
        return Factors(name, edges_of(self._cuts.of(side)), self._job.recipe.features)

    def _portions(self, side: SideName) -> str:
        return f"{self._name}-{side}"


def handed_in(at: Sources, groups: Sequence[Group], factors: FloatMatrix, name: str) -> Factors:
    """Write factors that this process has, perhaps mapped, to where tasks find them; zeros take no room."""
    zeros = frozenset(group.number for group in groups if not any(part.any() for part in _parts(factors, group)))
    found = Factors(name, edges_of(groups), factors.shape[1], zeros)
    for group in groups:
        if group.number not in zeros:
            at.work.write(found.file(group.number), _parts(factors, group))
    return found


def assembled(at: Sources, factors: Factors) -> Iterator[tuple[int, FloatMatrix]]:
    """Yield all factors in their order, some at a time, each with its first row."""
    rows = max(1, READ_BYTES // (4 * factors.features))
    for group, start in enumerate(factors.edges[:-1]):
        end = factors.edges[group + 1]
        for first in range(start, end, rows):
            yield first, read_rows(at.work, factors, group, first, min(first + rows, end))


def _parts(factors: FloatMatrix, group: Group) -> Iterator[FloatMatrix]:
    rows = max(1, READ_BYTES // (4 * factors.shape[1]))
    for first in range(group.first, group.last, rows):
        yield np.ascontiguousarray(factors[first : min(first + rows, group.last)])
