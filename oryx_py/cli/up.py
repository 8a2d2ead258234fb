"""``oryx up``."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.asking import url_of
from oryx_py.cli.broker import fetch_jars
from oryx_py.cli.extras import need
from oryx_py.cli.invocation import invocation

if TYPE_CHECKING:
    from oryx_py.config import Settings

__all__ = ["up"]


def up(
    context: typer.Context,
    no_batch: Annotated[bool, typer.Option("--no-batch", help="Without the batch layer.")] = False,
    with_hdfs: Annotated[
        bool, typer.Option("--hdfs", help="History and generations in HDFS, which runs here too; local.hdfs for once.")
    ] = False,
) -> None:
    """Run everything on this machine, in this terminal, until Ctrl-C.

    Kafka (unless kafka.bootstrap_servers names another), HDFS where it is asked
    for, the batch layer at its interval, the speed layer and the service, each
    a process of its own. One that ends is started again, after a wait that
    grows. One Ctrl-C stops all of them in order. Data stay in local.dir; the
    next `oryx up` goes on with them.

    Examples:

      oryx up
      oryx up --hdfs
      ORYX__SERVING__PORT=8081 ORYX__BATCH__INTERVAL_S=60 oryx up
    """
    need("all", "pyspark", "pyarrow", "pandas", "numba", "uvloop", "faiss")
    from msgspec.structs import replace

    from oryx_py.cli import machine
    from oryx_py.local.jars import HDFS
    from oryx_py.local.layers_file import announced
    from oryx_py.local.lines import PrefixedLines
    from oryx_py.local.supervisor import Supervisor
    from oryx_py.runtime.stopping import Stopping

    call = invocation(context)
    settings = call.settings()
    environ: dict[str, str] = {}
    if with_hdfs:
        settings = replace(settings, local=replace(settings.local, hdfs=True))
        environ["ORYX__LOCAL__HDFS"] = "true"
    machine.check_free(settings)
    if settings.local.hdfs:
        fetch_jars(call.screen, HDFS)
    if machine.has_own_broker(settings):
        fetch_jars(call.screen)
    else:
        machine.set_up_topics(settings)
    readable = settings.log.format == "auto" and call.screen.interactive
    if readable:
        environ["ORYX__LOG__FORMAT"] = "console"
    layers = [layer for layer in machine.LAYERS if not (no_batch and layer == "batch")]
    addresses, ports = machine.addresses(settings, layers)
    programs = machine.children(settings, layers, call.config, environ | ports)
    show = PrefixedLines(sys.stdout, [*(program.name for program in programs), "oryx"], colours=call.screen.interactive)
    supervisor = Supervisor(programs, show=show, say=lambda name, text: show("oryx", f"{name} {text}"))
    stopping = Stopping()
    with announced(settings.local_dir, addresses), stopping.on_signals():
        supervisor.run(stopping.wait, on_ready=lambda: _welcome(settings, show))
    call.screen.line("all stopped")


def _welcome(settings: "Settings", show: Callable[[str, str], None]) -> None:
    url = url_of(settings)
    if settings.local.hdfs:
        show("oryx", "history and generations are in HDFS: commands elsewhere find them with local.hdfs = true")
    for text in (
        f"everything runs: {url} answers, {url}/ready says what recommendations wait for",
        "next, in another terminal: oryx ingest FILE, then oryx recommend USER; oryx status shows how it goes",
        "Ctrl-C here stops all",
    ):
        show("oryx", text)
