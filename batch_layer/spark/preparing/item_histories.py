"""The items' histories: the users', seen from the other side."""

from pathlib import Path

import numpy as np

from oryx_py.model.files import create_array, open_array
from oryx_py.model.generations.history_files import history_files, map_histories

__all__ = ["write_items"]


def write_items(into: Path, items: int, threads: int) -> int:
    """Write ``items.history.*`` from ``users.history.*``, on this machine's cores; returns the bytes."""
    # Not above: every worker that maps histories imports this module, and numba takes it a second.
    from oryx_py.numerics.pairs.transposing import column_counts, transpose_into

    users = map_histories(into, "users")
    indptr, indices, strengths = (into / file for file in history_files("items"))
    create_array(indptr, np.int64, (items + 1,))
    create_array(indices, np.int32, (users.pairs,))
    create_array(strengths, np.float64, (users.pairs,))
    transposed = open_array(indptr), open_array(indices), open_array(strengths)
    np.cumsum(column_counts(users.indices, items, threads=threads), out=transposed[0][1:])
    transpose_into(users.indptr, users.indices, users.strengths, transposed, threads=threads)
    return sum(path.stat().st_size for path in (indptr, indices, strengths))
