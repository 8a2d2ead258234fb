"""Gauges of a process that has several layers: what one says does not hide the others."""

from prometheus_client import CollectorRegistry

from speed_layer.telemetry.gauges import Gauges


def partitions(registry: CollectorRegistry, name: str) -> dict[str, float]:
    """By partition, what a gauge says."""
    return {
        sample.labels["partition"]: sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name == name
    }


def test_each_layer_says_its_own_partitions_and_together_they_are_the_process() -> None:
    registry = CollectorRegistry()
    gauges = Gauges(registry)
    one, two = gauges.layer(), gauges.layer()
    one.announced({0: 5, 1: 7})
    two.announced({2: 9})
    one.announced({0: 6, 1: 7})
    one.lag({0: 1, 1: 0})
    two.lag({2: 4})
    assert partitions(registry, "oryx_speed_position") == {"0": 6, "1": 7, "2": 9}
    assert partitions(registry, "oryx_speed_lag_records") == {"0": 1, "1": 0, "2": 4}
    one.state_bytes, two.state_bytes = 10, 5
    one.epoch, two.epoch = 3, 2
    one.waits_s, two.waits_s = (lambda: 0.5), (lambda: 2.0)
    said = [registry.get_sample_value(f"oryx_speed_{what}") for what in ("state_bytes", "epoch", "lag_seconds")]
    assert said == [15, 2, 2.0]


def test_a_partition_that_moves_to_another_layer_stays() -> None:
    """And goes with the last one that says something of it."""
    registry = CollectorRegistry()
    gauges = Gauges(registry)
    one, two = gauges.layer(), gauges.layer()
    one.announced({0: 5, 1: 7})
    two.announced({1: 8})
    one.close()
    assert partitions(registry, "oryx_speed_position") == {"1": 8}
    two.close()
    assert partitions(registry, "oryx_speed_position") == {}
    assert registry.get_sample_value("oryx_speed_epoch") == 0
