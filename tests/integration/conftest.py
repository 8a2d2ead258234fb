"""Fixtures of the tests against real servers."""

from collections.abc import Iterator

import pytest
from pyspark.sql import SparkSession

from batch_layer.spark.session.opening import close_session, open_session


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """One Spark on two cores, started as the batch layer starts it; its JVM is gone afterwards."""
    session = open_session("local[2]", {"spark.driver.memory": "1g"}, tmp_path_factory.mktemp("spark") / "spark.log")
    jvm = session.sparkContext._gateway.proc  # type: ignore[union-attr]
    try:
        yield session
    finally:
        close_session(session)
    assert jvm.poll() is not None
