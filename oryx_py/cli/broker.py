"""``oryx broker``."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.invocation import invocation
from oryx_py.cli.screen import Progress, Screen
from oryx_py.errors import BrokerUnavailable

if TYPE_CHECKING:
    from oryx_py.config import Settings
    from oryx_py.local.broker import EmbeddedBroker
    from oryx_py.local.jars import Bundle

__all__ = ["broker", "fetch_jars"]

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

    Examples:

      oryx broker & oryx setup
      oryx broker --fetch         for images that shall start without a network
    """
    from oryx_py.runtime.stopping import Stopping

    call = invocation(context)
    settings = call.settings()
    fetch_jars(call.screen)
    if fetch:
        return
    with _started(settings) as kafka:
        call.screen.line(f"Kafka listens on {kafka.bootstrap_servers}; data in {settings.local_dir}; Ctrl-C stops it")
        stopping = Stopping()
        with stopping.on_signals():
            while not stopping.wait(_LOOK_S):
                if not kafka.alive:
                    raise BrokerUnavailable(f"Kafka has ended; its log is in {settings.local_dir / 'broker' / 'logs'}")
    call.screen.line("Kafka has stopped")


def fetch_jars(screen: Screen, bundle: "Bundle | None" = None) -> None:
    """Make sure that a server's jars are there, the broker's if none is named, with a bar the first time.

    Raises:
        MissingDependency: there is no Java, or the jars can't be had.
    """
    from oryx_py.local.jars import KAFKA, resolve_jars
    from oryx_py.local.java import find_java

    bundle = bundle or KAFKA
    with ExitStack() as shown:
        bar: list[Progress] = []  # none where nothing has to be fetched

        def show(done: int, total: int) -> None:
            if not bar:
                bar.append(shown.enter_context(screen.progress(f"fetching {bundle.title}'s jars, once", total, "jars")))
            bar[0].update(done)

        resolve_jars(find_java(), bundle, on_progress=show)


@contextmanager
def _started(settings: "Settings") -> "Iterator[EmbeddedBroker]":
    from oryx_py.local.broker import EmbeddedBroker

    kafka = EmbeddedBroker(
        settings.local_dir / "broker",
        settings.local.broker_port,
        settings.local.broker_heap_mb,
        host=settings.local.broker_host,
    )
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()
