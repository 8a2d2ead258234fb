"""Many files of a day that is over become few: the last part of a run, on which nothing else depends.

1. find the groups of files that are due (`batch_layer.housekeeping.merge_planning`), none with rows after a generation
   in the store was made, since it may be folded on;
2. have the engine write the rows of each group together, and look that all of them are there;
3. remove what the merge before has left for readers of an older state;
4. commit: the new files in the place of the others, which stay until something else is taken out of the history.

Fails 1 to 4: what was written is removed, or swept, and it is tried again in an hour, or by another process. What 3
removes is in no state of the history from the last merge on. Nothing but the commit says what counts.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import structlog

from batch_layer.engine import Engine
from batch_layer.history.folder import HistoryFolder
from batch_layer.housekeeping.merge_planning import SIZES, Group, Sizes, at_once, numbered, placed, to_merge
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.errors import CorruptGeneration, OryxError, UnsupportedFormat
from oryx_py.model.generations.generation import new_generation_name
from oryx_py.model.history.commits import History
from oryx_py.ports import ArtefactStore, Clock

__all__ = ["FileMerger", "MergeFiles", "unmerged"]

log = structlog.get_logger("batch")

MergeFiles: TypeAlias = Callable[[History], None]
"""What is done to the history's files when a run has nothing else to do."""

_PATIENCE_S: Final = 3600.0
"""From one failure to the next attempt: a file that cannot be read must not cost a job each run."""


def unmerged(_history: History) -> None:
    """Leave all files as they are."""


class FileMerger:
    """Does so; one process at a time, under the lock of runs.

    Args:
        log, folder: the history's commits and files.
        engine: writes files.
        store: generations.
        clock, rng: for times and names.
        sizes: what is large and what is small.
    """

    def __init__(
        self,
        *,
        log: HistoryLog,
        folder: HistoryFolder,
        engine: Engine,
        store: ArtefactStore,
        clock: Clock,
        rng: np.random.Generator,
        sizes: Sizes = SIZES,
    ) -> None:
        self._log, self._folder, self._engine, self._store = log, folder, engine, store
        self._clock, self._rng, self._sizes = clock, rng, sizes
        self._not_before_s = 0.0

    def __call__(self, history: History) -> None:
        """Merge what is due; what fails is logged.

        Args:
            history: as of the newest commit.

        Raises:
            Cancelled: by `Engine.cancel`.
        """
        if self._clock.monotonic() < self._not_before_s:
            return
        groups = to_merge(history, self._sizes)
        if not groups:
            return
        try:
            self._merge(history, groups)
        except OryxError as trouble:
            self._not_before_s = self._clock.monotonic() + _PATIENCE_S
            hint = "it is tried again in an hour; until then there are only more files than need be"
            log.warning("history_merging_put_off", reason=str(trouble), hint=hint)

    def _merge(self, history: History, groups: list[Group]) -> None:
        held = self._oldest_generation(history)
        groups = at_once((group for group in groups if group.origin <= held), self._sizes)
        if not groups:
            return
        of, spans = numbered(groups)
        rows = sum(group.rows for group in groups)
        name = new_generation_name(self._clock.now_ms(), self._rng)
        with self._folder.begun(name) as directory:
            numbers = {self._folder.uri(path): number for path, number in of.items()}
            self._engine.merge(numbers, rows, self._folder.uri(directory), self._sizes.file)
            files = [placed(file, spans) for file in self._folder.settle(directory, rows)]
        self._folder.remove([file.path for file in history.replaced], history.files)
        self._log.append(history, files, {}, 0, self._clock.now_ms(), kind="merge", dropped=list(of))
        log.info("history_merged", files=len(of), into=len(files), rows=rows)

    def _oldest_generation(self, history: History) -> int:
        """The oldest commit of a generation; one that cannot be read, or does not say it, nobody can fold on."""
        made_of = [history.number]
        for name in self._store.generations():
            try:
                made_of.append(self._store.manifest(name).history or history.number)
            except (CorruptGeneration, UnsupportedFormat):
                continue
        return min(made_of)
