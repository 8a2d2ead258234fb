"""A standalone Spark cluster on this machine: a master and two workers from PySpark's own jars."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pyspark

from oryx_py.local.java import find_java

_HOME = Path(pyspark.__file__).parent
_DEPLOY = "org.apache.spark.deploy"
_STARTS_S, _ENDS_S = 180.0, 20.0


class SparkCluster:
    """Where the master is, and the workers' processes, which this process has started."""

    def __init__(self, master: str, workers: list["subprocess.Popen[bytes]"]) -> None:
        self.master = master
        self._workers = workers

    def kill_an_executor(self) -> int:
        """Kill one of the workers' executors, and return its process ID once it no longer runs.

        Raises:
            TimeoutError: The machine takes longer than _ENDS_S to end it.
        """
        executor = next(child for worker in self._workers for child in psutil.Process(worker.pid).children())
        executor.kill()
        end = time.monotonic() + _ENDS_S
        while _runs(executor):
            if time.monotonic() > end:
                raise TimeoutError(f"process {executor.pid} runs {_ENDS_S:.0f} s after it was killed")
            time.sleep(0.01)
        return executor.pid


@contextmanager
def spark_cluster(folder: Path, ports: list[int]) -> Iterator[SparkCluster]:
    """Start a master and two workers of one core each on these six free ports; they are gone afterwards."""
    master_port, master_ui, *rest = ports
    master = f"spark://localhost:{master_port}"
    with ExitStack() as started:
        where = ["--host", "localhost", "--port", str(master_port), "--webui-port", str(master_ui)]
        started.enter_context(_daemon(folder / "master", "master.Master", where))
        _wait(master_ui, 0)
        workers = []
        for name, port, ui in (("w1", rest[0], rest[1]), ("w2", rest[2], rest[3])):
            place = ["--host", "localhost", "--port", str(port), "--webui-port", str(ui)]
            size = ["--cores", "1", "--memory", "1500m", "--work-dir", str(folder / name)]
            workers.append(started.enter_context(_daemon(folder / name, "worker.Worker", [*place, *size, master])))
        _wait(master_ui, 2)
        yield SparkCluster(master, workers)


@contextmanager
def _daemon(folder: Path, name: str, arguments: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    folder.mkdir(parents=True)
    environ = os.environ | {
        "SPARK_HOME": str(_HOME),
        "SPARK_DAEMON_MEMORY": "256m",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "JAVA_HOME": str(find_java().home),
        "PYSPARK_PYTHON": sys.executable,
    }
    command = [str(_HOME / "bin" / "spark-class"), f"{_DEPLOY}.{name}", *arguments]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
    try:
        yield process
    finally:
        children = []
        with suppress(psutil.NoSuchProcess):
            children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_S)
        process.kill()
        process.wait()
        _, left = psutil.wait_procs(children, timeout=_ENDS_S)
        for child in left:
            child.kill()


def _runs(process: psutil.Process) -> bool:
    """Return whether it does: one that has ended is a zombie until its parent has asked how, whenever that is."""
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False


def _wait(port: int, workers: int) -> None:
    """Wait until the master has so many workers."""
    end = time.monotonic() + _STARTS_S
    while time.monotonic() < end:
        url = f"http://localhost:{port}/json/"
        with suppress(OSError, ValueError), urllib.request.urlopen(url, timeout=5) as answer:
            if json.load(answer)["aliveworkers"] >= workers:
                return
        time.sleep(0.2)
    raise TimeoutError(f"the master has no {workers} workers after {_STARTS_S:.0f} s")
