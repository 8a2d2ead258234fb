"""Reading the input topic in Spark: this project's tasks beside Spark's own Kafka connector.

Both end at the same place: parsed rows in Parquet files. The connector brings keys, values and headers as columns, and
its rows are parsed by the same parser in ``mapInArrow``. Each is run several times, in turn, after a short warm-up; a
run fails where the rows differ. Spark fetches the connector's jars from Maven Central, in the newest version whose own
dependencies are there.

    python -m tests.bench.topic_reads --records 1M --json
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own idiom
from pyspark.sql.pandas.types import from_arrow_schema

from batch_layer.folding.input_rows import READ_SCHEMA, Slice
from batch_layer.spark.rows.topic_reader import Source, read_frame
from batch_layer.spark.session.opening import close_session, open_session
from oryx_py.adapters.kafka import KafkaAdmin, KafkaProducer
from oryx_py.errors import BadInteraction
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.messages import partition_of
from oryx_py.messages.inbound import read_input
from oryx_py.planning.quantities import count_of
from oryx_py.ports import TopicSpec

TOPIC = "reads"
PARTITIONS = 4
PACKAGE = "org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.0"
SLICE = 500_000


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=count_of, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oryx-reads-") as name:
        found = measure(options, Path(name))
    print(json.dumps(found) if options.json else _table(found))
    return 0


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Fill a topic, and read it by both ways in turn."""
    broker = EmbeddedBroker(folder / "broker", port=0)
    broker.start(timeout_s=120)
    try:
        ends = fill(broker.bootstrap_servers, options.records)
        properties = {"spark.jars.packages": PACKAGE, "spark.jars.ivy": str(folder / "ivy")}
        spark = open_session("local[2]", properties, folder / "spark.log")
        try:
            ways: dict[str, Callable[[str], None]] = {
                "tasks": lambda into: by_tasks(spark, broker.bootstrap_servers, ends, into),
                "connector": lambda into: by_connector(spark, broker.bootstrap_servers, ends, into),
            }
            return compared(ways, options, folder)
        finally:
            close_session(spark)
    finally:
        broker.stop()


def fill(bootstrap: str, records: int) -> dict[int, int]:
    """Write so many interactions, each to its user's partition; return the end offsets."""
    admin = KafkaAdmin(bootstrap, {})
    admin.create(TopicSpec(TOPIC, PARTITIONS, 1, {}))
    producer = KafkaProducer(bootstrap, {})
    users = np.random.default_rng(0).integers(0, max(1, records // 20), records).tolist()
    for number, drawn in enumerate(users):
        user = f"u{drawn}"
        value = f"{user},i{number * 7919 % 50_021},2.5,{1_700_000_000_000 + number}".encode()
        producer.send(TOPIC, value, key=user.encode(), partition=partition_of(user, PARTITIONS))
    producer.flush(600)
    producer.close()
    return admin.end_offsets(TOPIC)


def by_tasks(spark: SparkSession, bootstrap: str, ends: dict[int, int], into: str) -> None:
    """Read with this project's tasks."""
    slices = [Slice(p, at, min(at + SLICE, end)) for p, end in ends.items() for at in range(0, end, SLICE)]
    frame = read_frame(spark, Source(TOPIC, bootstrap, {}), slices, PARTITIONS, len(slices))
    frame.write.parquet(into)


def by_connector(spark: SparkSession, bootstrap: str, ends: dict[int, int], into: str) -> None:
    """Read with Spark's connector, and parse what it brings."""
    until = json.dumps({TOPIC: {str(partition): end for partition, end in ends.items()}})
    columns = ["partition", "offset", F.unix_millis("timestamp").alias("ms"), "value"]
    read = spark.read.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", TOPIC)
    frame = read.option("startingOffsets", "earliest").option("endingOffsets", until).load().select(*columns)
    frame.mapInArrow(parsed, from_arrow_schema(READ_SCHEMA)).write.parquet(into)


def parsed(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The task behind the connector: the same parser as everywhere."""
    for batch in batches:
        rows = [row_of(*record) for record in zip(*(column.to_pylist() for column in batch.columns), strict=True)]
        columns = zip(*rows, strict=True)
        arrays = [pa.array(list(column), kind.type) for column, kind in zip(columns, READ_SCHEMA, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=READ_SCHEMA)


def row_of(partition: int, offset: int, ms: int, value: bytes | None) -> tuple[Any, ...]:
    """One row of `READ_SCHEMA`."""
    try:
        told = read_input(value, partition, PARTITIONS)
    except BadInteraction:
        return (partition, offset, ms, None, "", "", None, None, None, True)
    return (partition, offset, ms, None, told.user, told.item, told.strength, told.timestamp_ms, told.kind, False)


def compared(ways: dict[str, Callable[[str], None]], options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the ways in turn; the first round is warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(options.rounds + 1):
        for name, way in ways.items():
            into = folder / f"{name}-{round_}"
            before, began = _cpu(), time.perf_counter()
            way(str(into))
            seconds[name].append(time.perf_counter() - began)
            cpu[name].append(_cpu() - before)
            print(f"{name}: {seconds[name][-1]:.2f} s", file=sys.stderr)
        if _rows(folder / f"tasks-{round_}") != _rows(folder / f"connector-{round_}"):
            raise SystemExit("the two ways read different rows")
    return {
        "records": options.records,
        **{
            name: {
                "seconds": [round(value, 2) for value in seconds[name][1:]],
                "cpu_s": [round(value, 2) for value in cpu[name][1:]],
                "records_per_s": round(options.records / statistics.median(seconds[name][1:])),
            }
            for name in ways
        },
        "ratio_of_medians": round(
            statistics.median(seconds["connector"][1:]) / statistics.median(seconds["tasks"][1:]), 2
        ),
    }


def _cpu() -> float:
    me = psutil.Process()
    return sum(sum(process.cpu_times()[:2]) for process in (me, *me.children(recursive=True)))


def _rows(folder: Path) -> pa.Table:
    table = pq.read_table(folder)
    return table.sort_by([("partition", "ascending"), ("offset", "ascending")])


def _table(found: dict[str, Any]) -> str:
    lines = [f"{found['records']:,} records, seconds of each run after one to warm up"]
    for name in ("tasks", "connector"):
        lines.append(f"{name:>10}  {found[name]['seconds']}  {found[name]['records_per_s']:,}/s")
    return "\n".join([*lines, f"the connector takes {found['ratio_of_medians']} times as long"])


if __name__ == "__main__":
    sys.exit(main())
