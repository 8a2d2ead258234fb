"""What the commands share that ask the running service: its address, their options, and how answers are shown."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from oryx_py.cli.invocation import Invocation
from oryx_py.cli.screen import Screen
from oryx_py.cli.visible import visible
from oryx_py.errors import UserError

if TYPE_CHECKING:
    from oryx_py.client import Client, Scored
    from oryx_py.config import Settings

__all__ = ["AsJson", "HowMany", "Offset", "Url", "at", "connect", "given_items", "show_json", "show_scored", "url_of"]

Url = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", help="Address of the service; without it, serving.host and serving.port."),
]
HowMany = Annotated[int, typer.Option("--how-many", "-n", min=1, max=100_000, help="Length of the list.")]
Offset = Annotated[int, typer.Option("--offset", min=0, max=99_999, help="Begin so far down the list.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, in one line.")]


def connect(call: Invocation, url: str | None, *, patience_s: float = 0.0) -> "Client":
    """Return a client of the service at the address given, or of that which the settings describe.

    Args:
        call: of the command.
        url: the address given.
        patience_s: how long one call is repeated. 0: somebody waits for the answer, and what does not pass at once is
            said, not waited for.

    Raises:
        ConfigError: the settings are wrong.
        UserError: the address is none.
    """
    from oryx_py.client import Client, Retries

    retries = Retries(attempts=1_000, deadline_s=patience_s) if patience_s else Retries(attempts=2, deadline_s=20.0)
    return Client(url if url is not None else url_of(call.settings()), retries=retries)


def url_of(settings: "Settings") -> str:
    """Return the address of these settings' service, as seen from this machine."""
    address = at(settings.serving.host, settings.serving.port)
    return f"http://{address}{settings.serving.api.context_path.rstrip('/')}"


def at(host: str, port: int) -> str:
    """Return ``host:port`` of a server that listens there, as seen from this machine."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - every address of this machine, the loopback among them
        host = "127.0.0.1"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def given_items(texts: Sequence[str]) -> list[str | tuple[str, float]]:
    """Read ``ITEM`` or ``ITEM=STRENGTH``: the last = parts them if a number follows.

    Raises:
        UserError: the strength is not finite.
    """
    return [_item_of(text) for text in texts]


def show_scored(screen: Screen, items: "Sequence[Scored]", score: str, *, first: int = 1, as_json: bool) -> None:
    """Show a ranked list: a table on a terminal, lines of item, tab, score into a pipe.

    Args:
        screen: where to.
        items: in their order.
        score: what the numbers are called.
        first: place of the first one.
        as_json: show the service's own JSON instead.
    """
    if as_json:
        show_json(screen, [{"id": item.id, "value": item.value} for item in items])
    elif screen.interactive:
        rows = [(str(place), visible(item.id), f"{item.value:.4f}") for place, item in enumerate(items, first)]
        screen.table(("", "item", score), rows, right=(0, 2))
    else:
        for item in items:
            screen.line(f"{visible(item.id)}\t{item.value!r}")


def show_json(screen: Screen, value: Any) -> None:
    """Show a value as JSON in one line of ASCII, which cannot move a cursor."""
    screen.line(json.dumps(value))


def _item_of(text: str) -> str | tuple[str, float]:
    name, equals, strength = text.rpartition("=")
    try:
        number = float(strength) if equals else None
    except ValueError:
        number = None
    if number is None:
        return text
    if not name:
        raise UserError(f"{text!r} has no item before the =")
    return name, number
