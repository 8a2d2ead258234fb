"""The order in which the fold takes rows, of a table that is in memory. Pure."""

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

__all__ = ["sorted_rows"]

_Column: TypeAlias = "pa.Array[Any]"


def sorted_rows(rows: pa.Table) -> pa.Table:
    """Return rows by user, item and offset, as the fold takes them."""
    rows = rows.combine_chunks()
    keys = [_ranks(_whole(rows, name)) for name in ("item", "user")]
    return rows.take(np.lexsort((rows.column("offset").to_numpy(), *keys)))


def _whole(rows: pa.Table, name: str) -> _Column:
    return rows.column(name).combine_chunks()


def _ranks(ids: _Column) -> NDArray[np.int64]:
    """Int64[n]: the place of each among the distinct ones in bytewise order."""
    encoded = ids.dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    rows: NDArray[np.int64] = encoded.indices.to_numpy()
    return ranks[rows]
