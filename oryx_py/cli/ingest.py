"""``oryx ingest``."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.choices import Format, Unit
from oryx_py.cli.invocation import invocation
from oryx_py.cli.recommend import Url, service_url
from oryx_py.cli.screen import Screen
from oryx_py.cli.visible import visible
from oryx_py.errors import BadInteraction, OryxError

if TYPE_CHECKING:
    from oryx_py.cli.files import InteractionFile
    from oryx_py.cli.sending import Line, Refused, Sender

__all__ = ["ingest"]

_LISTED = 50
_CHUNK_BYTES = 1 << 20


def ingest(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file, plain or gzip; - for standard input.")],
    format: Annotated[  # noqa: A002 - the option's name
        Format | None, typer.Option("--format", help="What it is; without it, seen from name and content.")
    ] = None,
    timestamps: Annotated[
        Unit, typer.Option("--timestamps", help="Seconds or milliseconds since 1970; auto looks at the first one.")
    ] = "auto",
    chunk: Annotated[int, typer.Option("--chunk", min=1, max=100_000, help="Lines a request.")] = 5_000,
    from_line: Annotated[int, typer.Option("--from-line", min=1, help="Begin there: what is above is stored.")] = 1,
    url: Url = None,
) -> None:
    """Send a file of interactions to the service, in its order.

    Lines that cannot be used are listed with their numbers and reasons; all
    others are stored, and acknowledged by Kafka, before the command ends. It
    ends with 1 if any line was refused. The service needs no model for this.

    CSV and TSV: user, item, strength, timestamp, kind. What comes last may be
    left out; a first line with the names of the columns gives their order. An
    empty strength deletes. JSON lines: an object a line, with user, item,
    strength, timestamp, event. Parquet: columns of these names.

    Examples:

      oryx ingest ratings.csv.gz
      oryx ingest ml-100k/u.data --timestamps s    MovieLens: tabs, seconds
      zcat events*.gz | oryx ingest - --format jsonl
    """
    from oryx_py.cli.files import open_interactions
    from oryx_py.cli.sending import Sender
    from oryx_py.cli.service import Service

    call = invocation(context)
    report = _Refusals(call.screen)
    with open_interactions(file, format, timestamps) as source, Service(service_url(call, url)) as service:
        sender = Sender(service, report.add, time.sleep)
        started = time.monotonic()
        try:
            with call.screen.progress(f"ingesting {visible(file.name)}", source.size_bytes) as bar:
                for lines in _chunks(source, report, chunk, from_line):
                    sender.send(lines)
                    bar.update(source.position_bytes(), _rate(sender, report, started))
        except (OryxError, KeyboardInterrupt):
            call.screen.note(f"stored so far: {sender.accepted:,}, up to line {sender.stored_up_to:,}", style="yellow")
            raise
    seconds = time.monotonic() - started
    call.screen.line(f"{_rate(sender, report, started)}, {seconds:.1f} s{_unit(source)}")
    if report.count:
        raise typer.Exit(1)


class _Refusals:
    """Lists what was refused, the first of it."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self.count = 0

    def add(self, refused: "Refused") -> None:
        self.count += 1
        if self.count <= _LISTED:
            self._screen.note(f"line {refused.number:,} refused: {visible(refused.reason, 300)}", style="yellow")
        elif self.count == _LISTED + 1:
            self._screen.note("further refused lines are counted, not listed", style="yellow")


def _chunks(source: "InteractionFile", report: _Refusals, lines: int, from_line: int) -> "Iterator[list[Line]]":
    from oryx_py.cli.sending import Line, Refused
    from oryx_py.events import encode_csv

    chunk: list[Line] = []
    size = 0
    for number, row in source.rows():
        if number < from_line:
            continue
        if isinstance(row, BadInteraction):
            report.add(Refused(number, row.reason))
            continue
        chunk.append(Line(number, encode_csv(row)))
        size += len(chunk[-1].csv) + 1
        if len(chunk) >= lines or size >= _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _rate(sender: "Sender", report: _Refusals, started: float) -> str:
    rate = sender.accepted / max(time.monotonic() - started, 1e-9)
    refused = f", {report.count:,} refused" if report.count else ""
    return f"{sender.accepted:,} interactions stored{refused}, {rate:,.0f} a second"


def _unit(source: "InteractionFile") -> str:
    """What the timestamps were taken for, where there were any."""
    return {"s": "; timestamps in seconds", "ms": "; timestamps in milliseconds", "auto": ""}[source.times.unit]
