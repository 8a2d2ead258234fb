"""What the speed layer counts."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from oryx_py.messages.blocks import Blocks, Updates
from oryx_py.ports import Record
from speed_layer.telemetry.gauges import Gauges

__all__ = ["Metrics"]

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The layer's counters, gauges and histograms, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.gauges = Gauges(registry)
        self.interactions = Counter("oryx_speed_interactions", "Input records folded", registry=registry)
        self.updates = Counter("oryx_speed_updates", "Updates sent and acknowledged", registry=registry)
        self.dead_letters = Counter(
            "oryx_speed_dead_letters", "Input records that could not be read", registry=registry
        )
        self.repeats = Counter(
            "oryx_speed_repeats", "Input records ignored for their idempotency key", registry=registry
        )
        self.lost = Counter(
            "oryx_speed_lost",
            "Input offsets passed over because neither the topic nor the history has them",
            registry=registry,
        )
        self.solve_seconds = Histogram(
            "oryx_speed_solve_seconds", "Solving one micro-batch", registry=registry, buckets=SECONDS
        )
        self._solves = Counter(
            "oryx_speed_solves", "Vectors solved, by what solved them", ["solver"], registry=registry
        )
        for solver in ("rls", "cg", "dense"):
            self._solves.labels(solver)
        self._hits = Counter("oryx_speed_cache_hits", "Users solved by rls whose system was kept", registry=registry)
        self._misses = Counter(
            "oryx_speed_cache_misses", "Users solved by rls whose system had to be built", registry=registry
        )
        self.latency_seconds = Histogram(
            "oryx_speed_latency_seconds",
            "From Kafka's time of an interaction to the acknowledgement of its updates",
            registry=registry,
            buckets=SECONDS,
        )
        self.batch_records = Histogram(
            "oryx_speed_batch_records",
            "Records in a micro-batch",
            registry=registry,
            buckets=(1, 10, 100, 1_000, 10_000),
        )
        self.last_batch = Gauge("oryx_speed_last_batch_records", "Records of the last micro-batch", registry=registry)
        self.checkpoint_pause = Histogram(
            "oryx_speed_checkpoint_pause_seconds",
            "For how long the layer stood still to take a checkpoint",
            registry=registry,
            buckets=SECONDS,
        )
        self.checkpoint_failures = Counter(
            "oryx_speed_checkpoint_failures", "Checkpoints that could not be written", registry=registry
        )
        self._checkpoint_seconds = Gauge(
            "oryx_speed_checkpoint_seconds", "How long the newest checkpoint took to write", registry=registry
        )
        self._checkpoint_bytes = Gauge(
            "oryx_speed_checkpoint_bytes", "Size of the newest checkpoint", registry=registry
        )
        self._checkpoint_time = Gauge(
            "oryx_speed_checkpoint_timestamp_seconds",
            "When the newest checkpoint was taken, since 1970: its age is time() less this",
            registry=registry,
        )

    def solved(self, solver: str, count: int) -> None:
        """Count vectors by what solved them."""
        self._solves.labels(solver).inc(count)

    def looked_up(self, hits: int, misses: int) -> None:
        """Count users to be solved by rls by whether their system was kept."""
        self._hits.inc(hits)
        self._misses.inc(misses)

    def checkpoint_written(self, size: int, created_ms: int, took_s: float) -> None:
        """Note a checkpoint that is in the store."""
        self._checkpoint_bytes.set(size)
        self._checkpoint_time.set(created_ms / 1000)
        self._checkpoint_seconds.set(took_s)

    def observe_batch(self, records: Sequence[Record], updates: Sequence[Updates], now_ms: int) -> None:
        """Count one micro-batch whose updates are acknowledged."""
        self.updates.inc(sum(len(update) if isinstance(update, Blocks) else 1 for update in updates))
        if records:
            self.interactions.inc(len(records))
            self.batch_records.observe(len(records))
            self.last_batch.set(len(records))
            self.latency_seconds.observe(max(0.0, (now_ms - records[0].timestamp_ms) / 1000))
