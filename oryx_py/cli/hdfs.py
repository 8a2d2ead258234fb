"""``oryx hdfs``."""

from contextlib import ExitStack
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from oryx_py.cli.broker import fetch_jars
from oryx_py.cli.invocation import invocation
from oryx_py.errors import StoreUnavailable, UserError

if TYPE_CHECKING:
    from oryx_py.config import Settings
    from oryx_py.local.hdfs import DataNode, NameNode

__all__ = ["hdfs"]

_LOOK_S = 0.5


class Which(Enum):
    """What of HDFS is run."""

    BOTH = "both"
    NAMENODE = "namenode"
    DATANODE = "datanode"


def hdfs(
    context: typer.Context,
    which: Annotated[Which, typer.Argument(help="One alone is for containers and supervisors.")] = Which.BOTH,
    namenode: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="For a DataNode whose NameNode runs elsewhere.")
    ] = "",
    fetch: Annotated[bool, typer.Option("--fetch", help="Only fetch the jar, for a start without network.")] = False,
) -> None:
    """Run HDFS itself on this machine, until Ctrl-C.

    A NameNode and a DataNode, bound to the loopback, for development and for a
    single machine. Their data are in local.dir and survive them; with
    local.hdfs = true every command keeps history and generations there. Java
    17 or newer is needed; Hadoop's jar is fetched once.

    Examples:

      oryx hdfs
      oryx hdfs datanode --namenode namenode:8020
      oryx hdfs --fetch         for images that shall start without a network
    """
    from oryx_py.local.jars import HDFS
    from oryx_py.runtime.stopping import Stopping

    call = invocation(context)
    settings = call.settings()
    fetch_jars(call.screen, HDFS)
    if fetch:
        return
    if namenode and which is not Which.DATANODE:
        raise UserError("--namenode is for `oryx hdfs datanode`: a NameNode that runs here is found")
    with ExitStack() as undo:
        running = _servers(settings, which, namenode)
        for server in running:
            undo.callback(server.stop)
            server.start()
        call.screen.line(f"HDFS runs: {_described(running, settings)}; Ctrl-C stops it")
        stopping = Stopping()
        with stopping.on_signals():
            while not stopping.wait(_LOOK_S):
                for server in running:
                    if not server.alive:
                        raise StoreUnavailable(f"the {server.role} has ended; its log is {server.home.log}")
    call.screen.line("HDFS has stopped")


def _servers(settings: "Settings", which: Which, namenode: str) -> "list[NameNode | DataNode]":
    from oryx_py.local.hdfs import DataNode, NameNode

    local = settings.local
    servers: list[NameNode | DataNode] = []
    if which is not Which.DATANODE:
        ports = (local.hdfs_port, local.webhdfs_port)
        servers.append(NameNode(settings.local_dir, *ports, heap_mb=local.hdfs_heap_mb, host=local.hdfs_host))
    if which is not Which.NAMENODE:
        webhdfs_url = f"http://{namenode.partition(':')[0]}:{local.webhdfs_port}" if namenode else None
        where = (namenode or None, webhdfs_url)
        servers.append(DataNode(settings.local_dir, *where, heap_mb=local.hdfs_heap_mb, host=local.hdfs_host))
    return servers


def _described(running: "list[NameNode | DataNode]", settings: "Settings") -> str:
    from oryx_py.local.hdfs import NameNode

    names = [f"hdfs://{one.address}, WebHDFS {one.webhdfs_url}" for one in running if isinstance(one, NameNode)]
    return "; ".join([*(names or ["the DataNode"]), f"data in {settings.local_dir / 'hdfs'}"])
