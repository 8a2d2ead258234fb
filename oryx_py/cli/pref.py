"""``oryx pref``."""

import time
from typing import Annotated

import typer

from oryx_py.cli.asking import Url, connect
from oryx_py.cli.invocation import invocation

__all__ = ["pref"]


def pref(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="Who did it.")],
    item: Annotated[str, typer.Argument(metavar="ITEM", help="To what.")],
    strength: Annotated[
        float | None, typer.Argument(metavar="[STRENGTH]", help="How much, 1 if left out; below 0: against it.")
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Remove what USER did to ITEM.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until recommendations include it.")] = False,
    url: Url = None,
) -> None:
    """Store what a user did to an item, or remove it.

    It is stored when the command ends: Kafka has acknowledged it. What is
    printed is its place in the input, partition:offset, which any GET takes as
    after=. The service needs no model for this, only --wait does.

    Examples:

      oryx pref ann solaris
      oryx pref ann alien 2.5 --wait && oryx recommend ann
      oryx pref ann solaris -1
      oryx pref ann solaris --delete
    """
    call = invocation(context)
    if delete and strength is not None:
        raise typer.BadParameter("--delete takes no STRENGTH")
    with connect(call, url) as service:
        started = time.monotonic()
        if delete:
            written = service.delete_pref(user, item)
        else:
            written = service.pref(user, item, 1.0 if strength is None else strength)
        stored_ms = (time.monotonic() - started) * 1000
        call.screen.line(str(written))
        call.screen.note(f"{'removed' if delete else 'stored'} after {stored_ms:.0f} ms")
        if wait:
            service.known_items(user, after=written)
            call.screen.note(f"in recommendations after {(time.monotonic() - started) * 1000:.0f} ms")
