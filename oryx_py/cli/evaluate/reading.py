"""Where the interactions of an evaluation come from."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from oryx_py.cli.choices import BulkFormat, Unit
from oryx_py.cli.evaluate.log import LogBuilder
from oryx_py.cli.files import open_interactions
from oryx_py.errors import BadInteraction
from oryx_py.events import FoldSettings, Interaction, time_of

if TYPE_CHECKING:
    import pyarrow as pa

    from oryx_py.config import Settings

__all__ = ["read_files", "read_history"]


def read_files(
    files: list[Path], format_: BulkFormat | None, unit: Unit, on_rows: Callable[[int], None] = lambda _: None
) -> tuple[LogBuilder, int]:
    """Read files, one after the other; returns how many rows could not be used, too.

    Args:
        files: plain or gzip.
        format_: what they are; None: what `oryx ingest` sees in each.
        unit: of the timestamps.
        on_rows: told how many rows there are so far.

    Raises:
        UserError: one cannot be read.
    """
    builder, refused, number = LogBuilder(), 0, 0
    for path in files:
        for interaction in _of_file(path, format_, unit):
            if interaction is None:
                refused += 1
            else:
                builder.add(interaction)
            number += 1
            on_rows(number)
    return builder, refused


def read_history(settings: "Settings", on_rows: Callable[[int], None] = lambda _: None) -> LogBuilder:
    """Read the history of the configured store: all rows that neither repeat others nor were forgotten.

    The time of a row is its client's, or Kafka's where that is earlier or the only one.

    Raises:
        UserError, StoreUnavailable: it cannot be read.
    """
    from batch_layer.folding.forgotten_rows import Forgets, Repeats
    from oryx_py.adapters.file_systems.reading import open_reading
    from oryx_py.adapters.places import history_log, open_files, reach_of
    from oryx_py.cli.history_files.ordering import rows_in_order
    from oryx_py.local.endpoint import located

    settings = located(settings)
    reach = reach_of(settings)
    history = history_log(settings.history_uri, reach).read()
    files = open_files(settings.history_uri, "history.uri", reach)
    fold = FoldSettings(
        settings.model.feedback, settings.input.dedupe_window_s, dedupe_records=settings.input.dedupe_records
    )

    def rows(columns: list[str] | None = None) -> Iterator["pa.Table"]:
        return rows_in_order(history, lambda path: open_reading(files, path), columns)

    forgets, known = Forgets(), Repeats(fold)
    for table in rows(Repeats.COLUMNS):
        forgets.add(known.without(table))
    builder, repeats = LogBuilder(), Repeats(fold)
    for table in rows():
        for interaction in _told(forgets.without(repeats.without(table))):
            builder.add(interaction)
        on_rows(len(builder))
    return builder


def _told(table: "pa.Table") -> Iterator[Interaction]:
    for batch in table.select(["user", "item", "strength", "timestamp_ms", "kafka_ms", "kind"]).to_batches(50_000):
        columns = [column.to_pylist() for column in batch.columns]
        for user, item, strength, timestamp_ms, kafka_ms, kind in zip(*columns, strict=True):
            when = time_of(timestamp_ms, kafka_ms)
            yield Interaction(user, item, strength, when if when >= 0 else None, kind)


def _of_file(path: Path, format_: BulkFormat | None, unit: Unit) -> Iterator[Interaction | None]:
    """Yield what the rows say, None for one that cannot be used."""
    if format_ is None:
        with open_interactions(path, None, unit) as source:
            for _, row in source.rows():
                yield None if isinstance(row, BadInteraction) else row
        return
    from oryx_py.cli.history_files.reading import file_of, read_bulk

    names = ("user", "item", "strength", "timestamp_ms", "kind")
    for checked in read_bulk(file_of(path, format_), format_, unit):
        yield from (None for _ in range(checked.refused))
        columns = (checked.rows.column(name).to_pylist() for name in names)
        yield from map(Interaction, *columns)
