"""Runs at an interval, with patience for what passes."""

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from batch_layer.engine import Cancelled
from batch_layer.run.schedule import patiently, repeat
from batch_layer.run.steps import Outcome
from batch_layer.telemetry.metrics import Metrics
from oryx_py.errors import BrokerUnavailable, LogGap, NoRoom, UserError


class Time:
    """A clock whose time passes by waiting alone; asked to stop after so many seconds."""

    def __init__(self, stop_at: float = 1e9) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._stop_at = stop_at

    def now_ms(self) -> int:
        return int(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wait(self, seconds: float) -> bool:
        if seconds:
            self.waits.append(seconds)
            self.now += seconds
        return self.now >= self._stop_at


class Runs:
    """Runs that take some seconds each and end as told, then well."""

    def __init__(self, time: Time, *ends: type[BaseException], seconds: float = 0.0) -> None:
        self.began: list[float] = []
        self.forced: list[bool] = []
        self._time, self._ends, self._seconds = time, list(ends), seconds

    def __call__(self) -> Outcome:
        self.began.append(self._time.now)
        self._time.sleep(self._seconds)
        if self._ends:
            raise self._ends.pop(0)("told so")
        return Outcome.PUBLISHED

    def told(self, force: bool) -> Outcome:
        self.forced.append(force)
        return self()


@pytest.fixture
def counted() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(counted: CollectorRegistry) -> Metrics:
    return Metrics(counted)


def test_runs_begin_an_interval_apart(metrics: Metrics) -> None:
    time = Time(stop_at=250)
    runs = Runs(time, seconds=30)
    repeat(runs.told, force=False, interval_s=100, clock=time, wait=time.wait, metrics=metrics)
    assert runs.began == [0, 100, 200]


def test_a_run_longer_than_the_interval_is_followed_at_once(metrics: Metrics) -> None:
    time = Time(stop_at=250)
    runs = Runs(time, seconds=150)
    repeat(runs.told, force=False, interval_s=100, clock=time, wait=time.wait, metrics=metrics)
    assert runs.began == [0, 150]


def test_when_the_last_run_ended_and_the_next_begins_is_told(metrics: Metrics, counted: CollectorRegistry) -> None:
    time = Time(stop_at=200)
    repeat(Runs(time, seconds=30).told, force=False, interval_s=100, clock=time, wait=time.wait, metrics=metrics)
    names = ("seconds", "timestamp_seconds")
    assert [counted.get_sample_value(f"oryx_batch_last_run_{name}") for name in names] == [30, 130]
    assert counted.get_sample_value("oryx_batch_next_run_timestamp_seconds") == 200


def test_what_passes_is_tried_again_after_growing_pauses(metrics: Metrics, counted: CollectorRegistry) -> None:
    time = Time()
    runs = Runs(time, *[BrokerUnavailable] * 8)
    assert patiently(runs, wait=time.wait, metrics=metrics) is Outcome.PUBLISHED
    assert time.waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert counted.get_sample_value("oryx_batch_failures_total") == 8


def test_attempts_may_be_counted(metrics: Metrics) -> None:
    time = Time()
    with pytest.raises(BrokerUnavailable):
        patiently(Runs(time, *[BrokerUnavailable] * 9), wait=time.wait, metrics=metrics, attempts=3)
    assert time.waits == [1, 2]


def test_what_somebody_has_to_act_upon_ends_it(metrics: Metrics) -> None:
    time = Time()
    with pytest.raises(LogGap):
        repeat(Runs(time, LogGap).told, force=False, interval_s=1, clock=time, wait=time.wait, metrics=metrics)


def test_without_room_for_now_the_next_interval_tries_again_and_the_user_is_told_in_one_line(
    metrics: Metrics, counted: CollectorRegistry
) -> None:
    time = Time(stop_at=450)
    runs = Runs(time, NoRoom, NoRoom, seconds=30)
    with capture_logs() as told:
        repeat(runs.told, force=True, interval_s=100, clock=time, wait=time.wait, metrics=metrics)
    assert runs.began == [0, 100, 200, 300, 400]
    assert runs.forced == [True, True, True, False, False]
    assert counted.get_sample_value("oryx_batch_failures_total") == 2
    failed = [line for line in told if line["event"] == "run_failed"]
    assert [(line["reason"], line["again_in_s"]) for line in failed] == [("told so", 70), ("told so", 70)]


def test_a_run_without_room_that_is_longer_than_the_interval_is_not_followed_at_once(metrics: Metrics) -> None:
    time = Time(stop_at=160)
    repeat(
        Runs(time, NoRoom, NoRoom, seconds=50).told,
        force=False,
        interval_s=10,
        clock=time,
        wait=time.wait,
        metrics=metrics,
    )
    assert time.waits == [1, 1]


@pytest.mark.parametrize("wrong", [NoRoom, UserError], ids=["no-room", "wrong-settings"])
def test_a_single_run_ends_with_what_is_wrong(metrics: Metrics, wrong: type[UserError]) -> None:
    time = Time()
    with pytest.raises(wrong):
        patiently(Runs(time, wrong), wait=time.wait, metrics=metrics, attempts=4)
    assert time.waits == []


def test_a_stop_ends_a_run_a_pause_and_the_interval(metrics: Metrics) -> None:
    stopped = Time(stop_at=0)
    runs = Runs(stopped)
    assert patiently(runs, wait=stopped.wait, metrics=metrics) is None
    assert runs.began == []
    assert patiently(Runs(Time(), Cancelled), wait=Time().wait, metrics=metrics) is None
    pausing = Time(stop_at=2)
    assert patiently(Runs(pausing, *[BrokerUnavailable] * 9), wait=pausing.wait, metrics=metrics) is None
    assert pausing.waits == [1, 2]


def test_only_the_first_run_that_ends_is_forced(metrics: Metrics) -> None:
    time = Time(stop_at=250)
    runs = Runs(time, BrokerUnavailable, BrokerUnavailable, seconds=30)
    repeat(runs.told, force=True, interval_s=100, clock=time, wait=time.wait, metrics=metrics)
    assert runs.forced == [True, True, True, False, False]
