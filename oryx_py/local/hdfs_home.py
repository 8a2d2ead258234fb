"""The folder of one machine's HDFS: what stands where, and how it comes to be.

::

    <local.dir>/hdfs.json         the run file, while a NameNode is ready
    <local.dir>/hdfs/<role>/lock  held by the role's process as long as it lives
                           ports.json  the ports of the last start
                           conf/     written at every start
                           data/     the NameNode's names, or the DataNode's blocks
                           logs/     <role>.log (Hadoop's), jvm.log (Java's own output, of the last start)
                           tmp/      emptied at every start
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal, TypeVar
from xml.sax.saxutils import escape

import msgspec

from oryx_py.local import ports

__all__ = ["DATANODE", "NAMENODE", "HdfsHome", "HdfsRunFile", "NameNodePorts", "Role", "hdfs_runfile", "read_hdfs"]

Role = Literal["namenode", "datanode"]
NAMENODE: Role = "namenode"
DATANODE: Role = "datanode"

_EVERYWHERE = "0.0.0.0"  # noqa: S104 - only where another host than the loopback was asked for
_HEARTBEAT_S = 1
"""So that a NameNode that is back knows its DataNode soon; the default of 3 s is for clusters of thousands."""


class HdfsRunFile(msgspec.Struct, frozen=True):
    """Where a NameNode listens: ``host:port`` for Hadoop's clients, a URL for WebHDFS; and its process."""

    namenode: str
    webhdfs_url: str
    pid: int


class NameNodePorts(msgspec.Struct, frozen=True):
    """The NameNode's ports: those asked for, and those taken."""

    asked: tuple[int, int]
    rpc: int
    http: int


class _DataNodePorts(msgspec.Struct, frozen=True):
    data: int
    http: int
    ipc: int


_Ports = TypeVar("_Ports", bound=msgspec.Struct)
_USUAL = _DataNodePorts(9866, 9864, 9867)
"""Hadoop's own, as wishes."""


def hdfs_runfile(local_dir: Path) -> Path:
    """Return where the run file of ``local.dir`` stands."""
    return local_dir / "hdfs.json"


def read_hdfs(local_dir: Path) -> HdfsRunFile | None:
    """Return what the run file says; None if there is none, or it is not one."""
    try:
        return msgspec.json.decode(hdfs_runfile(local_dir).read_bytes(), type=HdfsRunFile)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


@dataclass(frozen=True, slots=True)
class HdfsHome:
    """One role's folder."""

    local_dir: Path
    role: Role
    host: str = ports.HOST
    """The name by which clients reach it; another than the loopback's makes it listen on every address."""

    @property
    def dir(self) -> Path:
        """Everything of this role."""
        return self.local_dir / "hdfs" / self.role

    @property
    def lock(self) -> Path:
        """Held by the role's process."""
        return self.dir / "lock"

    @property
    def conf(self) -> Path:
        """Hadoop's settings, first on the class path."""
        return self.dir / "conf"

    @property
    def data(self) -> Path:
        """Names or blocks."""
        return self.dir / "data"

    @property
    def fresh(self) -> Path:
        """Names that are being formatted; they get their place only when all is there."""
        return self.dir / "data.formatting"

    @property
    def log(self) -> Path:
        """Hadoop's own log."""
        return self.dir / "logs" / f"{self.role}.log"

    @property
    def output(self) -> Path:
        """What the Java machine itself says."""
        return self.dir / "logs" / "jvm.log"

    @property
    def tmp(self) -> Path:
        """Java's temporary folder: without one of its own, Jetty leaves folders in the system's."""
        return self.dir / "tmp"

    def prepare(self) -> None:
        """Make the folders and sweep what a killed process left."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        for folder in (self.conf, self.tmp, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)
        template = resources.files("oryx_py.local").joinpath("hdfs-log4j2.properties")
        (self.conf / "log4j2.properties").write_bytes(template.read_bytes())

    def configure_namenode(self, rpc: int, http: int) -> NameNodePorts:
        """Write the NameNode's settings for free ports; those of its last start where the wishes are the same."""
        last = self._last(NameNodePorts((rpc, http), rpc, http))
        if last.asked != (rpc, http):
            last = NameNodePorts((rpc, http), rpc, http)
        chosen_rpc = ports.choose((last.rpc, rpc))
        chosen = NameNodePorts((rpc, http), chosen_rpc, ports.choose((last.http, http), taken={chosen_rpc}))
        settings = {
            "dfs.namenode.name.dir": self.data.as_uri(),
            "dfs.namenode.http-address": f"{self.host}:{chosen.http}",
            # Else nothing can be written for 30 s after every start.
            "dfs.namenode.safemode.extension": "0",
            # Else a few blocks, of which 99.9 % are none, count as there before their DataNode is.
            "dfs.namenode.safemode.min.datanodes": "1",
            "dfs.namenode.datanode.registration.ip-hostname-check": "false",
            "dfs.replication": "1",
        }
        if self.host != ports.HOST:
            settings |= {"dfs.namenode.rpc-bind-host": _EVERYWHERE, "dfs.namenode.http-bind-host": _EVERYWHERE}
        self._write(f"{self.host}:{chosen.rpc}", settings)
        self._remember(chosen)
        return chosen

    def configure_datanode(self, namenode: str) -> None:
        """Write the DataNode's settings for free ports.

        Args:
            namenode: ``host:port`` of the NameNode.
        """
        last, usual = self._last(_USUAL), _USUAL
        data = ports.choose((last.data, usual.data))
        http = ports.choose((last.http, usual.http), taken={data})
        ipc = ports.choose((last.ipc, usual.ipc), taken={data, http})
        address = ports.HOST if self.host == ports.HOST else _EVERYWHERE
        self._write(
            namenode,
            {
                "dfs.datanode.data.dir": self.data.as_uri(),
                "dfs.datanode.address": f"{address}:{data}",
                "dfs.datanode.http.address": f"{address}:{http}",
                "dfs.datanode.ipc.address": f"{address}:{ipc}",
                # WebHDFS sends its clients there.
                "dfs.datanode.hostname": self.host,
                # A file that is closed outlives a power failure, as everything else that a commit names.
                "dfs.datanode.synconclose": "true",
                "dfs.replication": "1",
                # Else every small file waits for a quarter of a second.
                "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "10",
            },
        )
        self._remember(_DataNodePorts(data, http, ipc))

    @property
    def datanode_port(self) -> int:
        """Where the DataNode answers over HTTP, once it was configured."""
        return self._last(_USUAL).http

    def _last(self, default: _Ports) -> _Ports:
        try:
            return msgspec.json.decode((self.dir / "ports.json").read_bytes(), type=type(default))
        except (FileNotFoundError, msgspec.MsgspecError):
            return default

    def _remember(self, chosen: msgspec.Struct) -> None:
        (self.dir / "ports.json").write_bytes(msgspec.json.encode(chosen))

    def _write(self, namenode: str, settings: Mapping[str, str]) -> None:
        both = {"dfs.heartbeat.interval": str(_HEARTBEAT_S), "dfs.permissions.superusergroup": "oryx"}
        core = {"fs.defaultFS": f"hdfs://{namenode}", "hadoop.tmp.dir": str(self.tmp)}
        (self.conf / "core-site.xml").write_text(_xml(core), encoding="utf-8")
        (self.conf / "hdfs-site.xml").write_text(_xml({**both, **settings}), encoding="utf-8")


def _xml(settings: Mapping[str, str]) -> str:
    rows = "".join(
        f"  <property><name>{escape(name)}</name><value>{escape(value)}</value></property>\n"
        for name, value in settings.items()
    )
    return f'<?xml version="1.0"?>\n<configuration>\n{rows}</configuration>\n'
