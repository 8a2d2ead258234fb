"""Apache Kafka itself on one machine: broker and controller in one process of the caller."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from oryx_py.errors import BrokerUnavailable, UserError
from oryx_py.local import locks, ports
from oryx_py.local.broker_home import BrokerHome
from oryx_py.local.class_archive import ClassArchive
from oryx_py.local.jars import Jars, Progress, resolve_jars
from oryx_py.local.java import Java, find_java
from oryx_py.local.java_server import JavaServer
from oryx_py.local.runfile import RunFile, read_runfile, write_runfile

__all__ = ["EmbeddedBroker"]

_PORT_ATTEMPTS = 3  # another program may take a port between the look and Kafka's own bind
_TAKEN = ("Address already in use", "BindException")
_POLL_S = 0.02
_METADATA_S = 2.0
_LOCK_S = 1.0


class EmbeddedBroker(JavaServer):
    """A Kafka of one process, with its data in ``dir``.

    ``host`` is the name under which clients find it; with another than 127.0.0.1 it listens, unprotected, on every
    address: for a closed network, as that of containers. ``port`` is a wish: when it is taken, another is found and
    kept over restarts; 0 means any.
    """

    def __init__(
        self,
        dir: Path,  # noqa: A002
        port: int = 9092,
        heap_mb: int = 256,
        *,
        host: str = ports.HOST,
        leash: bool = True,
        cache: Path | None = None,
        on_progress: Progress | None = None,
    ) -> None:
        self._home = BrokerHome(dir.resolve(), host)
        super().__init__(self._home, heap_mb=heap_mb, leash=leash)
        self._wish = port
        self._cache = cache
        self._on_progress = on_progress
        self._port = 0
        self._archive: ClassArchive | None = None

    @property
    def bootstrap_servers(self) -> str:
        """``host:port`` for clients, after ``start``."""
        if not self._port:
            raise BrokerUnavailable("the embedded broker has not been started")
        return f"{ports.HOST}:{self._port}"

    def start(self, timeout_s: float = 60.0) -> None:
        """Return when Kafka accepts connections and answers a metadata request; do nothing if it runs.

        The time to fetch the jars, once in a user's life, is not counted.

        Raises:
            MissingDependency: there is no Java, or the jars can't be had.
            UserError: another broker uses this folder, or it holds something else.
            BrokerUnavailable: Kafka ended or was not ready in time; the message has the end of its log.
        """
        if self.alive:
            return
        java = find_java()
        jars = resolve_jars(java, cache=self._cache, on_progress=self._on_progress)
        deadline = time.monotonic() + timeout_s
        lock = locks.take(self._home.lock, _LOCK_S)
        if lock is None:
            raise UserError(self._in_use())
        try:
            self._home.runfile.unlink(missing_ok=True)  # under the lock: it was left by a broker that is gone
            self._home.prepare()
            self._archive = archive = ClassArchive.of(java, jars.folder)
            self._home.format(self._kafka(java, jars, *archive.read_options), deadline - time.monotonic())
            sharing = archive.read_options or archive.write_options(self._home.tmp)
            command = [*self._kafka(java, jars, *sharing), "kafka.Kafka", "server.properties"]
            self._launch_on_free_ports(command, lock, deadline)
        finally:
            os.close(lock)

    def stop(self, grace_s: float = 30.0) -> None:
        """End Kafka: SIGTERM, and SIGKILL after ``grace_s``; nothing happens if it is not running."""
        process = self._process
        super().stop(grace_s)
        if process is None:
            return
        running = read_runfile(self._home.runfile)
        if running is not None and running.pid == process.pid:
            self._home.runfile.unlink(missing_ok=True)
        if self._archive is not None and process.returncode == 128 + signal.SIGTERM:  # Java's own, regular end
            self._archive.adopt(self._home.tmp)

    def _launch_on_free_ports(self, command: list[str], lock: int, deadline: float) -> None:
        for _ in range(_PORT_ATTEMPTS):
            chosen = self._home.choose_ports(self._wish)
            self._home.configure(chosen)
            log_start = self._log_size()
            self._port = chosen.port
            process = self._launch(command, lock)
            try:
                trouble = self._wait_until_ready(process, deadline)
            except BaseException:
                super().stop(0)
                raise
            if trouble is None:
                now_ms = time.time_ns() // 1_000_000
                write_runfile(self._home.runfile, RunFile(self.bootstrap_servers, process.pid, now_ms))
                return
            super().stop(0)
            end = self._last_words(log_start, 40)
            if not any(word in line for word in _TAKEN for line in end):
                break
        raise BrokerUnavailable("\n".join([f"{trouble}; the end of {self._home.log}:", *end[-12:]]))

    def _kafka(self, java: Java, jars: Jars, *options: str) -> list[str]:
        ours = ("-Dkafka.logs.dir=logs", "-Dlog4j2.configurationFile=log4j2.properties")
        return self._java(java, jars.classpath, *ours, *options)

    def _wait_until_ready(self, process: subprocess.Popen[bytes], deadline: float) -> str | None:
        """Return None when Kafka answers, else what went wrong."""
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return f"Kafka ended while starting (exit code {process.returncode})"
            if _accepts(self._port) and _answers(self.bootstrap_servers, self._home.cluster_id):
                return None
            time.sleep(_POLL_S)
        return "Kafka was not ready in time"

    def _in_use(self) -> str:
        running = read_runfile(self._home.runfile)
        who = f"the broker {running.bootstrap_servers} (process {running.pid})" if running else "another broker"
        return f"{self._home.dir} is in use by {who}: stop that one, or choose another local.dir"


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((ports.HOST, port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _answers(bootstrap_servers: str, cluster_id: str) -> bool:
    """Return whether this very cluster answers: another's broker may have taken the port in between."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    try:
        metadata = admin.list_topics(timeout=_METADATA_S)
    except KafkaException:
        return False
    return bool(metadata.brokers) and metadata.cluster_id == cluster_id
