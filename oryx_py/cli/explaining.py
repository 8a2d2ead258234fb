"""``oryx because`` and ``oryx estimate``: why, and how much."""

from typing import Annotated

import typer

from oryx_py.cli.asking import AsJson, HowMany, Offset, Url, connect, show_json, show_scored
from oryx_py.cli.invocation import invocation
from oryx_py.cli.visible import visible

__all__ = ["because", "estimate"]

User = Annotated[str, typer.Argument(metavar="USER", help="The user's ID, as it was ingested.")]


def because(
    context: typer.Context,
    user: User,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="What may be recommended.")],
    how_many: HowMany = 10,
    offset: Offset = 0,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show why an item suits a user: what the user knows that is most like it.

    The number is the cosine with the item, best first.

    Examples:

      oryx because ann solaris
      oryx because ann solaris --how-many 3
    """
    call = invocation(context)
    with connect(call, url) as service:
        found = service.because(user, item, how_many, offset=offset)
    show_scored(call.screen, found, "cosine", first=offset + 1, as_json=as_json)
    if not found:
        call.screen.note(f"{visible(user)} knows no items" + (" so far down the list" if offset else ""))


def estimate(
    context: typer.Context,
    user: User,
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="One item or more.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show how well each item suits a user, in the order given.

    The number is that of `oryx recommend`; an unknown item has 0.

    Examples:

      oryx estimate ann solaris
      oryx estimate ann solaris alien 'an item/with slash'
    """
    call = invocation(context)
    with connect(call, url) as service:
        found = service.estimate(user, items)
    if as_json:
        show_json(call.screen, found)
    elif call.screen.interactive:
        rows = [(visible(item), f"{value:.4f}") for item, value in zip(items, found, strict=True)]
        call.screen.table(("item", "estimate"), rows, right=(1,))
    else:
        for item, value in zip(items, found, strict=True):
            call.screen.line(f"{visible(item)}\t{value!r}")
