"""``oryx recommend``."""

from typing import Annotated

import typer

from oryx_py.cli.invocation import Invocation, invocation
from oryx_py.cli.visible import visible

__all__ = ["HowMany", "Url", "recommend", "service_url"]

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Address of the service; without it, serving.host and serving.port."),
]
HowMany = Annotated[int, typer.Option("--how-many", "-n", min=1, max=100_000, help="Length of the list.")]


def recommend(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="The user's ID, as it was ingested.")],
    how_many: HowMany = 10,
    url: Url = None,
) -> None:
    """Show the best items for a user, those already known left out.

    On a terminal this is a table; into a pipe go lines of item, tab, score.

    Examples:

      oryx recommend ann
      oryx recommend 'ann/with slash' --how-many 3 --url http://recommender:8080
    """
    from oryx_py.cli.service import Scored, Service

    call = invocation(context)
    with Service(service_url(call, url)) as service:
        items = service.recommend(user, how_many).read(list[Scored])
    if call.screen.interactive:
        rows = [(str(place), visible(item.id), f"{item.value:.4f}") for place, item in enumerate(items, 1)]
        call.screen.table(("", "item", "score"), rows, right=(0, 2))
    else:
        for item in items:
            call.screen.line(f"{visible(item.id)}\t{item.value!r}")


def service_url(call: Invocation, url: str | None) -> str:
    """Return the address given, or that of the service that the settings describe, seen from this machine."""
    if url is not None:
        return url
    serving = call.settings().serving
    host = "127.0.0.1" if serving.host in {"0.0.0.0", "", "::"} else serving.host  # noqa: S104 - to be looked for
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{serving.port}{serving.api.context_path.rstrip('/')}"
