"""What the serving layer counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Metrics"]

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

VISIBLE_SECONDS = (
    *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)


class Metrics:
    """The layer's counters, gauges and histograms, in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.request_seconds = Histogram(
            "oryx_serving_request_seconds",
            "Requests by route template",
            ("route", "method", "status"),
            registry=registry,
            buckets=SECONDS,
        )
        self.requests_running = Gauge(
            "oryx_serving_requests_running",
            "Requests being answered, but for reads that wait for after=",
            registry=registry,
        )
        self.answers_broken_off = Counter(
            "oryx_serving_answers_broken_off",
            "Answers that had begun, with their status, and did not come to their end",
            ("reason",),
            registry=registry,
        )
        for reason in ("error", "client"):
            self.answers_broken_off.labels(reason)
        self.log_lines_dropped = Counter(
            "oryx_serving_log_lines_dropped", "Requests missing from the log, as nobody reads it", registry=registry
        )
        self.rescorers_running = Gauge(
            "oryx_serving_rescorers_running", "Calls of rescorer plug-ins that have not come back", registry=registry
        )
        self.interactions = Counter("oryx_serving_interactions", "Interactions stored", registry=registry)
        self.updates = Counter("oryx_serving_updates", "Update messages applied", registry=registry)
        self._visible_seconds = Histogram(
            "oryx_serving_event_to_visible_seconds",
            "From Kafka's time of an interaction to its effect in the model served",
            registry=registry,
            buckets=VISIBLE_SECONDS,
        )
        self._from_the_future = Counter(
            "oryx_serving_event_to_visible_negative",
            "Of these, counted as 0: by this host's clock the interaction is yet to come",
            registry=registry,
        )
        self.bad_messages = Counter(
            "oryx_serving_bad_messages", "Update messages that could not be read or applied", registry=registry
        )
        self.refused_generations = Counter(
            "oryx_serving_refused_generations", "Attempts to load a generation that failed", registry=registry
        )
        self.swaps = Counter("oryx_serving_swaps", "Changes of the epoch served", registry=registry)
        self.epoch = Gauge("oryx_serving_epoch", "The epoch served, 0 for none", registry=registry)
        self.ready = Gauge("oryx_serving_ready", "1 when ready", registry=registry)
        self.users = Gauge("oryx_serving_users", "Users of the model served", registry=registry)
        self.items = Gauge("oryx_serving_items", "Items of the model served", registry=registry)

    def visible(self, at_ms: int, now_ms: int) -> None:
        """Count an interaction of this Kafka timestamp as visible now."""
        if now_ms < at_ms:
            self._from_the_future.inc()
        self._visible_seconds.observe(max(0, now_ms - at_ms) / 1000)
