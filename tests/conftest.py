"""Fixtures that several kinds of tests share."""

import io
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import structlog
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from oryx_py.local.broker import EmbeddedBroker
from oryx_py.local.hdfs import EmbeddedHdfs
from oryx_py.runtime.telemetry import configure_logging

# The examples are those of the last run until a test changes, so that a run speaks of the change alone; and how long
# one takes is the machine's business. `pytest --hypothesis-profile=explore` draws others.
for _profile, _same in (("oryx", True), ("explore", False)):
    hypothesis_settings.register_profile(
        _profile, derandomize=_same, deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
hypothesis_settings.load_profile("oryx")

# Spark's work is small here, and half of its Java's time would go into compiling well what then runs once: a start
# takes 8 s of CPU with these, 15 s without.
QUICK_JAVA = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
for _name in ("SPARK_SUBMIT_OPTS", "SPARK_LAUNCHER_OPTS", "SPARK_DAEMON_JAVA_OPTS"):
    os.environ.setdefault(_name, QUICK_JAVA)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Undo what a test sets of logging: a command that runs in the test's process sets it for the whole process."""
    root = logging.getLogger()
    handlers, level, configured = list(root.handlers), root.level, structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.configure(**configured)


ENDING = ("lease", "signals", "follow-", "load", "look")
"""What threads of ours are called that end with what they are for; those of servers that a module shares are others."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Fail the test that leaves one to all later ones of the process, which it might disturb."""
    before = set(threading.enumerate())
    yield
    left = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith(ENDING)]
    for thread in left:
        thread.join(10)
    assert not [thread.name for thread in left if thread.is_alive()]


@pytest.fixture
def logged(logging_as_before: None) -> io.StringIO:
    """What is logged during the test, one JSON object a line."""
    stream = io.StringIO()
    configure_logging(format="json", stream=stream)
    return stream


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A real broker, one for each test process; give every test topics of its own names."""
    broker = EmbeddedBroker(tmp_path_factory.mktemp("kafka") / "broker", port=0)
    try:
        broker.start(timeout_s=120)
        yield broker
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedHdfs]:
    """A real NameNode and DataNode, one pair for each test process; give every test a folder of its own."""
    servers = EmbeddedHdfs(tmp_path_factory.mktemp("hdfs"), 0, 0)
    try:
        servers.start(timeout_s=180)
        yield servers
    finally:
        servers.stop()


@pytest.fixture
def eventually() -> Callable[..., None]:
    """Wait until a condition holds; fail if it does not within ``timeout_s``."""

    def wait(condition: Callable[[], object], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"did not come true within {timeout_s:.0f} s"
            time.sleep(0.01)

    return wait


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name bytes by their length: two workers may compress the same text in different seconds, and their tests must
    have the same names."""
    if isinstance(val, bytes) and not val.isascii():
        return f"{len(val)}B"
    return None
