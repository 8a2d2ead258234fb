"""``oryx history``: what the history has; imports and exports."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.choices import BulkFormat, TableFormat, Unit
from oryx_py.cli.extras import need
from oryx_py.cli.invocation import Invocation, invocation
from oryx_py.cli.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from batch_layer.stores import Stored
    from oryx_py.cli.screen import Screen
    from oryx_py.config import Settings
    from oryx_py.model.generations.manifest import Manifest
    from oryx_py.model.history.commits import History

__all__ = ["app"]

app = typer.Typer(invoke_without_command=True, rich_markup_mode="rich")

_LISTED = 20


@app.callback()
def history(
    context: typer.Context,
    commits: Annotated[bool, typer.Option("--commits", help="A line for each commit, too.")] = False,
) -> None:
    """Show how large the history is and what it covers; bring old data in, or all of it out.

    "offsets" are those of the input topic, by partition; imported rows have
    none, and come before all of them. "days" are days of arrival, UTC. "folded
    pairs" are what the next generation need not read again. "will be dropped"
    is what history.max_age_days and history.max_rows let go with it. "will be
    merged" are small files of days that are over, some generations later.

    Examples:

      oryx history
      oryx history --commits
    """
    if context.invoked_subcommand is None:
        _show(invocation(context), commits)


def _show(call: Invocation, commits: bool) -> None:
    need("batch", "pyarrow")
    from batch_layer.history.base_generation import compacted_state
    from batch_layer.housekeeping.merge_planning import to_merge
    from batch_layer.housekeeping.row_retention import Limits
    from batch_layer.housekeeping.rows_due import due
    from batch_layer.stores import open_stored
    from oryx_py.adapters.clock import SystemClock
    from oryx_py.cli.history_report import COMMITS, commit_rows, totals
    from oryx_py.local.endpoint import located

    settings = located(call.settings())
    stored = open_stored(settings)
    history, told = stored.history.read(), stored.history.commits()
    if not history.number:
        call.screen.note(
            f"there is no history in {settings.history_uri} yet: the batch layer begins it, or `oryx history import`"
        )
        return
    if commits:
        call.screen.table(COMMITS, commit_rows(told), right=(0, 3, 4, 5))
        call.screen.line()
    limits = Limits(settings.history.max_age_days, settings.history.max_rows)
    dropping = due(history, told, limits, stored.store, SystemClock().now_ms())
    merging, compacted = to_merge(history), compacted_state(history, _onto(settings, stored, history))
    call.screen.table(("", ""), totals(history, told, dropping, [group.files for group in merging], compacted))


def _onto(settings: "Settings", stored: "Stored", history: "History") -> "Manifest | None":
    """The generation that the next one is folded on."""
    from batch_layer.assembly import base_finder
    from batch_layer.recipe import recipe_of

    recipe = recipe_of(settings.model, settings.batch.trainer, settings.input, settings.batch.test_fraction)
    finder = base_finder(settings, stored)
    return None if finder is None or recipe.test_fraction else finder.chosen(history, recipe.fold)


@app.command("import")
def import_(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files, plain or gzip, in this order.")],
    format: Annotated[BulkFormat, typer.Option("--format", help="What they are.")],  # noqa: A002 - the option's name
    timestamps: Annotated[
        Unit, typer.Option("--timestamps", help="Seconds or milliseconds since 1970; auto looks at the first one.")
    ] = "auto",
    again: Annotated[
        bool, typer.Option("--again", help="Also files that were imported before: they count twice.")
    ] = False,
    forgets: Annotated[bool, typer.Option("--forgets", help="Rows may forget users and items for good.")] = False,
) -> None:
    """Add old data to the history, before everything that the input topic has.

    For data by the million that lies in files: nothing goes through Kafka, and
    the next generation has all of it. What is to be live at once, or belongs
    behind what came in already, goes through `oryx ingest`.

    It is as if the rows had been sent before the first record of the topic, in
    the order of the files: what the topic says later, deletes and forgets
    among it, counts on top. All files are imported at once or, if anything
    fails, not at all. Rows that cannot be used are listed and left out; the
    command then ends with 1. The input topic must be there, since it decides
    which partition is whose; a run of the batch layer is waited for.

    csv: user, item, strength, timestamp, kind; what comes last may be left
    out, a first line with names gives the order. An empty strength deletes; a
    row that has nothing but a user, or an item, forgets it, and is refused
    unless --forgets says that it is meant. parquet: columns of these names.
    movielens: u.data, ratings.dat, ratings.csv. lastfm: user_artists.dat of
    HetRec 2011.

    Examples:

      oryx history import --format movielens ml-32m/ratings.csv
      oryx history import --format parquet 2025/*.parquet
    """
    need("batch", "pyarrow", "numba")
    from batch_layer.history_import import import_into
    from oryx_py.cli.history_files.reading import file_of
    from oryx_py.cli.progress_file import digest_of
    from oryx_py.local.endpoint import located
    from oryx_py.model.history.commits import ImportedSource

    call = invocation(context)
    settings = located(call.settings())
    files = [file_of(path, format) for path in files]
    sources = [ImportedSource(path.name, digest_of(path)) for path in files]
    reading = _Reading(files, format, timestamps, forgets, call.screen)
    with call.screen.progress("importing", None, "rows") as bar:
        done = import_into(
            settings, reading.batches(), sources, again=again, on_rows=lambda rows: bar.update(rows, f"{rows:,} rows")
        )
    refused = f", {reading.refused:,} refused" if reading.refused else ""
    call.screen.line(f"{done.rows:,} rows imported{refused}, commit {done.history.number}")
    call.screen.note("they count from the next generation on: `oryx batch --once` makes one now")
    if reading.refused:
        raise typer.Exit(1)


@app.command("export")
def export(
    context: typer.Context,
    to: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; ending in .gz, CSV is compressed.")],
    format: Annotated[TableFormat, typer.Option("--format", help="What to write.")],  # noqa: A002 - the option's name
) -> None:
    """Write all rows to one file, in their order.

    csv: user, item, strength, timestamp in milliseconds, kind, without the
    records that only repeat others by their idempotency key: sent or imported
    elsewhere, it comes to the same strengths. parquet: every row as it is, with
    its partition, offset, Kafka's timestamp and key.

    Example:

      oryx history export --format csv all.csv.gz
    """
    need("batch", "pyarrow")
    from oryx_py.adapters.file_systems.reading import open_reading
    from oryx_py.adapters.places import history_log, open_files, reach_of
    from oryx_py.cli.history_files.writing import export_rows
    from oryx_py.events import FoldSettings
    from oryx_py.local.endpoint import located

    call = invocation(context)
    settings = located(call.settings())
    reach = reach_of(settings)
    history = history_log(settings.history_uri, reach).read()
    files = open_files(settings.history_uri, "history.uri", reach)
    fold = FoldSettings(
        settings.model.feedback, settings.input.dedupe_window_s, dedupe_records=settings.input.dedupe_records
    )
    with call.screen.progress("exporting", history.rows, "rows") as bar:
        rows = export_rows(history, lambda path: open_reading(files, path), to, format, fold, bar.update)
    call.screen.line(f"{rows:,} rows written to {visible(str(to))}")


class _Reading:
    """Reads files one after the other; lists what is wrong with them, the first of it."""

    def __init__(
        self, files: "Sequence[Path]", format_: BulkFormat, unit: Unit, forgets: bool, screen: "Screen"
    ) -> None:
        self._files, self._format, self._unit, self._forgets, self._screen = files, format_, unit, forgets, screen
        self.refused = 0

    def batches(self) -> "Iterator[pa.RecordBatch]":
        from oryx_py.cli.history_files.reading import read_bulk

        listed = 0
        for path in self._files:
            for checked in read_bulk(path, self._format, self._unit, forgets=self._forgets):
                self.refused += checked.refused
                for reason in checked.reasons[: max(0, _LISTED - listed)]:
                    self._screen.note(f"{visible(path.name)}: {visible(reason, 200)}", style="yellow")
                    listed += 1
                yield checked.rows
