"""How far a run is, on a terminal, in the log and in metrics."""

import io
import re
import threading

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from batch_layer.telemetry.metrics import Metrics
from batch_layer.telemetry.progress import Progress
from batch_layer.telemetry.progress_display import ProgressDisplay
from batch_layer.telemetry.progress_text import left_s, line_of
from oryx_py.runtime.telemetry import configure_logging
from tests.support.ticking import Ticking


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def counted() -> CollectorRegistry:
    return CollectorRegistry()


def value(counted: CollectorRegistry, name: str, **labels: str) -> float | None:
    return counted.get_sample_value(f"oryx_batch_{name}", labels)


@given(st.floats(0.5, 1e4), st.floats(0.0, 0.9), st.floats(0.001, 0.1))
def test_at_an_even_pace_the_time_left_is_what_it_will_take(pace: float, first: float, done: float) -> None:
    """Whatever was done before anybody looked at the clock."""
    left = left_s((7.0, first), (7.0 + pace * done, first + done))
    assert left is not None
    assert left == pytest.approx(pace * (1.0 - first - done), rel=1e-6)


def test_without_any_step_forward_nobody_knows() -> None:
    assert left_s((0.0, 0.5), (100.0, 0.5)) is None


@pytest.mark.parametrize(
    ("progress", "left", "line"),
    [
        (Progress(step="solve"), None, ""),
        (Progress(step="read", rows=1_200_000), None, "1,200,000 rows"),
        (Progress(step="read", rows=1, of=2_000), 59.6, "1 of 2,000 rows, 1 min 00 s left"),
        (Progress(step="train", epoch=0, of=15), None, "epoch 0 of 15"),
        (
            Progress(step="train", epoch=3, of=15, loss=0.12345, ndcg=0.3),
            12.2,
            "epoch 3 of 15, loss 0.1235, nDCG 0.3000, 12 s left",
        ),
        (Progress(step="train", epoch=3), 7_325.0, "epoch 3, 2 h 02 min left"),
    ],
)
def test_a_line_says_what_is_known(progress: Progress, left: float | None, line: str) -> None:
    assert line_of(progress, left) == line


def test_gauges_follow_and_rest_with_what_the_last_training_came_to(counted: CollectorRegistry) -> None:
    clock = Ticking()
    shown = ProgressDisplay(Metrics(counted), clock, io.StringIO())
    with shown.live():
        shown.report(Progress(step="read", rows=500, of=1_000))
        assert value(counted, "step", step="read") == 1
        assert value(counted, "progress_rows") == 500
        shown.report(Progress(step="train", epoch=0, of=10))
        clock.sleep(6)
        shown.report(Progress(step="train", epoch=2, of=10, loss=0.5, ndcg=0.25))
        assert value(counted, "step", step="read") is None
        assert value(counted, "step", step="train") == 1
        assert value(counted, "progress_epoch") == 2
        assert value(counted, "seconds_left") == pytest.approx(24)
        shown.report(Progress(step="solve", left_s=3.0))
        assert value(counted, "seconds_left") == 3
    assert value(counted, "step", step="solve") is None
    assert value(counted, "seconds_left") == value(counted, "progress_epoch") == 0
    assert (value(counted, "loss"), value(counted, "validation_ndcg")) == (0.5, 0.25)


def test_into_a_pipe_a_step_is_an_event_and_then_one_each_ten_seconds(counted: CollectorRegistry) -> None:
    clock, stream = Ticking(), io.StringIO()
    shown = ProgressDisplay(Metrics(counted), clock, stream)
    with structlog.testing.capture_logs() as events, shown.live():
        for epoch in range(30):
            shown.report(Progress(step="train", epoch=epoch, of=30))
            clock.sleep(1)
        shown.report(Progress(step="solve"))
    assert [(event["step"], event.get("epoch")) for event in events] == [
        ("train", 0), ("train", 10), ("train", 20), ("solve", None)
    ]  # fmt: skip
    assert events[1]["seconds_left"] == 20
    assert stream.getvalue() == ""


def test_on_a_terminal_it_is_one_line_that_goes_away_and_the_log_stays_whole(counted: CollectorRegistry) -> None:
    stream = Terminal()
    configure_logging("info", "console", stream=stream, environ={"NO_COLOR": "1"})
    try:
        shown = ProgressDisplay(Metrics(counted), Ticking(), stream)
        with shown.live():
            shown.report(Progress(step="train", epoch=3, of=15, loss=0.12))
            structlog.get_logger("batch").info("history_committed", rows=5)
            shown.report(Progress(step="train", epoch=4, of=15, loss=0.11))
        structlog.get_logger("batch").info("run_finished")
    finally:
        configure_logging()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "epoch 4 of 15, loss 0.11" in plain
    lines = [line for line in plain.splitlines() if "history_committed" in line or "run_finished" in line]
    assert [re.sub(r"^.*?\d\d:\d\d:\d\d ", "", line).split()[2] for line in lines] == [
        "history_committed", "run_finished"
    ]  # fmt: skip
    assert plain.rstrip("\n").splitlines()[-1].endswith("run_finished") or "run_finished" in plain.splitlines()[-1]


def test_reports_may_come_from_any_thread(counted: CollectorRegistry) -> None:
    shown = ProgressDisplay(Metrics(counted), Ticking(), Terminal())
    with shown.live():
        threads = [
            threading.Thread(target=lambda: [shown.report(Progress(step="train", epoch=n, of=50)) for n in range(50)])
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert value(counted, "progress_epoch") == 0
