"""Which partition and offset imported rows get: their user's, and the next below the topic's first. Pure.

Imported rows come before all that the topic has, in the order in which they were imported, as if they had been sent
first: `oryx_py.model.history.commits.IMPORTED_FROM`.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batch_layer.folding.input_rows import HISTORY_SCHEMA
from oryx_py.model.history.commits import IMPORTED_FROM
from oryx_py.numerics.murmur2 import partitions_of

__all__ = ["IMPORT_SCHEMA", "ImportOffsets"]

IMPORT_SCHEMA: Final = pa.schema(
    [HISTORY_SCHEMA.field(name) for name in ("user", "item", "strength", "timestamp_ms", "kind")]
)
"""What files of interactions say, in the words of the history."""

_Column: TypeAlias = "pa.Array[Any]"


class ImportOffsets:
    """Numbers rows in each partition; told them in the order of the files.

    Args:
        imported: by partition the end of what was imported before.
        partitions: how many the input topic has.
        kafka_ms: the time that all of them get in the place of Kafka's timestamp.
    """

    def __init__(self, imported: Mapping[int, int], partitions: int, kafka_ms: int) -> None:
        self._start = np.array([imported.get(p, IMPORTED_FROM) for p in range(partitions)], np.int64)
        self._end = self._start.copy()
        self._kafka_ms = kafka_ms

    @property
    def spans(self) -> dict[int, tuple[int, int]]:
        """By partition the offsets ``[from, to)`` that were given; partitions without any are not in it."""
        both = zip(self._start.tolist(), self._end.tolist(), strict=True)
        return {partition: span for partition, span in enumerate(both) if span[1] > span[0]}

    def place(self, batch: pa.RecordBatch) -> pa.Table:
        """Return rows of `IMPORT_SCHEMA` as rows of `HISTORY_SCHEMA`, in their order.

        What forgets an item has no user, and goes to every partition.
        """
        partitions = _partitions(batch.column("user"), len(self._end))
        if len(
            everywhere := np.flatnonzero(pc.equal(batch.column("user"), pa.scalar("")).to_numpy(zero_copy_only=False))
        ):
            batch, partitions = _spread(batch, partitions, everywhere, len(self._end))
        offsets = np.empty(len(partitions), np.int64)
        for partition in np.unique(partitions).tolist():
            mine = np.flatnonzero(partitions == partition)
            offsets[mine] = self._end[partition] + np.arange(len(mine))
            self._end[partition] += len(mine)
        columns: dict[str, Any] = {
            "partition": partitions,
            "offset": offsets,
            "kafka_ms": np.full(len(partitions), self._kafka_ms, np.int64),
            "id": pa.nulls(len(partitions), pa.binary()),
            **{name: batch.column(name) for name in IMPORT_SCHEMA.names},
        }
        return pa.table([columns[name] for name in HISTORY_SCHEMA.names], schema=HISTORY_SCHEMA)


def _partitions(users: _Column, partitions: int) -> NDArray[np.int32]:
    encoded = users.dictionary_encode()
    # A dictionary is nobody's slice, so its buffers begin with its first entry.
    distinct = encoded.dictionary
    _, offsets, data = distinct.buffers()
    if not len(distinct) or offsets is None or data is None:
        return np.zeros(len(users), np.int32)
    starts = np.frombuffer(cast("memoryview", offsets), np.int32)[: len(distinct) + 1].astype(np.int64)
    found = partitions_of(np.frombuffer(cast("memoryview", data), np.uint8), starts, partitions)
    rows: NDArray[np.int64] = encoded.indices.to_numpy()
    return found[rows]


def _spread(
    batch: pa.RecordBatch, partitions: NDArray[np.int32], everywhere: NDArray[np.int64], count: int
) -> tuple[pa.RecordBatch, NDArray[np.int32]]:
    times = np.ones(batch.num_rows, np.int64)
    times[everywhere] = count
    rows = np.repeat(np.arange(batch.num_rows), times)
    partitions = partitions[rows]
    for row in everywhere.tolist():
        first = int(np.searchsorted(rows, row))
        partitions[first : first + count] = np.arange(count)
    return batch.take(rows), partitions
