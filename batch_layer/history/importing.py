"""An import: rows of files become a commit of the history, before everything that the topic has.

1. write the rows to files of a fresh directory, in bounded memory;
2. look that all of them are there, and commit them: the files, the offsets that they got below the topic's, and the
   digests of what was imported.

Fails 1: the files are removed, or swept, and the import is done again. Fails 2: another process was first; the same.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from batch_layer.history.file_footers import day_of
from batch_layer.history.folder import HistoryFolder
from batch_layer.history.import_offsets import ImportOffsets
from batch_layer.host.scratch import scratch
from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.errors import CommitConflict, UserError
from oryx_py.model.history.commits import History, ImportedSource

__all__ = ["Imported", "Target", "import_rows"]

_FILE_ROWS = 2_000_000
"""Some hundred megabytes in memory, some tens on the disk."""
_GROUP_ROWS = 131_072
"""Rows that are read together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an import goes: the history, and the name of a directory of its own.

    ``partitions`` is how many the input topic has; ``starts``, its first offset by partition. ``time_ms`` is now.
    ``lost`` says whether another process has taken over the lock of runs. Files are put together in ``scratch``, see
    `batch_layer.host.scratch`.
    """

    log: HistoryLog
    folder: HistoryFolder
    name: str
    partitions: int
    starts: Mapping[int, int]
    time_ms: int
    lost: Callable[[], bool] = lambda: False
    scratch: Path | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of it: the history after the commit, and the rows that it added."""

    history: History
    rows: int


def import_rows(
    batches: Iterable[pa.RecordBatch],
    sources: Sequence[ImportedSource],
    target: Target,
    *,
    again: bool = False,
    on_rows: Callable[[int], None] = lambda _: None,
    file_rows: int = _FILE_ROWS,
) -> Imported:
    """Add rows of `batch_layer.history.import_offsets.IMPORT_SCHEMA` to the history, all of them in one commit.

    Args:
        batches: the rows, in their order.
        sources: the files that they are from.
        target: where they go.
        again: also where one of these was imported before.
        on_rows: told how many are written.
        file_rows: how many a file holds; bounds memory.

    Raises:
        UserError: there are none, or they were imported before.
        CommitConflict: another process is at work, as if this one were dead; nothing was imported.
        StoreUnavailable: the place does not answer, or has not all rows; nothing was imported.
    """
    seen = target.log.read()  # first: what another imports after the look at earlier imports is after this, too
    if not again:
        _refuse_known(sources, target.log)
    offsets = ImportOffsets(seen.imported, target.partitions, target.time_ms)
    rows = count = 0
    with (
        target.folder.begun(target.name) as directory,
        scratch("import", target.scratch) as here,
    ):
        local, day = here / "rows.parquet", day_of(target.time_ms)
        for table in _filled(map(offsets.place, batches), file_rows):
            _check_alone(target)
            pq.write_table(table, local, compression="zstd", row_group_size=_GROUP_ROWS)
            target.folder.put(local, f"{directory}/day={day}/part-{count:05d}.parquet")
            count, rows = count + 1, rows + table.num_rows
            on_rows(rows)
        if not rows:
            raise UserError("there is no row in it that can be used: nothing was imported")
        _check_alone(target)
        files = target.folder.settle(directory, rows)
    # A history that begins with an import covers nothing of the topic yet, from where the topic begins.
    unseen = {p: (target.starts[p],) * 2 for p in range(target.partitions) if p not in seen.offsets}
    history = target.log.append(
        seen,
        files,
        unseen,
        rejected=0,
        time_ms=target.time_ms,
        kind="import",
        imported=offsets.spans,
        sources=sources,
    )
    return Imported(history, rows)


def _check_alone(target: Target) -> None:
    if target.lost():
        raise CommitConflict(
            "another process took this import for dead, and has begun its work: nothing was imported, run it again"
        )


def _refuse_known(sources: Sequence[ImportedSource], log: HistoryLog) -> None:
    commits = log.commits()
    known = {source.digest: f"was imported in commit {each.number}" for each in commits for source in each.sources}
    for source in sources:
        if source.digest in known:
            raise UserError(
                f"{source.name} {known[source.digest]}: leave it out, or say --again to have it count twice"
            )
        known[source.digest] = f"has the content of {source.name}, which is to be imported too"


def _filled(tables: Iterable[pa.Table], rows: int) -> Iterable[pa.Table]:
    """Join tables until there are so many rows or more."""
    waiting: list[Any] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += table.num_rows
        if count >= rows:
            yield pa.concat_tables(waiting)
            waiting, count = [], 0
    if count:
        yield pa.concat_tables(waiting)
