"""What the serving layer counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Metrics"]

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


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
        self.requests_running = Gauge("oryx_serving_requests_running", "Requests being answered", registry=registry)
        self.interactions = Counter("oryx_serving_interactions", "Interactions stored", registry=registry)
        self.updates = Counter("oryx_serving_updates", "Update messages applied", registry=registry)
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
