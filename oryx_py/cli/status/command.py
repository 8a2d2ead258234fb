"""``oryx status``: the command."""

import time
from typing import Annotated

import typer

from oryx_py.cli.asking import AsJson
from oryx_py.cli.invocation import invocation
from oryx_py.errors import UserError

__all__ = ["status"]

_NAMES = ("batch", "speed", "serving")


def status(
    context: typer.Context,
    as_json: AsJson = False,
    watch: Annotated[
        float, typer.Option("--watch", "-w", min=0, metavar="SECONDS", help="Again and again, until Ctrl-C; 0 = once.")
    ] = 0.0,
    at: Annotated[
        list[str] | None,
        typer.Option("--at", metavar="LAYER=HOST:PORT", help="Where a process of a layer answers; repeatable."),
    ] = None,
) -> None:
    """Show how all layers are: ready or waiting, how far behind, how busy.

    A line for each process, found through the `oryx up` that runs in this
    folder, else by serving.port, speed.metrics_port and batch.metrics_port.
    With several processes name each: --at replaces what was found of a layer.

    "behind" are the records of the input topic that the process has not had
    yet, and the age of the oldest; for batch, those that the history lacks.
    Rates and times are of the last second, times since the start where nothing
    happened in it. "trimmed to" is each topic's first offset. What a layer
    waits for, and what does not answer, stands below the table.

    Ends with 0 when everything is ready, else with 1. It takes a few seconds,
    and some twenty at most, whoever is away.

    Examples:

      oryx status
      oryx status --watch 5
      oryx status --at speed=10.0.0.5:9101 --at speed=10.0.0.6:9101
      oryx status --json | jq '.layers[] | {layer, state, behind}'
    """
    import msgspec

    from oryx_py.cli.status.composing import composed
    from oryx_py.cli.status.looking import addresses_of, look
    from oryx_py.cli.status.showing import show

    call = invocation(context)
    settings, named = call.settings(), [_named(text) for text in at or ()]
    while True:
        report = composed(look(settings, addresses_of(settings, named)))
        if as_json:
            call.screen.line(msgspec.json.encode(report).decode())
        else:
            if watch and call.screen.interactive:
                call.screen.clear()
            show(call.screen, report)
        if not watch:
            break
        time.sleep(watch)
        if not as_json and not call.screen.interactive:
            call.screen.line()
    if not report.ready:
        raise typer.Exit(1)


def _named(text: str) -> tuple[str, str]:
    layer, _, address = text.partition("=")
    host, _, port = address.partition("/")[0].rpartition(":")
    if layer not in _NAMES or not host or not port.isdigit():
        raise UserError(f"--at {text!r}: give a layer ({', '.join(_NAMES)}) and its address, as in speed=10.0.0.5:9101")
    return layer, address
