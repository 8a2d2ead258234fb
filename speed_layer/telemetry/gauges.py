"""How it stands with a process that has one layer, or one for each set of input partitions that it was given."""

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge

__all__ = ["Gauges", "LayerGauges"]


class Gauges:
    """The process's gauges, of what its layers say; any thread may collect them.

    The state's bytes are those of all layers, the epoch that of the layer which is behind, the lag that of the latest.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._layers: tuple[LayerGauges, ...] = ()
        Gauge(
            "oryx_speed_state_bytes",
            "Memory of the epochs followed beside the generations' files, systems kept for rls included",
            registry=registry,
        ).set_function(lambda: sum(layer.state_bytes for layer in self._layers))
        Gauge("oryx_speed_epoch", "The newest epoch followed", registry=registry).set_function(
            lambda: min((layer.epoch for layer in self._layers if layer.epoch), default=0)
        )
        Gauge(
            "oryx_speed_lag_seconds",
            "For how long the oldest record has waited that is not in acknowledged updates, 0 for none",
            registry=registry,
        ).set_function(lambda: max((layer.waits_s() for layer in self._layers), default=0.0))
        self.position = Gauge(
            "oryx_speed_position",
            "Input offset below which all is in updates that are acknowledged",
            ["partition"],
            registry=registry,
        )
        self.lag_records = Gauge(
            "oryx_speed_lag_records",
            "Input offsets between what is in acknowledged updates and the topic's end",
            ["partition"],
            registry=registry,
        )

    def layer(self) -> "LayerGauges":
        """Return what a new layer tells how it stands."""
        told = LayerGauges(self)
        self._layers = (*self._layers, told)
        return told

    def leave(self, told: "LayerGauges") -> None:
        """Count a layer no more."""
        self._layers = tuple(layer for layer in self._layers if layer is not told)

    def others_have(self, told: "LayerGauges", partition: int) -> bool:
        """Say whether an input partition is another layer's by now."""
        return any(partition in layer.partitions for layer in self._layers if layer is not told)


class LayerGauges:
    """How it stands with one layer, whose thread alone changes it.

    Attributes:
        state_bytes: of its epochs.
        epoch: the newest that it follows; 0 for none.
        waits_s: returns for how long its oldest record has waited; any thread asks.
    """

    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges
        self.state_bytes = 0
        self.epoch = 0
        self.waits_s: Callable[[], float] = lambda: 0.0
        self._announced: set[int] = set()
        self._lagging: set[int] = set()

    @property
    def partitions(self) -> set[int]:
        """Input partitions of which it says something."""
        return self._announced | self._lagging

    def announced(self, positions: Mapping[int, int]) -> None:
        """Say by input partition up to where updates are acknowledged; partitions that are another's now go."""
        self._announced = self._say(self._gauges.position, self._announced, positions)

    def lag(self, records: Mapping[int, int]) -> None:
        """Say by input partition how far the log goes on; partitions that are another's now go."""
        self._lagging = self._say(self._gauges.lag_records, self._lagging, records)

    def close(self) -> None:
        """Say nothing any more."""
        self.announced({})
        self.lag({})
        self._gauges.leave(self)

    def _say(self, gauge: Gauge, before: set[int], now: Mapping[int, int]) -> set[int]:
        for partition in before - now.keys():
            if not self._gauges.others_have(self, partition):
                gauge.remove(str(partition))
        for partition, value in now.items():
            gauge.labels(str(partition)).set(value)
        return set(now)
