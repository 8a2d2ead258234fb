"""``oryx recommend``."""

from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.invocation import Invocation, invocation
from oryx_py.cli.visible import visible

if TYPE_CHECKING:
    from oryx_py.config import Settings

__all__ = ["HowMany", "Url", "recommend", "service_url", "url_of"]

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
    """Return the address given, or that of the service that the settings describe."""
    return url if url is not None else url_of(call.settings())


def url_of(settings: "Settings") -> str:
    """Return the address of these settings' service, as seen from this machine."""
    host = settings.serving.host
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - every address of this machine, the loopback among them
        host = "127.0.0.1"
    host = f"[{host}]" if ":" in host else host
    return f"http://{host}:{settings.serving.port}{settings.serving.api.context_path.rstrip('/')}"
