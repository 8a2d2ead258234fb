"""The steps of preparing: fold, number the items, write the users' side, transpose it."""

from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from batch_layer.engine import Cancelled
from batch_layer.history.base_generation import Base
from batch_layer.host.cores import cores
from batch_layer.host.disk_space import Wanted, check_room
from batch_layer.spark.preparing.fold import fold_into_parts, part_path
from batch_layer.spark.preparing.item_histories import write_items
from batch_layer.spark.preparing.item_table import number_items
from batch_layer.spark.preparing.prepared import Prepared
from batch_layer.spark.preparing.user_table import write_users
from batch_layer.spark.rows.fold_input import told_rows
from batch_layer.spark.session.tasks import InThreads, OnSpark
from batch_layer.task_files.exchange import Exchange
from batch_layer.telemetry.progress import OnProgress, Progress, unheard
from batch_layer.telemetry.stopwatch import Stopwatch
from oryx_py.events.fold import FoldSettings

__all__ = ["parts_for", "prepare"]

_ROWS_A_PART = 1_000_000
"""Some seconds of a task, and some hundred megabytes of its memory."""


def prepare(
    spark: SparkSession,
    rows: DataFrame,
    fold: FoldSettings,
    into: Path,
    work: Path,
    *,
    parts: int,
    base: Base | None = None,
    exchange: Exchange | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_progress: OnProgress = unheard,
) -> Prepared | None:
    """Fold rows of the history into the IDs and histories of a generation; None, and no file, where no pair is left.

    The files are a function of the rows and the settings alone, however many parts and cores there are.

    Args:
        spark: whose tasks see both directories, but with an exchange.
        rows: those that count, in the columns of `HISTORY_SCHEMA`; with a base those since.
        fold: its settings.
        into: the staged directory; gets ``{users,items}.ids.*`` and ``{users,items}.history.*``.
        work: an empty directory for what tasks leave to each other; of no use afterwards.
        parts: how many ranges of users, each a task's; see `parts_for`.
        base: whose pairs are folded on; without one, ``rows`` are all there are.
        exchange: where tasks leave what they fold if they do not see ``work``: the rest is done by this process then.
            No base goes with it.
        cancelled: asked between the steps.
        on_progress: told at each step.

    Raises:
        Cancelled: somebody asked for it.
        NoRoom: the disk has too little for what the fold came to.
    """
    timed = Stopwatch()

    def begin(step: str) -> None:
        if cancelled():
            raise Cancelled
        on_progress(Progress(step=step))

    begin("fold")
    with timed("fold"):
        if base is None:
            counts = fold_into_parts(told_rows(rows), fold, work, parts, exchange)
        else:
            # Not above: the workers of the plain fold import this module too, and this one brings numba.
            from batch_layer.spark.preparing.fold_onto import fold_onto

            counts = fold_onto(spark, base, rows, fold, work, parts)
        timed.wrote("fold", sum(part.file_bytes for part in counts))
    if not counts:
        return None
    hands = OnSpark(spark) if exchange is None else InThreads(cores())
    begin("number")
    with timed("number"):
        items, written = number_items(hands, [part_path(work, part.number) for part in counts], into, work)
        timed.wrote("number", written)
    users, pairs = (sum(each) for each in zip(*((part.users, part.pairs) for part in counts), strict=True))
    histories = 24 * pairs + 8 * (users + items + 2) + sum(part.user_bytes for part in counts) + 20 * users
    check_room([Wanted(into, histories, f"the histories of {users:,} users and {items:,} items with {pairs:,} pairs")])
    begin("write")
    with timed("write"):
        timed.wrote("write", write_users(hands, counts, into, work))
    begin("transpose")
    with timed("transpose"):
        timed.wrote("transpose", write_items(into, items, cores()))
    return Prepared(users, items, pairs, timed.seconds, timed.bytes)


def parts_for(spark: SparkSession, rows: int) -> int:
    """Return in how many parts so many rows are folded: one a core, and more where they would be large."""
    return max(spark.sparkContext.defaultParallelism, -(-rows // _ROWS_A_PART))
