"""The history's rows as records of the input topic, for what was trimmed there."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from oryx_py.adapters.commit_logs.history_log import HistoryLog
from oryx_py.errors import MissingDependency
from oryx_py.events import Interaction, encode_csv
from oryx_py.model.history.commits import History, HistoryFile
from oryx_py.model.history.spans import Spans
from oryx_py.ports import Record

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["HistoryRecords"]

_SPAN = 1_000_000
"""Offsets of a partition that are brought into order at once: some 100 MB."""

_COLUMNS = ("offset", "kafka_ms", "id", "user", "item", "strength", "timestamp_ms", "kind")


class HistoryRecords:
    """Reads the history's Parquet files; see the port `oryx_py.runtime.log_or_history.Past`.

    Of a partition's span of offsets those files are opened whose commits cover some of it, and these say by their
    statistics which parts have none. So what is opened grows with what is wanted, not with the history.

    Args:
        log: the history's commits.
        topic: the input topic, as records name it.
        open_file: opens a file by its path below the history's root, for reading; closed here.
    """

    def __init__(self, log: HistoryLog, topic: str, open_file: Callable[[str], BinaryIO]) -> None:
        self._log, self._topic, self._open_file = log, topic, open_file
        self._history = History()
        self._spans = Spans(())

    def offsets(self) -> Mapping[int, int]:
        """By partition the first offset that the history does not have now."""
        history = self._log.read()
        if history is not self._history:
            self._spans, self._history = Spans(self._log.commits()), history
        return history.offsets

    def records(self, partition: int, start: int, stop: int) -> Iterator[Record]:
        """Iterate over the records of ``[start, stop)``, as of the last look at the offsets.

        Raises:
            MissingDependency: pyarrow is not installed.
        """
        for at in range(start, stop, _SPAN):
            yield from self._span(partition, at, min(at + _SPAN, stop))

    def _span(self, partition: int, start: int, stop: int) -> Iterator[Record]:
        try:
            import pyarrow as pa
        except ImportError:
            raise MissingDependency(
                "input that was trimmed is read from the history, which needs pyarrow: pip install 'oryx-py[batch]'"
            ) from None
        covering = self._spans.commits(partition, start, stop)
        files = [file for file in self._history.files if _is_among(file, covering)]
        tables = [self._rows(file.path, partition, start, stop) for file in files]
        rows = pa.concat_tables([table for table in tables if table.num_rows]) if any(map(len, tables)) else None
        if rows is None:
            return
        for batch in rows.sort_by("offset").to_batches(max_chunksize=10_000):
            for row in batch.to_pylist():
                yield self._record(partition, row)

    def _rows(self, path: str, partition: int, start: int, stop: int) -> "pa.Table":
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        offset = pc.field("offset")
        wanted = (pc.field("partition") == partition) & (offset >= start) & (offset < stop)
        with self._open_file(path) as file:
            return pq.read_table(file, columns=list(_COLUMNS), filters=wanted)

    def _record(self, partition: int, row: Mapping[str, Any]) -> Record:
        told = Interaction(row["user"], row["item"], row["strength"], row["timestamp_ms"], row["kind"])
        headers = () if row["id"] is None else (("id", row["id"]),)
        return Record(
            self._topic, partition, row["offset"], row["kafka_ms"], row["user"].encode(), encode_csv(told), headers
        )


def _is_among(file: HistoryFile, commits: Sequence[int]) -> bool:
    """Whether a file may have rows of any of these commits, which ascend."""
    at = bisect_left(commits, file.first_commit)
    return at < len(commits) and commits[at] <= file.origin
