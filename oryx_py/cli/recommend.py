"""``oryx recommend`` and ``oryx similar``: ranked lists."""

from typing import Annotated

import typer

from oryx_py.cli.asking import AsJson, HowMany, Offset, Url, connect, given_items, show_scored
from oryx_py.cli.invocation import invocation

__all__ = ["recommend", "similar"]


def recommend(
    context: typer.Context,
    user: Annotated[str | None, typer.Argument(metavar="[USER]", help="The user's ID, as it was ingested.")] = None,
    item: Annotated[
        list[str] | None,
        typer.Option(
            "--item",
            "-i",
            metavar="ITEM[=STRENGTH]",
            help="For whoever has just these; with a USER, who has them too. Again for each.",
        ),
    ] = None,
    how_many: HowMany = 10,
    offset: Offset = 0,
    consider_known_items: Annotated[
        bool, typer.Option("--consider-known-items", help="Also what the user knows already.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show the best items for a user, those already known left out.

    With --item it asks what if: for somebody new who has these items, or for
    USER with these in mind. Nothing is stored.

    On a terminal this is a table; into a pipe go lines of item, tab, score.

    Examples:

      oryx recommend ann
      oryx recommend 'ann/with slash' --how-many 3 --url http://recommender:8080
      oryx recommend --item solaris --item alien=2.5
    """
    call = invocation(context)
    if user is None and not item:
        raise typer.BadParameter("give a USER, or items with --item")
    if user is None and consider_known_items:
        raise typer.BadParameter("--consider-known-items is for a USER: nobody else knows any")
    items = given_items(item or ())
    with connect(call, url) as service:
        if user is None:
            found = service.recommend_to_anonymous(items, how_many, offset=offset)
        elif items:
            found = service.recommend_with_context(
                user, items, how_many, offset=offset, consider_known_items=consider_known_items
            )
        else:
            found = service.recommend(user, how_many, offset=offset, consider_known_items=consider_known_items)
    show_scored(call.screen, found, "score", first=offset + 1, as_json=as_json)


def similar(
    context: typer.Context,
    items: Annotated[list[str], typer.Argument(metavar="ITEM...", help="One item, or several together.")],
    how_many: HowMany = 10,
    offset: Offset = 0,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show the items most like one, or like several together.

    The number is the cosine with the mean of their vectors: 1 is the same
    direction, 0 has nothing to do with it.

    Examples:

      oryx similar solaris
      oryx similar solaris alien --how-many 3
    """
    call = invocation(context)
    with connect(call, url) as service:
        found = service.similarity(items, how_many, offset=offset)
    show_scored(call.screen, found, "cosine", first=offset + 1, as_json=as_json)
