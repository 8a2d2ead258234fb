"""``oryx ingest``."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from uuid import uuid4

import typer

from oryx_py.cli.asking import Url, connect, url_of
from oryx_py.cli.choices import Format, Unit
from oryx_py.cli.invocation import Invocation, invocation
from oryx_py.cli.screen import Screen
from oryx_py.cli.visible import visible
from oryx_py.errors import BadInteraction, OryxError, UserError

if TYPE_CHECKING:
    from oryx_py.cli.files import InteractionFile, Row
    from oryx_py.cli.progress_file import ProgressFile, Sent
    from oryx_py.cli.sending import Line, Refused, Sender

__all__ = ["ingest"]

_LISTED = 50
_CHUNK_BYTES = 1 << 20
_PATIENCE_S = 60.0
"""While the service says "not now" to one chunk."""
_AGAIN: Final = "run the same command again: it goes on there"
_STANDARD_INPUT: Final = Path("-")


def ingest(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file, plain or gzip; - for standard input.")],
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option("--format", help="What it is; without it, seen from name and content.")
    ] = None,
    timestamps: Annotated[
        Unit, typer.Option("--timestamps", help="Seconds or milliseconds since 1970; auto looks at the first one.")
    ] = "auto",
    chunk: Annotated[int, typer.Option("--chunk", min=1, max=5_000, help="Lines a request.")] = 5_000,
    from_line: Annotated[int, typer.Option("--from-line", min=1, help="Begin there, leave out what is above.")] = 1,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew, not where an interrupted run ended.")] = False,
    forgets: Annotated[bool, typer.Option("--forgets", help="Lines may forget users and items for good.")] = False,
    url: Url = None,
) -> None:
    """Send a file of interactions to the service, in its order.

    Lines that cannot be used are listed with their numbers and reasons; all
    others are stored, and acknowledged by Kafka, before the command ends. It
    ends with 1 if any line was refused. The service needs no model for this.

    Interrupted by whatever, the same command goes on where it was, and no line
    counts twice: each is named by the file's content and its number, and within
    input.dedupe_window_s one of a name counts once. A whole file sent again
    (--restart, or once it is done) counts once, too, as long as no partition
    got more than input.dedupe_records lines since. Standard input has no such
    name: it cannot be gone on with, but for --from-line.

    CSV and TSV: user, item, strength, timestamp, kind. What comes last may be
    left out; a first line with the names of the columns gives their order. An
    empty strength deletes. JSON lines: an object a line, with user, item,
    strength, timestamp, event. Parquet: columns of these names. A line without
    an item and a strength forgets the user, one without a user the item, and
    all that was ever done: it is refused unless --forgets says that it is meant.

    Examples:

      oryx ingest ratings.csv.gz
      oryx ingest ml-100k/u.data --timestamps s    MovieLens: tabs, seconds
      zcat events*.gz | oryx ingest - --format jsonl
    """
    from oryx_py.cli.files import open_interactions
    from oryx_py.cli.progress_file import Sent, digest_of
    from oryx_py.cli.sending import Sender

    call = invocation(context)
    named = file != _STANDARD_INPUT
    with open_interactions(file, format, timestamps) as source, connect(call, url, patience_s=_PATIENCE_S) as service:
        service.ready()  # that there is a service is seen at once, and not with the first chunk's patience
        name = digest_of(file) if named else uuid4().hex
        what: list[object] = [name, format, timestamps, from_line, *(["forgets"] if forgets else [])]
        progress = _progress_file(call, url, what) if named else None
        before = progress.read() if progress and not restart else Sent()
        if before.up_to:
            call.screen.note(
                f"going on after line {before.up_to:,}, up to which {before.stored:,} interactions are stored; "
                "--restart begins anew"
            )
        report = _Refusals(call.screen, before.refused)
        remedy = _AGAIN if named else "standard input cannot be gone on with, but for --from-line"
        sender = Sender(service, name, report.add, remedy)
        started = time.monotonic()
        try:
            with call.screen.progress(f"ingesting {visible(file.name)}", source.size_bytes) as bar:
                for lines, up_to in _chunks(_rows(source, forgets), report, chunk, max(from_line, before.up_to + 1)):
                    sender.send(lines)
                    progress = _kept(progress, Sent(up_to, before.stored + sender.accepted, report.count), call.screen)
                    bar.update(source.position_bytes(), _rate(sender, before, report, started))
        except (OryxError, KeyboardInterrupt):
            stored, up_to = before.stored + sender.accepted, max(before.up_to, sender.stored_up_to)
            call.screen.note(f"stored so far: {stored:,}, up to line {up_to:,}; {remedy}", style="yellow")
            raise
    if progress:
        progress.remove()
    seconds = time.monotonic() - started
    call.screen.line(f"{_rate(sender, before, report, started)}, {seconds:.1f} s{_unit(source)}")
    if report.count:
        raise typer.Exit(1)


def _progress_file(call: Invocation, url: str | None, what: list[object]) -> "ProgressFile":
    """Keep it beside the broker's data where that is on this machine: what is deleted together belongs together."""
    from oryx_py.cli.progress_file import ProgressFile, cache_folder

    if url is not None:
        return ProgressFile(cache_folder() / "ingest", [*what, url])
    settings = call.settings()
    here = settings.local_dir if settings.local_dir.is_dir() else cache_folder()
    return ProgressFile(here / "ingest", [*what, url_of(settings)])


def _kept(progress: "ProgressFile | None", sent: "Sent", screen: Screen) -> "ProgressFile | None":
    """Keep how far it is; none where that cannot be kept, which is said once."""
    if progress is not None:
        try:
            progress.write(sent)
        except UserError as error:
            screen.note(str(error), style="yellow")
            return None
    return progress


class _Refusals:
    """Lists what was refused, the first of it."""

    def __init__(self, screen: Screen, before: int) -> None:
        self._screen = screen
        self.count = before
        self._listed = 0

    def add(self, refused: "Refused") -> None:
        self.count += 1
        self._listed += 1
        if self._listed <= _LISTED:
            self._screen.note(f"line {refused.number:,} refused: {visible(refused.reason, 300)}", style="yellow")
        elif self._listed == _LISTED + 1:
            self._screen.note("further refused lines are counted, not listed", style="yellow")


def _rows(source: "InteractionFile", forgets: bool) -> "Iterator[Row]":
    """Yield the file's rows; what forgets is refused unless it may, as a join that found nothing writes it, too."""
    for number, row in source.rows():
        if forgets or isinstance(row, BadInteraction) or (row.user and row.item):
            yield number, row
        else:
            whom = f"user {row.user}" if row.user else f"item {row.item}"
            yield number, BadInteraction(f"forgets {whom} for good: say --forgets if that is meant")


def _chunks(rows: "Iterator[Row]", report: _Refusals, lines: int, from_line: int) -> "Iterator[tuple[list[Line], int]]":
    """Yield lines to be sent together, and the number up to which the file is read with them."""
    from oryx_py.cli.sending import Line, Refused, block_of
    from oryx_py.events import encode_csv

    chunk: list[Line] = []
    size = number = 0
    for number, row in rows:
        if number < from_line:
            continue
        if chunk and block_of(number) != block_of(chunk[0].number):
            yield chunk, number - 1
            chunk, size = [], 0
        if isinstance(row, BadInteraction):
            report.add(Refused(number, row.reason))
            continue
        chunk.append(Line(number, encode_csv(row)))
        size += len(chunk[-1].csv) + 1
        if len(chunk) >= lines or size >= _CHUNK_BYTES:
            yield chunk, number
            chunk, size = [], 0
    if chunk:
        yield chunk, number


def _rate(sender: "Sender", before: "Sent", report: _Refusals, started: float) -> str:
    rate = sender.accepted / max(time.monotonic() - started, 1e-9)
    refused = f", {report.count:,} refused" if report.count else ""
    return f"{before.stored + sender.accepted:,} interactions stored{refused}, {rate:,.0f} a second"


def _unit(source: "InteractionFile") -> str:
    """What the timestamps were taken for, where there were any."""
    return {"s": "; timestamps in seconds", "ms": "; timestamps in milliseconds", "auto": ""}[source.times.unit]
