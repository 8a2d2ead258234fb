"""What users have taken up since the cut, as rows of the model that is evaluated."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.evaluation.ranking import Targets
from batch_layer.folding.fold_stream import PAIRS_SCHEMA, fold_stream
from batch_layer.spark.rows.fold_input import sorted_rows, told_rows
from oryx_py.events import FoldSettings
from oryx_py.model.ids.id_table import IdTable

__all__ = ["Found", "find_targets"]

_SHARES = 1 << 20


@dataclass(frozen=True, slots=True)
class Found:
    """Targets of a model, and how many users there were, of which how many were asked for.

    Of the ``pairs`` of those, ``unknown`` have a user or an item that the model does not.
    """

    targets: Targets
    users: int
    asked: int
    pairs: int
    unknown: int


def find_targets(rows: DataFrame, fold: FoldSettings, directory: Path, *, most: int, parts: int) -> Found:
    """Fold the rows since the cut, and find their users and items in a model.

    Args:
        rows: those since the cut, strengths weighed.
        fold: the settings.
        directory: has the model's IDs.
        most: about so many users are taken, by the hash of their IDs.
        parts: of the fold.
    """
    pairs = sorted_rows(told_rows(rows), parts).mapInArrow(
        partial(fold_stream, settings=fold), from_arrow_schema(PAIRS_SCHEMA)
    )
    if fold.feedback == "implicit":
        pairs = pairs.where(F.col("strength") > 0)
    pairs = pairs.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        users = pairs.agg(F.count_distinct("user")).collect()[0][0]
        if users > most:
            hashed = F.pmod(F.xxhash64("user"), F.lit(_SHARES))
            sampled = pairs.where(hashed < most * _SHARES // users).toArrow()
        else:
            sampled = pairs.toArrow()
    finally:
        pairs.unpersist()
    users_of, items_of = (cast("list[str]", sampled.column(name).to_pylist()) for name in ("user", "item"))
    user_rows = _rows_of(users_of, IdTable.open(directory, "users"))
    item_rows = _rows_of(items_of, IdTable.open(directory, "items"))
    known = (user_rows >= 0) & (item_rows >= 0)
    strengths = sampled.column("strength").to_numpy()
    targets = Targets.of(user_rows[known], item_rows[known], strengths[known])
    return Found(targets, users, len(set(users_of)), len(known), int((~known).sum()))


def _rows_of(names: Sequence[str], table: IdTable) -> NDArray[np.int64]:
    """The row of each name, int64[n], -1 for none."""
    rows = {name: table.find(name) for name in set(names)}
    return np.fromiter((rows[name] for name in names), np.int64, len(names))
