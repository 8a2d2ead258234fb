"""What each row of the history adds to its pair, batch by batch. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from oryx_py.events import FoldSettings, times_of, weigh_columns

__all__ = ["row_times", "weigh_stream"]


def weigh_stream(batches: Iterable[pa.RecordBatch], settings: FoldSettings, as_of_ms: int) -> Iterator[pa.RecordBatch]:
    """Put what a row adds in the place of its strength, and leave out the rows that are to be ignored.

    Columns in and out: those of `HISTORY_SCHEMA`, in any order, others among them; deletes and forgets stay.
    """
    names = pa.array(list(settings.kinds), pa.string())
    for batch in batches:
        found = pc.index_in(batch.column("kind"), value_set=names)  # null: another kind, or none
        kinds = _filled(found, pa.int32())
        strengths: NDArray[np.float64] = batch.column("strength").to_numpy(zero_copy_only=False)
        weighed, counts = weigh_columns(strengths, kinds, row_times(batch), settings, as_of_ms)
        at = batch.schema.get_field_index("strength")
        column = pa.array(weighed, mask=np.isnan(strengths))
        yield batch.set_column(at, batch.schema.field(at), column).filter(pa.array(counts))


def row_times(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Return int64[n]: the times of history rows, by `oryx_py.events.time_of`."""
    given = _filled(batch.column("timestamp_ms"), pa.int64())
    return times_of(given, batch.column("kafka_ms").to_numpy(zero_copy_only=False))


def _filled(column: Any, kind: pa.DataType) -> NDArray[Any]:
    """A column with -1 in the place of null."""
    filled = cast("pa.Array[Any]", pc.fill_null(column, pa.scalar(-1, kind)))
    return filled.to_numpy(zero_copy_only=False)
