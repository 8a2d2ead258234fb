"""HDFS itself on one machine: a NameNode and a DataNode, each a process of the caller's."""

import os
import time
import uuid
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, build_opener

import msgspec

from oryx_py.errors import MissingDependency, StoreUnavailable, UserError
from oryx_py.local import ivy, locks, ports
from oryx_py.local.formatting import format_aside, is_formatted
from oryx_py.local.hdfs_home import DATANODE, NAMENODE, HdfsHome, HdfsRunFile, Role, hdfs_runfile, read_hdfs
from oryx_py.local.jars import HDFS, Progress, read_lock, resolve_jars, version_of
from oryx_py.local.java import Java, find_java
from oryx_py.local.java_server import JavaServer, Startable

__all__ = ["DataNode", "EmbeddedHdfs", "NameNode", "is_writable"]

_MAIN = {
    NAMENODE: "org.apache.hadoop.hdfs.server.namenode.NameNode",
    DATANODE: "org.apache.hadoop.hdfs.server.datanode.DataNode",
}
_OF_PYSPARK = (
    *("hadoop-client-api", "hadoop-client-runtime", "slf4j-api", "jcl-over-slf4j", "log4j-api", "log4j-core"),
    *("log4j-slf4j2-impl", "log4j-1.2-api", "jsr305", "snappy-java"),
)
_POLL_S = 0.05
_LOCK_S = 1.0
_ASK_S = 2.0
_opener = build_opener(ProxyHandler({}))  # what runs on this machine is never behind a proxy


class _Server(JavaServer):
    """NameNode or DataNode."""

    role: Role

    def __init__(
        self,
        local_dir: Path,
        *,
        heap_mb: int = 256,
        host: str = ports.HOST,
        leash: bool = True,
        cache: Path | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self.home = HdfsHome(local_dir.resolve(), self.role, host)
        super().__init__(self.home, heap_mb=heap_mb, leash=leash)
        self._cache, self._on_progress = cache, on_progress

    def start(self, timeout_s: float = 90.0) -> None:
        """Return when it does its work; if it runs already, only wait for that.

        Raises:
            MissingDependency: there is no Java, no PySpark that fits, or the jars can't be had.
            UserError: another process uses this folder.
            StoreUnavailable: it ended or was not ready in time; the message has the end of its log.
        """
        if self.alive:
            self._await_ready(time.monotonic() + timeout_s, 0)
            return
        java = find_java()
        classpath = _classpath(java, self.home.conf, self._cache, self._on_progress)
        deadline = time.monotonic() + timeout_s
        lock = locks.take(self.home.lock, _LOCK_S)
        if lock is None:
            raise UserError(f"{self.home.dir} is in use by another process: stop that one, or choose another local.dir")
        try:
            self.home.prepare()
            self._configure()
            hadoop = ("-Djava.net.preferIPv4Stack=true", f"-Doryx.log={self.home.log}")
            command = self._java(java, classpath, *hadoop)
            self._format(command, deadline - time.monotonic())
            log_start = self._log_size()
            self._launch([*command, _MAIN[self.role]], lock)
        finally:
            os.close(lock)
        self._await_ready(deadline, log_start)

    @abstractmethod
    def _configure(self) -> None:
        """Write the settings' files."""

    def _format(self, java: list[str], timeout_s: float) -> None:
        """Make the data folder what it has to be, once."""

    @abstractmethod
    def _ready(self) -> bool:
        """Whether it answers as it should."""

    def _await_ready(self, deadline: float, log_start: int) -> None:
        assert self._process is not None
        try:
            while not self._ready():
                ended = self._process.poll()
                if ended is not None or time.monotonic() >= deadline:
                    trouble = "was not ready in time" if ended is None else f"ended with exit code {ended}"
                    message = f"the {self.role} {trouble}; the end of {self.home.log}:"
                    raise StoreUnavailable("\n".join([message, *self._last_words(log_start, 12)]))
                time.sleep(_POLL_S)
        except BaseException:
            self.stop(0)
            raise


class NameNode(_Server):
    """The names of HDFS; ready when it answers, be there DataNodes or not.

    Args:
        local_dir: whose ``hdfs/namenode`` is its folder.
        rpc_port: wish for Hadoop's clients; when it is taken, another is found and kept over restarts.
        http_port: wish for WebHDFS.
        options: ``heap_mb``, ``host``, ``leash``, ``cache``, ``on_progress``, as for the broker.
    """

    role = NAMENODE

    def __init__(self, local_dir: Path, rpc_port: int = 8020, http_port: int = 9870, **options: Any) -> None:
        super().__init__(local_dir, **options)
        self._wishes = (rpc_port, http_port)
        self._rpc = self._http = 0

    @property
    def address(self) -> str:
        """``host:port`` for Hadoop's clients, after ``start``."""
        return f"{self.home.host}:{self._rpc}"

    @property
    def webhdfs_url(self) -> str:
        """Of WebHDFS, after ``start``."""
        return f"http://{self.home.host}:{self._http}"

    def stop(self, grace_s: float = 20.0) -> None:
        """End it, and take the run file away."""
        running = read_hdfs(self.home.local_dir)
        if running is not None and self._process is not None and running.pid == self._process.pid:
            hdfs_runfile(self.home.local_dir).unlink(missing_ok=True)
        super().stop(grace_s)

    def _configure(self) -> None:
        hdfs_runfile(self.home.local_dir).unlink(missing_ok=True)  # under the lock: its process is gone
        chosen = self.home.configure_namenode(*self._wishes)
        self._rpc, self._http = chosen.rpc, chosen.http

    def _format(self, java: list[str], timeout_s: float) -> None:
        """Format the names."""
        data, fresh = self.home.data, self.home.fresh
        if is_formatted(data, "current/VERSION", "names"):
            return
        tool = [_MAIN[NAMENODE], "-D", f"dfs.namenode.name.dir={fresh.as_uri()}", "-format", "-nonInteractive"]
        command = [*java, *tool, "-clusterId", f"oryx-{uuid.uuid4()}"]
        format_aside(command, data, fresh, timeout_s=timeout_s, failure=StoreUnavailable)

    def _ready(self) -> bool:
        if not _beans(f"http://{ports.HOST}:{self._http}", "NameNodeInfo"):
            return False
        assert self._process is not None
        running = HdfsRunFile(self.address, self.webhdfs_url, self._process.pid)
        partial = hdfs_runfile(self.home.local_dir).with_suffix(".partial")
        partial.write_bytes(msgspec.json.encode(running) + b"\n")
        partial.replace(hdfs_runfile(self.home.local_dir))
        return True


class DataNode(_Server):
    """The blocks of HDFS; ready when the NameNode takes files.

    Args:
        local_dir: whose ``hdfs/datanode`` is its folder.
        namenode: ``host:port`` of the NameNode; None for the one that runs in ``local_dir``.
        webhdfs_url: of the NameNode; None likewise.
        options: as of `NameNode`.
    """

    role = DATANODE

    def __init__(
        self, local_dir: Path, namenode: str | None = None, webhdfs_url: str | None = None, **options: Any
    ) -> None:
        super().__init__(local_dir, **options)
        self._namenode, self._webhdfs_url = namenode, webhdfs_url

    def _configure(self) -> None:
        if self._namenode is None or self._webhdfs_url is None:
            running = read_hdfs(self.home.local_dir)
            if running is None:
                raise StoreUnavailable(f"no NameNode runs in {self.home.local_dir}")
            self._namenode, self._webhdfs_url = running.namenode, running.webhdfs_url
        self.home.configure_datanode(self._namenode)

    def _ready(self) -> bool:
        # The NameNode goes on counting a DataNode that died: ask this one whether it has come to it.
        own = _beans(f"http://{ports.HOST}:{self.home.datanode_port}", "DataNodeInfo")
        joined = "RUNNING" in own.get("BPServiceActorInfo", "")
        return joined and self._webhdfs_url is not None and is_writable(self._webhdfs_url)


class EmbeddedHdfs(Startable):
    """A NameNode and a DataNode together.

    Args:
        local_dir: whose ``hdfs`` is their folder.
        rpc_port: wish of the NameNode, 0 for any.
        http_port: wish for WebHDFS, 0 for any.
        options: as of `NameNode`, for both.
    """

    def __init__(self, local_dir: Path, rpc_port: int = 8020, http_port: int = 9870, **options: Any) -> None:
        self.namenode = NameNode(local_dir, rpc_port, http_port, **options)
        self.datanode = DataNode(local_dir, **options)

    def start(self, timeout_s: float = 90.0) -> None:
        """Start whichever does not run; return when files can be written. Raises what the servers' ``start`` does."""
        self.namenode.start(timeout_s)
        self.datanode.start(timeout_s)

    def stop(self) -> None:
        """End both."""
        self.datanode.stop()
        self.namenode.stop()


def is_writable(webhdfs_url: str) -> bool:
    """Say whether the NameNode has a DataNode and takes writes; early answers have empty beans."""
    state, info = (_beans(webhdfs_url, name) for name in ("FSNamesystemState", "NameNodeInfo"))
    return bool(state) and state.get("NumLiveDataNodes", 0) > 0 and info.get("Safemode") == ""


def _beans(url: str, name: str) -> dict[str, Any]:
    """What a server says about itself; nothing while it does not answer."""
    query = f"{url}/jmx?qry=Hadoop:service=*,name={name}"
    with suppress(OSError, msgspec.MsgspecError, KeyError, IndexError), _opener.open(query, timeout=_ASK_S) as answer:
        found: dict[str, Any] = msgspec.json.decode(answer.read())["beans"][0]
        return found
    return {}


def _classpath(java: Java, conf: Path, cache: Path | None, on_progress: Progress | None) -> str:
    """The settings, the servers' own jar, and the Hadoop client that PySpark has.

    Raises:
        MissingDependency: PySpark is missing, or has another Hadoop.
    """
    folder = ivy.find_ivy().parent
    version = version_of(HDFS, read_lock(HDFS))
    if not (folder / f"hadoop-client-api-{version}.jar").is_file():
        raise MissingDependency(
            f"HDFS on this machine needs the Hadoop {version} of PySpark, and {folder} has another: "
            "install the PySpark of requirements.lock, or set history.uri and store.uri to an HDFS you have"
        )
    of_pyspark = [path for name in _OF_PYSPARK for path in sorted(folder.glob(f"{name}-[0-9]*.jar"))]
    installed = resolve_jars(java, HDFS, cache=cache, on_progress=on_progress)
    return os.pathsep.join(map(str, [conf, *installed.files, *of_pyspark]))
