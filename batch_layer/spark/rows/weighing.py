"""The rows of the history with what each adds to its pair, before anything is brought together."""

from functools import partial

from pyspark.sql import DataFrame

from batch_layer.folding.weighing import weigh_stream
from oryx_py.events import FoldSettings

__all__ = ["weigh_rows"]


def weigh_rows(rows: DataFrame, settings: FoldSettings, as_of_ms: int) -> DataFrame:
    """Return the history's rows with their strengths weighed, without those that are to be ignored.

    The very same where settings say nothing of kinds and age.

    Args:
        rows: columns of `HISTORY_SCHEMA`, without repeats.
        settings: the generation's.
        as_of_ms: the newest Kafka timestamp of the whole history.
    """
    if settings.is_plain:
        return rows
    return rows.mapInArrow(partial(weigh_stream, settings=settings, as_of_ms=as_of_ms), rows.schema)
