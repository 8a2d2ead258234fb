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

__all__ = ["close_session", "is_alive", "open_session"]

_ARROW_ROWS = 65_536
"""Rows of a batch that goes between the JVM and Python: large enough that NumPy's work outweighs the call's."""

_EXIT_S = 10.0


def open_session(master: str, properties: Mapping[str, str], log_file: Path) -> SparkSession:
    """Start Spark; the JVM's own output goes to a file, so that the terminal keeps to this project's log.

    Args:
        master: Spark's master URL.
        properties: Spark's own, which win over the ones chosen here.
        log_file: overwritten.

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
    conf = SparkConf(loadDefaults=False)
    for key, value in {**_defaults(master), **properties}.items():
        conf.set(key, value)
    if SparkContext._active_spark_context is None:
        _end_jvm()  # of a session before, with other properties
    log_file.parent.mkdir(parents=True, exist_ok=True)
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        with log_file.open("wb") as output:
            gateway = launch_gateway(conf, {"stdout": output, "stderr": output})  # type: ignore[no-untyped-call]
        context = SparkContext(conf=conf, gateway=gateway)
    except (PySparkException, Py4JError, OSError) as error:
        raise UserError(f"Spark did not start: {_last_words(log_file) or error} (see {log_file})") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, on_interrupt)  # Spark has put its own there
    return SparkSession(context)


def close_session(spark: SparkSession) -> None:
    """Stop Spark and its JVM, also one that has died; another session can be opened afterwards."""
    with suppress(PySparkException, Py4JError, OSError):
        spark.stop()
    _end_jvm()


def is_alive(spark: SparkSession) -> bool:
    """Say whether the JVM still answers."""
    try:
        return not spark.sparkContext._jsc.sc().isStopped()
    except (PySparkException, Py4JError, OSError):
        return False


def _end_jvm() -> None:
    """End the JVM of a session that is stopped; PySpark would keep it until this process ends, and take it again."""
    gateway: Any = SparkContext._gateway
    if gateway is None:
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


def _defaults(master: str) -> dict[str, str]:
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
    return chosen


def _last_words(log_file: Path) -> str:
    """The line of the JVM's output that says what is wrong, as far as one can tell."""
    with suppress(OSError):
        lines = [line.strip() for line in log_file.read_text(errors="replace").splitlines() if line.strip()]
        telling = [line for line in lines if "Exception" in line or "Error" in line or "ERROR" in line]
        return (telling or lines or [""])[0][:300]
    return ""
