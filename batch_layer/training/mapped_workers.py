"""Workers that are tasks, anywhere: factors are files of the working directory, and nothing else goes between them."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from batch_layer.training.job import Job
from batch_layer.training.mapped_tasks import (
    WEIGHED,
    gram_blocks,
    improve_blocks,
    map_factors,
    turn_blocks,
    weigh_blocks,
    weights_path,
)
from oryx_py.model.files import create_array, write_span
from oryx_py.model.generations.history_files import map_histories
from oryx_py.numerics.als import SideName, State
from oryx_py.numerics.als.phases import Block, Half, Turn, blocks, summed
from oryx_py.numerics.arrays import BoolVector, DoubleMatrix, FloatMatrix

__all__ = ["MappedWorkers", "RunTasks"]

_TASKS = 2
"""For each place where one can run: who has done his takes the next."""


class RunTasks(Protocol):
    """Runs a function of each group of blocks, anywhere, in any order, perhaps twice; answers in the groups' order."""

    def __call__(
        self, work: Callable[[Sequence[Block]], list[Half]], given: Sequence[Sequence[Block]]
    ) -> Sequence[list[Half]]:
        """Run them."""


class MappedWorkers:
    """Workers whose factors are files, by name; each phase is a run of tasks over ranges of rows.

    Each file is written by the tasks of one phase and read by those that follow, so a task may be run again.

    Args:
        job: on what.
        out: users whom the training leaves out, bool[users].
        run: who runs the tasks.
        tasks: how many run at the same time.
        name: of files in the working directory that are this one's.
    """

    def __init__(self, job: Job, out: BoolVector | None, run: RunTasks, *, tasks: int, name: str) -> None:
        self._job = job
        self._run = run
        self._tasks = _TASKS * tasks
        self._name = name
        self._numbers = count()
        self._blocks: dict[SideName, list[Block]] = {
            side: blocks(map_histories(job.into, side).indptr, job.recipe.features) for side in _SIDES
        }
        self._weigh(out)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave the files: the working directory goes as a whole."""

    def put(self, side: SideName, factors: FloatMatrix) -> Path:  # noqa: ARG002 - any side's are as good
        """See `Workers`."""
        path = self._new_path()
        create_array(path, np.float32, factors.shape)
        write_span(path, 0, factors)
        return path

    def turn(self, side: SideName, factors: Path, turn: Turn) -> Path:
        """See `Workers`."""
        path = self._new_file(side)
        self._each(side, partial(turn_blocks, factors=factors, path=path, turn=turn))
        return path

    def improve(self, side: SideName, rows: Path, fixed: Path, turn: Turn) -> tuple[Path, Half]:
        """See `Workers`."""
        path = self._new_file(side)
        work = partial(
            improve_blocks, job=self._job, side=side, name=self._name, rows=rows, fixed=fixed, path=path, turn=turn
        )
        return path, summed(self._each(side, work))

    def gram(self, side: SideName, factors: Path) -> DoubleMatrix:
        """See `Workers`."""
        return summed(self._each(side, partial(gram_blocks, factors=factors))).gram

    def read(self, factors: Path) -> FloatMatrix:
        """See `Workers`."""
        return map_factors(factors)

    def keep(self, *states: State[Path] | None) -> None:
        """See `Workers`."""
        kept = {path for state in states if state is not None for path in (state.users, state.items)}
        for path in self._job.work.glob(f"{self._name}-factors-*.npy"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def _weigh(self, out: BoolVector | None) -> None:
        path = None
        if out is not None:
            path = self._job.work / f"{self._name}-out.npy"
            create_array(path, np.bool_, out.shape)
            write_span(path, 0, out)
        for side in _SIDES:
            histories = map_histories(self._job.into, side)
            lengths = {"pairs": histories.pairs, "rows": len(histories)}
            for kind, of in WEIGHED:
                create_array(weights_path(self._job, side, self._name, kind), np.float32, (lengths[of],))
            self._each(side, partial(weigh_blocks, job=self._job, side=side, name=self._name, out=path))

    def _each(self, side: SideName, work: Callable[[Sequence[Block]], list[Half]]) -> list[Half]:
        cuts = np.array_split(np.arange(len(self._blocks[side])), min(self._tasks, len(self._blocks[side])))
        groups = [[self._blocks[side][number] for number in cut.tolist()] for cut in cuts]
        return [half for answer in self._run(work, groups) for half in answer]

    def _new_file(self, side: SideName) -> Path:
        path = self._new_path()
        create_array(path, np.float32, (self._job.rows(side), self._job.recipe.features))
        return path

    def _new_path(self) -> Path:
        return self._job.work / f"{self._name}-factors-{next(self._numbers):05d}.npy"


_SIDES: tuple[SideName, SideName] = ("users", "items")
