"""How many interactions one process on one core folds, from topic to topic, and how exact what it sends is.

A generation of the size asked for is made once and kept; then a real broker's input topic is filled with interactions,
and a speed layer in this process, pinned to one core with Kafka's client and all, follows until ``PROGRESS`` covers
them. The broker has the other cores. ``interactions_per_cpu_s`` is the figure to compare on a machine that others use:
the CPU seconds are those of the whole process. The vectors sent last of a sample of users, the longest histories among
them, are compared with the dense float64 solve of their histories, folded here once more from the log. The pages of the
generation's files are touched before the clock runs, as they are in a process that has run for some time.

Who has done much does much: interactions are drawn by users' activity, so the histories that they come to
(``history_met``) are longer than users' histories on average. With --alike all users come equally often.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.local.broker import EmbeddedBroker
from oryx_py.runtime.telemetry import configure_logging
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from tests.bench.speed.running import Options, measure
from tests.bench.speed.world import World

EXACT = 1e-5


def on_kafka(options: Options, cache: Path, folder: Path) -> dict[str, Any]:
    """Measure from topic to topic of a real broker."""
    with EmbeddedBroker(folder / "broker", 0) as broker:
        servers = broker.bootstrap_servers
        producer = KafkaProducer(servers, {})
        try:
            return measure(
                options,
                cache,
                folder / "data",
                admin=KafkaAdmin(servers, {}),
                producer=producer,
                new_consumer=lambda group: KafkaConsumer(servers, {}, group),
            )
        finally:
            producer.close()


def in_memory(options: Options, cache: Path, folder: Path) -> dict[str, Any]:
    """Measure without a broker: what the layer itself costs, and a log that is a list."""
    log = FakeLog()
    producer = FakeProducer(log)
    try:
        return measure(
            options,
            cache,
            folder / "data",
            admin=FakeAdmin(log),
            producer=producer,
            new_consumer=lambda group: FakeConsumer(log, group),
        )
    finally:
        producer.close()


def main() -> int:
    """Run the benchmark; 0 where every vector compared is exact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--pairs", type=float, default=75.0, help="mean length of the histories (75)")
    parser.add_argument("--features", type=int, default=64)
    parser.add_argument("--interactions", type=int, default=200_000)
    parser.add_argument("--active", type=int, default=0, help="so many users have all the traffic (0: everybody)")
    parser.add_argument("--alike", action="store_true", help="all users come equally often")
    parser.add_argument(
        "--keyed", action="store_true", help="every interaction has an idempotency key, not 2 %% of them"
    )
    parser.add_argument("--batch", type=int, help="speed.max_batch_records, its default otherwise")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=300, help="users whose vectors are compared (300)")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "oryx-bench-speed")
    parser.add_argument("--set", action="append", default=[], metavar="SPEED__X=Y", help="a setting, as environment")
    parser.add_argument("--fake", action="store_true", help="topics in memory, no broker")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    configure_logging(format="json", stream=sys.stderr)
    settings = {f"ORYX__{name}": value for name, value in (pair.split("=", 1) for pair in asked.set)}
    if asked.batch:
        settings["ORYX__SPEED__MAX_BATCH_RECORDS"] = str(asked.batch)
    world = World(asked.users, asked.items, asked.pairs, asked.features, asked.seed)
    options = Options(
        world,
        asked.interactions,
        asked.sample,
        settings,
        pin=True,
        active=asked.active,
        alike=asked.alike,
        keyed=asked.keyed,
    )
    with tempfile.TemporaryDirectory(prefix="oryx-speed-") as folder:
        result = (
            in_memory(options, asked.cache, Path(folder))
            if asked.fake
            else on_kafka(options, asked.cache, Path(folder))
        )
    result |= {
        "topics": "in memory" if asked.fake else "Kafka",
        "active": asked.active,
        "alike": asked.alike,
        "keyed": asked.keyed,
        **{name: getattr(world, name) for name in ("users", "items", "pairs", "features", "seed")},
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    print(json.dumps(result) if asked.json else "\n".join(f"{name:24} {value}" for name, value in result.items()))
    return 0 if result["error_max"] <= EXACT else 1


if __name__ == "__main__":
    sys.exit(main())
