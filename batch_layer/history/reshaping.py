"""What is done to the history before a generation is made of it: what is too old goes, and what was forgotten.

1. drop files for their age or number: a commit;
2. write files in the place of those that have what was forgotten since the last generation: a commit;
3. remove the files that commits have dropped.

Fails 1: nothing is changed. Fails 2: what was written is swept, and the next run does it again, as the last generation
is still the same. Fails 3: the next run removes them. Nothing but the commits says what counts.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog
from numpy.typing import NDArray

from batch_layer.history.base import in_window, new_since
from batch_layer.history.finding import first_in_window
from batch_layer.history.forgetting import Forgets, Repeats
from batch_layer.history.retention import Limits, droppable, portions
from batch_layer.history.standing import still_needed
from batch_layer.history_folder import HistoryFolder
from batch_layer.scratch import scratch
from oryx_py.adapters.history_log import HistoryLog
from oryx_py.adapters.registry_log import RegistryLog
from oryx_py.errors import OryxError
from oryx_py.events import FoldSettings
from oryx_py.model.generation import new_generation_name
from oryx_py.model.history import History, HistoryFile
from oryx_py.model.manifest import Manifest
from oryx_py.ports import ArtefactStore, Clock

__all__ = ["Reshape", "Reshaper", "as_it_is"]

log = structlog.get_logger("batch")

Reshape: TypeAlias = Callable[[History], History]
"""What is done to the history before a generation is made of it; returns the history as it is then."""

_GROUP_ROWS = 131_072
_LOOKED_AT = 64
"""Commits in which files may have been dropped that a dead process did not remove."""


def as_it_is(history: History) -> History:
    """Do nothing."""
    return history


class Reshaper:
    """Does so; one process at a time, under the lock of runs.

    Args:
        log, folder: the history's commits and files.
        registry, store: where the last generation is, and whoever may still read the history.
        limits: how much is kept.
        fold: the settings, which say what only repeats.
        clock, rng: for times and names.
        scratch: where files are put together, see `batch_layer.scratch`.
    """

    def __init__(
        self,
        *,
        log: HistoryLog,
        folder: HistoryFolder,
        registry: RegistryLog,
        store: ArtefactStore,
        limits: Limits,
        fold: FoldSettings,
        clock: Clock,
        rng: np.random.Generator,
        scratch: Path | None = None,
    ) -> None:
        self._log, self._folder, self._registry, self._store = log, folder, registry, store
        self._limits, self._fold, self._clock, self._rng, self._scratch = limits, fold, clock, rng, scratch

    def __call__(self, history: History) -> History:
        """Do what is due.

        Raises:
            CommitConflict: another process committed at the same time; the next run goes on.
            StoreUnavailable: try again.
        """
        last = self._last_generation()
        history = self._without_forgotten(self._within_limits(history), last)
        # What was dropped before the last generation was made, the run that made it has removed.
        made_of = last.history if last else 0
        commits = self._log.commits(after=max(made_of, history.number - _LOOKED_AT))
        self._folder.remove([path for commit in commits for path in commit.dropped], history.files)
        return history

    def _within_limits(self, history: History) -> History:
        if self._limits == Limits():
            return history
        found = portions(history, self._log.commits())
        dropped = droppable(found, self._limits, still_needed(self._store, history))
        if not dropped:
            return history
        log.info("history_dropped", files=len(dropped), rows=sum(file.rows for file in dropped))
        paths = [file.path for file in dropped]
        return self._log.append(history, [], {}, 0, self._clock.now_ms(), kind="retention", dropped=paths)

    def _without_forgotten(self, history: History, last: Manifest | None) -> History:
        forgets = self._new_forgets(history, last)
        if not forgets:
            return history
        directory = self._folder.new(new_generation_name(self._clock.now_ms(), self._rng))
        dropped, origins, count = [], list[int](), 0
        with scratch("rewrite", self._scratch) as local:
            for file in history.files:
                if not forgets.forgotten(self._read(file, Forgets.COLUMNS)).any():
                    continue
                rows = forgets.rewritten(self._read(file))
                dropped.append(file.path)
                if rows is not None and rows.num_rows:
                    self._write(rows, local / "rows.parquet", f"{directory}/{len(origins):05d}.parquet")
                    origins.append(file.origin)
                    count += rows.num_rows
        if not dropped:
            return history
        written = [_with_origin(file, origins) for file in self._folder.settle(directory, count)] if origins else []
        log.info("forgotten_rows_removed", files=len(dropped))
        return self._log.append(history, written, {}, 0, self._clock.now_ms(), kind="rewrite", dropped=dropped)

    def _new_forgets(self, history: History, last: Manifest | None) -> Forgets:
        """The forgets since the last generation; those that only repeat others are none."""
        if last is not None and last.history < history.refolded:
            last = None  # what was imported since may have been forgotten long ago
        new = new_since(last.history if last else 0, history)
        told = [rows for rows in (_only_forgets(self._read(file, Repeats.COLUMNS)) for file in new) if len(rows)]
        forgets = Forgets()
        if not told:
            return forgets
        found = pa.concat_tables(told)
        if self._fold.dedupes and found.column("id").null_count < len(found):
            found = self._without_repeats(new, last, history)
        forgets.add(found)
        return forgets

    def _without_repeats(self, new: Sequence[HistoryFile], last: Manifest | None, history: History) -> pa.Table:
        """The forgets in new files that count: told apart by all rows with a key, back to the window before."""
        clocks: dict[int, int] = {}
        keyed = [_marked(_keyed(self._read(file, Repeats.COLUMNS)), is_new=True) for file in new]
        if last is not None and last.dedupe_from:
            starts = {partition: offset for partition, (offset, _) in last.dedupe_from.items()}
            clocks = {partition: clock for partition, (_, clock) in last.dedupe_from.items()}
            first = first_in_window(self._log, starts, last.history)
            before = (_keyed(self._read(file, Repeats.COLUMNS)) for file in in_window(last, history, first))
            keyed += [_marked(_from(rows, starts), is_new=False) for rows in before]
        in_order = pa.concat_tables(keyed).sort_by([("partition", "ascending"), ("offset", "ascending")])
        counting = Repeats(self._fold, clocks).without(in_order)
        return _only_forgets(counting.filter(counting.column("new")))

    def _last_generation(self) -> Manifest | None:
        """The manifest of the newest published generation, None where there is none that can be read."""
        newest = self._registry.read().newest_epoch
        try:
            return self._store.manifest(newest.generation) if newest else None
        except OryxError:
            return None

    def _read(self, file: HistoryFile, columns: Sequence[str] | None = None) -> pa.Table:
        with self._folder.opened(file.path) as source, pq.ParquetFile(source) as parquet:
            return parquet.read(None if columns is None else list(columns))

    def _write(self, rows: pa.Table, local: Path, path: str) -> None:
        pq.write_table(rows, local, compression="zstd", row_group_size=_GROUP_ROWS)
        self._folder.put(local, path)


def _only_forgets(rows: pa.Table) -> pa.Table:
    return rows.filter(_forgets(rows))


def _keyed(rows: pa.Table) -> pa.Table:
    """Forgets, and rows with a key."""
    return rows.filter(_forgets(rows) | pc.is_valid(rows.column("id")).to_numpy())


def _marked(rows: pa.Table, *, is_new: bool) -> pa.Table:
    return rows.append_column("new", pa.array(np.full(len(rows), is_new)))


def _forgets(rows: pa.Table) -> NDArray[np.bool_]:
    users, items = (pc.equal(rows.column(name), pa.scalar("")).to_numpy() for name in ("user", "item"))
    found: NDArray[np.bool_] = users | items
    return found


def _from(rows: pa.Table, starts: Mapping[int, int]) -> pa.Table:
    """The rows of these partitions from these offsets on."""
    partitions, offsets = (rows.column(name).to_numpy() for name in ("partition", "offset"))
    kept = np.zeros(len(rows), np.bool_)
    for partition, start in starts.items():
        kept |= (partitions == partition) & (offsets >= start)
    return rows.filter(kept)


def _with_origin(file: HistoryFile, origins: Sequence[int]) -> HistoryFile:
    """A file that was written in the place of another, by the number in its name."""
    number = int(file.path.rpartition("/")[2].removesuffix(".parquet"))
    return HistoryFile(file.path, file.rows, file.bytes, file.first_ms, file.last_ms, origins[number])
