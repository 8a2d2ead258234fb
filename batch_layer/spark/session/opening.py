"""Starting Spark: quiet, on this machine's own address, nothing written into the working directory; and ending it."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from oryx_py.errors import UserError
from oryx_py.local.java import find_java

__all__ = ["close_session", "is_alive", "open_session", "spread"]

_ARROW_ROWS = 65_536
"""Rows of a batch that goes between the JVM and Python: large enough that NumPy's work outweighs the call's."""

_SHUFFLED = "spark.sql.shuffle.partitions"
_ROWS_A_PARTITION = 500_000

_EXIT_S = 10.0
_CHATTER = ("WARNING:", "Using Spark's", "Setting default log level", "To adjust logging level")


def open_session(master: str, properties: Mapping[str, str], log_file: Path, spill: Path | None = None) -> SparkSession:
    """Start Spark; the JVM's own output goes to a file, so that the terminal keeps to this project's log.

    Args:
        master: Spark's master URL.
        properties: Spark's own, which win over the ones chosen here.
        log_file: overwritten.
        spill: where Spark on this machine writes what does not fit its memory; None: where Java puts temporary files.

    Raises:
        MissingDependency: there is no Java that is new enough.
        UserError: the JVM did not start, or not with these properties; the message has its last words.
    """
    os.environ["JAVA_HOME"] = str(find_java().home)
    # Else tasks are run by whatever `python3` is, without this project.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    if master.startswith("local"):
        # Else Spark asks for the host's name, whose address may not be there.
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    _end_orphan()
    conf = SparkConf(loadDefaults=False)
    for key, value in {**_defaults(master, spill), **properties}.items():
        conf.set(key, value)
    log_file.parent.mkdir(parents=True, exist_ok=True)
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        with log_file.open("wb") as output:
            gateway = launch_gateway(conf, {"stdout": output, "stderr": output})  # type: ignore[no-untyped-call]
        context = SparkContext(conf=conf, gateway=gateway)
    except (PySparkException, Py4JError, OSError) as error:
        reason = _reason(error, log_file)  # the JVM has to be asked for its own error's text
        _end_orphan()
        raise UserError(f"Spark did not start: {reason} (its log: {log_file})") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, on_interrupt)  # Spark has put its own there
    return SparkSession(context)


def close_session(spark: SparkSession) -> None:
    """Stop Spark and its JVM, also one that has died; another session can be opened afterwards."""
    with suppress(PySparkException, Py4JError, OSError):
        spark.stop()
    # Where the JVM has died, PySpark did not come so far.
    SparkContext._active_spark_context = None
    SparkSession._instantiatedSession = SparkSession._activeSession = None
    _end_orphan()


def is_alive(spark: SparkSession) -> bool:
    """Say whether the JVM still answers."""
    try:
        return not spark.sparkContext._jsc.sc().isStopped()
    except (PySparkException, Py4JError, OSError):
        return False


def spread(spark: SparkSession, rows: int) -> None:
    """Have as many partitions after a shuffle as the rows are worth, and one a core; a property of the user's wins.

    Spark's own 200 would cost a turn of a Python worker each: half a minute, however few the rows.
    """
    context = spark.sparkContext
    if not context.getConf().contains(_SHUFFLED):
        spark.conf.set(_SHUFFLED, str(max(context.defaultParallelism, -(-rows // _ROWS_A_PARTITION))))


def _end_orphan() -> None:
    """End a JVM without a session; PySpark would keep it until this process ends, and take it for the next session."""
    gateway: Any = SparkContext._gateway
    if gateway is None or SparkContext._active_spark_context is not None:
        return
    SparkContext._gateway = SparkContext._jvm = None
    with suppress(Py4JError, OSError):
        gateway.shutdown()
    process: subprocess.Popen[bytes] = gateway.proc
    with suppress(OSError, subprocess.TimeoutExpired):
        if process.stdin is not None:
            process.stdin.close()  # the JVM ends when its input does
        process.wait(_EXIT_S)
    if process.poll() is None:
        process.kill()
        process.wait()


def _defaults(master: str, spill: Path | None) -> dict[str, str]:
    chosen = {
        "spark.app.name": "oryx-batch",
        "spark.master": master,
        "spark.driver.memory": "2g",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "WARN",
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": str(_ARROW_ROWS),
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.catalogImplementation": "in-memory",
        # Never used; but should something create it, then not in the working directory.
        "spark.sql.warehouse.dir": str(Path(tempfile.gettempdir(), "oryx-spark-warehouse")),
        # One file a task and nothing else.
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
    }
    if master.startswith("local"):
        chosen |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
        if spill is not None:
            chosen["spark.local.dir"] = str(spill)
    return chosen


def _reason(error: Exception, log_file: Path) -> str:
    """What is wrong, in one line: Java's message or, where there was no Java yet, the first line that it printed."""
    if not isinstance(error, Py4JError):
        with suppress(OSError):
            printed = log_file.read_text(errors="replace").splitlines()
            if telling := [line for line in printed if line.strip() and not line.startswith(_CHATTER)]:
                return telling[0][:300]
    lines = [line for line in str(error).splitlines() if line.startswith(":")] or str(error).splitlines()
    return lines[0].lstrip(": ")[:300] if lines else type(error).__name__
