"""``oryx broker``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.invocation import invocation
from oryx_py.cli.screen import Screen
from oryx_py.errors import BrokerUnavailable

if TYPE_CHECKING:
    from oryx_py.config import Settings
    from oryx_py.local.broker import EmbeddedBroker

__all__ = ["broker", "starting_broker"]

_LOOK_S = 0.5


def broker(
    context: typer.Context,
    fetch: Annotated[bool, typer.Option("--fetch", help="Only fetch the jars, for a start without network.")] = False,
) -> None:
    """Run Kafka itself on this machine, until Ctrl-C.

    One process, bound to the loopback, for development and for a single
    machine. Its data are in local.dir and survive it; commands with the same
    settings find it by themselves. Java 17 or newer is needed; Kafka's jars
    are fetched once.

    Example:

      oryx broker &
      oryx setup
    """
    from oryx_py.runtime.stopping import Stopping

    call = invocation(context)
    settings = call.settings()
    if fetch:
        _fetch_jars(call.screen)
        return
    with starting_broker(settings, call.screen) as kafka:
        call.screen.line(f"Kafka listens on {kafka.bootstrap_servers}; data in {settings.local_dir}; Ctrl-C stops it")
        stopping = Stopping()
        with stopping.on_signals():
            while not stopping.wait(_LOOK_S):
                if not kafka.alive:
                    raise BrokerUnavailable(f"Kafka has ended; its log is in {settings.local_dir / 'broker' / 'logs'}")
    call.screen.line("Kafka has stopped")


@contextmanager
def starting_broker(settings: "Settings", screen: Screen) -> "Iterator[EmbeddedBroker]":
    """Start the embedded broker of these settings for a block, with a bar while its jars are fetched.

    Raises:
        MissingDependency: there is no Java, or the jars can't be had.
        UserError: another broker uses the folder.
        BrokerUnavailable: Kafka was not ready in time.
    """
    from oryx_py.local.broker import EmbeddedBroker
    _fetch_jars(screen)
    local = settings.local
    kafka = EmbeddedBroker(
        settings.local_dir / "broker", local.broker_port, local.broker_heap_mb, host=local.broker_host
    )
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


def _fetch_jars(screen: Screen) -> None:
    from oryx_py.local.jars import resolve_jars
    from oryx_py.local.java import find_java

    with screen.progress("fetching Kafka's jars, once", None, "jars") as bar:
        resolve_jars(find_java(), on_progress=lambda done, total: bar.update(done, total=total))
