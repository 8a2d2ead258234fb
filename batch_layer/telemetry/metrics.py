"""What the batch layer counts."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from batch_layer.telemetry.progress import Progress

__all__ = ["Metrics"]


class Metrics:
    """The layer's counters and gauges, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = Counter("oryx_batch_rows", "Input records taken into the history", registry=registry)
        self._rejected = Counter("oryx_batch_rejected", "Input records that could not be read", registry=registry)
        self._seconds = Histogram(
            "oryx_batch_generation_seconds",
            "From the start of a run to its epoch",
            registry=registry,
            buckets=(5, 10, 20, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200),
        )
        self._last = Gauge(
            "oryx_batch_last_generation_timestamp_seconds", "When the last epoch began", registry=registry
        )
        self._epoch = Gauge("oryx_batch_epoch", "The newest epoch", registry=registry)
        self._repeats = Gauge(
            "oryx_batch_repeats",
            "Records of the history that the last generation ignored for their idempotency key",
            registry=registry,
        )
        self._trimmed = Counter(
            "oryx_batch_trimmed", "Offsets of a topic whose records were deleted", ["topic"], registry=registry
        )
        self._step = Gauge("oryx_batch_step", "1 at what the run is doing now", ["step"], registry=registry)
        self._progress_rows = Gauge("oryx_batch_progress_rows", "Rows handled by the step so far", registry=registry)
        self._progress_epoch = Gauge("oryx_batch_progress_epoch", "Sweeps of the trainer done", registry=registry)
        self._loss = Gauge("oryx_batch_loss", "Of the training, after its newest sweep", registry=registry)
        self._ndcg = Gauge("oryx_batch_validation_ndcg", "Of the newest validation, 0 to 1", registry=registry)
        self._left = Gauge("oryx_batch_seconds_left", "Of the present step; 0: not known, or none", registry=registry)
        self._evaluation = Gauge(
            "oryx_batch_evaluation",
            "How well the last generation foresaw the newest interactions, trained without them; and a baseline",
            ["of", "metric"],
            registry=registry,
        )
        self._failures = Counter("oryx_batch_failures", "Runs that failed and are tried again", registry=registry)
        self._run_seconds = Gauge("oryx_batch_last_run_seconds", "What the last run took", registry=registry)
        self._run_ended = Gauge("oryx_batch_last_run_timestamp_seconds", "When the last run ended", registry=registry)
        self._run_next = Gauge(
            "oryx_batch_next_run_timestamp_seconds", "When the run after the last is due", registry=registry
        )

    def rows(self, rows: int, rejected: int) -> None:
        """Count what one commit of the history took in."""
        self._rows.inc(rows)
        self._rejected.inc(rejected)

    def trained(self, *, repeats: int, evaluation: Mapping[str, Any]) -> None:
        """Say how many records of the history a training ignored, and how it was evaluated: of whom, by metric."""
        self._repeats.set(repeats)
        self._evaluation.clear()
        for of, figures in evaluation.items():
            if isinstance(figures, Mapping):
                for metric, value in figures.items():
                    self._evaluation.labels(of, metric).set(value)

    def generation(self, *, seconds: float) -> None:
        """Count one generation made live."""
        self._seconds.observe(seconds)

    def epoch(self, number: int, began_ms: int) -> None:
        """Say which epoch is the newest, and since when."""
        self._epoch.set(number)
        self._last.set(began_ms / 1000)

    def trimmed(self, topic: str, offsets: int) -> None:
        """Count what was trimmed."""
        self._trimmed.labels(topic).inc(offsets)

    def progress(self, progress: Progress, left_s: float | None) -> None:
        """Say how far the run is, and how many seconds the step will still take where that is known."""
        self._step.clear()
        self._step.labels(progress.step).set(1)
        self._left.set(left_s or 0)
        self._progress_rows.set(progress.rows or 0)
        self._progress_epoch.set(progress.epoch or 0)
        if progress.loss is not None:
            self._loss.set(progress.loss)
        if progress.ndcg is not None:
            self._ndcg.set(progress.ndcg)

    def at_rest(self) -> None:
        """Say that nothing is being done; what the last training came to stays."""
        self._step.clear()
        self._left.set(0)
        self._progress_rows.set(0)
        self._progress_epoch.set(0)

    def run_ended(self, *, now_ms: int, seconds: float, next_in_s: float) -> None:
        """Say when a run ended, what it took, and when the next one is due."""
        self._run_seconds.set(seconds)
        self._run_ended.set(now_ms / 1000)
        self._run_next.set(now_ms / 1000 + next_in_s)

    def failure(self) -> None:
        """Count a run that failed."""
        self._failures.inc()
