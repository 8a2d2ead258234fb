"""Fixtures that several kinds of tests share."""

from collections.abc import Iterator

import pytest

from oryx_py.local.broker import EmbeddedBroker


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBroker]:
    """A real broker, one for each test process; give every test topics of its own names."""
    broker = EmbeddedBroker(tmp_path_factory.mktemp("kafka") / "broker", port=0)
    try:
        broker.start(timeout_s=120)
        yield broker
    finally:
        broker.stop()
