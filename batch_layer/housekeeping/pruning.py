"""What is done to the history before a generation is made of it: what is too old goes, and what was forgotten.

1. drop files for their age or number, and carry their forgets on: a commit;
2. have the engine write files in the place of those that have what was forgotten since the last generation: a commit;
3. remove the files that commits have dropped.

What the last merge has left goes before the commit of 1 or 2, behind which nobody knows of it any more.

Fails 1: nothing is changed, or what was written is swept. Fails 2: what was written is swept, and the next run does it
again, as the last generation is still the same. Fails 3: the next run removes them. Nothing but the commits says what
counts.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow.parquet as pq
import structlog

from batch_layer.engine import Engine
from batch_layer.history.base_finder import first_in_window
from batch_layer.history.base_generation import is_made_of
from batch_layer.history.file_footers import day_of
from batch_layer.history.folder import HistoryFolder
from batch_layer.host.scratch import scratch as lent
from batch_layer.housekeeping.carried_forgets import Carrying, carried, carrying, rows_of
from batch_layer.housekeeping.merge_planning import numbered, placed, together
from batch_layer.housekeeping.outstanding_forgets import dropped_up_to, outstanding
from batch_layer.housekeeping.row_retention import Limits, droppable, portions
from batch_layer.housekeeping.rows_due import still_needed
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.errors import OryxError, StoreUnavailable
from oryx_py.events import FoldSettings
from oryx_py.model.generations.generation import new_generation_name
from oryx_py.model.generations.manifest import Manifest
from oryx_py.model.history.commits import History, HistoryFile
from oryx_py.ports import ArtefactStore, Clock

__all__ = ["Prune", "Pruner", "unpruned"]

log = structlog.get_logger("batch")

Prune: TypeAlias = Callable[[History], History]
"""What is done to the history before a generation is made of it; returns the history as it is then."""

_LOOKED_AT = 64
"""Commits in which files may have been dropped that a dead process did not remove."""


def unpruned(history: History) -> History:
    """Do nothing."""
    return history


class Pruner:
    """Does so; one process at a time, under the lock of runs.

    Args:
        log, folder: the history's commits and files.
        engine: looks into files and writes them.
        registry, store: where the last generation is, and whoever may still read the history.
        limits: how much is kept.
        fold: the settings, which say what only repeats.
        clock, rng: for times and names.
        scratch: where a file is put together, see `batch_layer.host.scratch`.
    """

    def __init__(
        self,
        *,
        log: HistoryLog,
        folder: HistoryFolder,
        engine: Engine,
        registry: RegistryLog,
        store: ArtefactStore,
        limits: Limits,
        fold: FoldSettings,
        clock: Clock,
        rng: np.random.Generator,
        scratch: Path | None = None,
    ) -> None:
        self._log, self._folder, self._engine = log, folder, engine
        self._registry, self._store = registry, store
        self._limits, self._fold, self._clock, self._rng = limits, fold, clock, rng
        self._scratch = scratch

    def __call__(self, history: History) -> History:
        """Do what is due.

        Raises:
            CommitConflict: another process committed at the same time; the next run goes on.
            StoreUnavailable, JobFailed: try again.
            Cancelled: by `Engine.cancel`.
        """
        last = self._last_generation(history)
        history = self._without_forgotten(self._within_limits(history), last)
        # What was dropped before the last generation was made, the run that made it has removed.
        made_of = last.history if last else 0
        commits = self._log.commits(after=max(made_of, history.number - _LOOKED_AT))
        left = {file.path for file in history.replaced}
        dropped = [path for commit in commits for path in commit.dropped if path not in left]
        self._folder.remove(dropped, (*history.files, *history.replaced))
        return history

    def _remove_replaced(self, history: History) -> None:
        """Remove what the last merge has left for readers of an older state: it has rows that are to go."""
        self._folder.remove([file.path for file in history.replaced], history.files)

    def _within_limits(self, history: History) -> History:
        if self._limits == Limits():
            return history
        found = portions(history, self._log.commits())
        dropped = droppable(found, self._limits, still_needed(self._store, history), self._clock.now_ms())
        if not dropped:
            return history
        log.info("history_dropped", files=len(dropped), rows=sum(file.rows for file in dropped))
        paths = [file.path for file in dropped]
        due = carrying(history, dropped, self._clock.now_ms())
        kept = self._carried(due) if due else []
        if due and kept:
            paths += [file.path for file in due.earlier]
        self._remove_replaced(history)
        return self._log.append(history, kept, {}, 0, self._clock.now_ms(), kind="retention", dropped=paths)

    def _carried(self, due: Carrying) -> list[HistoryFile]:
        """Write the forgets of files that are dropped; the one file of them, or none."""
        forgets = self._engine.find_forgets(self._folder.uris(due.told), self._folder.uris(due.keyed), {})
        if not forgets.num_rows:
            return []
        with (
            self._folder.begun(new_generation_name(self._clock.now_ms(), self._rng)) as directory,
            lent("forgets", self._scratch) as here,
        ):
            local = here / "rows.parquet"
            pq.write_table(rows_of(forgets, due.last_ms), local, compression="zstd")
            self._folder.put(local, f"{directory}/day={day_of(due.last_ms)}/part-00000.parquet")
            written = self._folder.settle(directory, forgets.num_rows)
        log.info("forgets_kept", forgets=forgets.num_rows)
        return [carried(file, due.origin) for file in written]

    def _without_forgotten(self, history: History, last: Manifest | None) -> History:
        due = outstanding(history, last, self._fold, self._dropped_up_to(history, last), self._first_in_window)
        if not due.told:
            return history
        uris = self._folder.uris
        forgets = self._engine.find_forgets(uris(due.told), uris(due.keyed), due.starts)
        if not forgets.num_rows:
            return history
        searched = {self._folder.uri(file.path): file for file in due.searched}
        of, spans = numbered(together(due.searched))
        numbers = {uri: of[file.path] for uri, file in searched.items()}
        with self._folder.begun(new_generation_name(self._clock.now_ms(), self._rng)) as directory:
            rewritten = self._engine.rewrite(numbers, forgets, self._folder.uri(directory))
            dropped = [searched[uri] for uri in rewritten.replaced]
            if rewritten.read != sum(file.rows for file in dropped):
                raise StoreUnavailable(f"{rewritten.read:,} rows were read of the files to rewrite, which have others")
            settled = self._folder.settle(directory, rewritten.rows) if dropped else []
        if not dropped:
            return history
        written = [placed(file, spans) for file in settled]
        log.info("forgotten_rows_removed", files=len(dropped), rows=rewritten.read - rewritten.rows)
        paths = [file.path for file in dropped]
        self._remove_replaced(history)
        return self._log.append(history, written, {}, 0, self._clock.now_ms(), kind="rewrite", dropped=paths)

    def _dropped_up_to(self, history: History, last: Manifest | None) -> int | None:
        """What `dropped_up_to` says; the commits are read where the history says that there may be anything."""
        if last is None or history.refolded <= last.history:
            return None
        return dropped_up_to(self._log.commits(), last.history)

    def _first_in_window(self, last: Manifest) -> int:
        starts = {partition: offset for partition, (offset, _) in last.dedupe_from.items()}
        return first_in_window(self._log, starts, last.history)

    def _last_generation(self, history: History) -> Manifest | None:
        """The manifest of the newest published generation, None where there is none of this history to be read."""
        newest = self._registry.read().newest_epoch
        try:
            last = self._store.manifest(newest.generation) if newest else None
        except OryxError:
            return None
        return last if last and is_made_of(last, history, self._log.commits(after=last.history)) else None
