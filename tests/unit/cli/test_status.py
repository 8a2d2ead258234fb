"""`oryx status`: what is found out, what is made of it, how it ends."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from typer.testing import CliRunner, Result

from batch_layer.telemetry.metrics import Metrics as BatchMetrics
from batch_layer.telemetry.progress import Progress
from oryx_py.cli.main import app
from oryx_py.cli.status.asking_all import Heard, NoAnswerInTime, Outcome, ask_all, hear
from oryx_py.cli.status.composing import Facts, Process, composed
from oryx_py.cli.status.report import Batch, Report, Serving, Speed, Topic
from oryx_py.cli.status.scrape import Buckets, Scrape
from oryx_py.cli.status.showing import layer_rows, model_line
from oryx_py.errors import BrokerUnavailable, Transient
from oryx_py.model.epochs.registry import EpochStarted, GenerationState, Registry
from oryx_py.model.history.commits import History
from serving_layer.metrics import Metrics as ServingMetrics
from speed_layer.telemetry.metrics import Metrics as SpeedMetrics
from tests.unit.cli.scripted_service import Asked, Reply, scripted

READY = {"ready": True, "waiting_for": []}
NOW = 1_000_000.0
INPUT = Topic(topic="OryxInput", what="input", start={0: 0, 1: 5}, end={0: 100, 1: 50})
LETTERS = Topic(topic="OryxInput.dead-letter", what="dead letters", start={0: 2}, end={0: 5})


def scraped(registry: CollectorRegistry) -> Scrape:
    return Scrape(generate_latest(registry).decode())


def heard(
    registry: CollectorRegistry, document: dict[str, object] = READY, *, ready: bool = True, at: float = 1.0
) -> Outcome[Heard]:
    return Outcome(Heard(ready, document, scraped(registry), at))


def facts(*processes: Process, **more: object) -> Facts:
    topics = more.pop("topics", (INPUT, LETTERS))
    return Facts(at=NOW, processes=processes, topics=topics, **more)  # type: ignore[arg-type]


BOUNDS = [0.5, 1.0, 2.0, 4.0]


@given(st.lists(st.floats(0, 10), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], q: float) -> None:
    """The oracle is the sorted list; within its bucket anything may be said, above all bounds the last one."""
    registry = CollectorRegistry()
    histogram = Histogram("h", "", ("route",), registry=registry, buckets=BOUNDS)
    for number, value in enumerate(values):
        histogram.labels(str(number % 3)).observe(value)
    found = scraped(registry).buckets("h").quantile(q)
    true = sorted(values)[max(0, int(np.ceil(q * len(values) - 1e-9)) - 1)]
    upper = next((bound for bound in BOUNDS if true <= bound), BOUNDS[-1])
    lower = max([0.0, *(bound for bound in BOUNDS if bound < true)])
    assert found is not None
    assert lower <= found <= upper


def test_only_what_came_since_counts_and_a_restart_begins_anew() -> None:
    before, now = Buckets({1.0: 10, float("inf"): 10}), Buckets({1.0: 10, float("inf"): 14})
    assert now.since(before) == Buckets({1.0: 0, float("inf"): 4})
    assert before.since(now) == before
    assert Buckets({}).quantile(0.5) is None
    assert Buckets({1.0: 0, float("inf"): 0}).quantile(0.5) is None


def test_the_speed_layers_own_metrics_are_understood() -> None:
    """Made by the layer's own class, so that no name can drift apart."""
    registry = CollectorRegistry()
    metrics = SpeedMetrics(registry)
    told = metrics.gauges.layer()
    told.epoch = 2
    told.announced({0: 90, 1: 50, 2: 7})
    told.announced({0: 97, 1: 50})
    metrics.interactions.inc(10)
    before = heard(registry, at=1.0)
    metrics.interactions.inc(30)
    metrics.last_batch.set(12)
    metrics.checkpoint_written(1_000, int((NOW - 30) * 1000), 0.5)
    metrics.solve_seconds.observe(0.002)
    told.lag({0: 5, 1: 7})
    told.waits_s = lambda: 1.5
    process = Process("speed", "h:1", before, heard(registry, at=3.0))
    report = composed(facts(process, oldest_ms={(0, 97): int((NOW - 4) * 1000)}))
    (layer,) = report.layers
    assert (layer.state, layer.epoch, layer.position) == ("ready", 2, {0: 97, 1: 50})
    assert (layer.behind, layer.behind_s) == (3, 4.0)
    assert isinstance(layer.figures, Speed)
    assert (layer.figures.records_per_s, layer.figures.last_batch) == (15.0, 12)
    assert layer.figures.checkpoint_at == NOW - 30
    assert (layer.figures.lag_records, layer.figures.lag_s) == (12, 1.5)
    (alone,) = composed(facts(process, topics=())).layers
    assert (alone.behind, alone.behind_s) == (12, 1.5), "where Kafka does not answer, what the layer says itself"
    assert 0.001 <= (layer.figures.solve_p50_s or 0) <= 0.0025
    assert layer.figures.lost == 0
    assert "lost" not in str(layer_rows(report)), "what never happens takes no room"
    assert report.ready
    assert report.dead_letters == 3


def test_input_that_was_passed_over_is_shown() -> None:
    registry = CollectorRegistry()
    SpeedMetrics(registry).lost.inc(1_234)
    (row,) = layer_rows(composed(facts(Process("speed", "h:1", now=heard(registry)))))
    assert "1,234 offsets lost" in row[-1]


def test_the_serving_layers_own_metrics_are_understood() -> None:
    """Requests of the last second count, those of probes never; without any, times are those since the start."""
    registry = CollectorRegistry()
    metrics = ServingMetrics(registry)
    seconds = metrics.request_seconds.labels
    seconds("/recommend/{user}", "GET", "200").observe(0.2)
    document = {**READY, "generation": "g", "epoch": 1, "input": {"0": 100, "1": 50}}
    before = heard(registry, document, at=0.0)
    assert (figures := composed(facts(Process("serving", "h:1", before, before))).layers[0].figures)
    assert isinstance(figures, Serving)
    assert 0.1 <= (figures.p50_s or 0) <= 0.25
    for _ in range(4):
        seconds("/recommend/{user}", "GET", "200").observe(0.004)
        seconds("/metrics", "GET", "200").observe(9.0)
    (layer,) = composed(facts(Process("serving", "h:1", before, heard(registry, document, at=2.0)))).layers
    assert (layer.generation, layer.behind, layer.behind_s) == ("g", 0, 0.0)
    assert isinstance(layer.figures, Serving)
    assert layer.figures.requests_per_s == 2.0
    assert (layer.figures.p99_s or 1) <= 0.005


def test_the_batch_layers_own_metrics_are_understood() -> None:
    registry = CollectorRegistry()
    metrics = BatchMetrics(registry)
    metrics.run_ended(now_ms=int((NOW - 60) * 1000), seconds=12.5, next_in_s=300)
    metrics.progress(Progress(step="train"), 33.0)
    metrics.failure()
    history = History(offsets={0: 100, 1: 40})
    process = Process("batch", "h:1", now=heard(registry))
    (layer,) = composed(facts(process, history=history, oldest_ms={(1, 40): int((NOW - 90) * 1000)})).layers
    assert (layer.behind, layer.behind_s) == (10, 90.0)
    expected = Batch(
        step="train", left_s=33.0, last_run_at=NOW - 60, last_run_s=12.5, next_run_at=NOW + 240, failures=1
    )
    assert layer.figures == expected
    metrics.at_rest()
    (layer,) = composed(facts(Process("batch", "h:1", now=heard(registry)))).layers
    assert isinstance(layer.figures, Batch)
    assert layer.figures.step is None


def test_who_waits_who_is_silent_and_who_cannot_be_found_is_told_apart_and_none_is_ready() -> None:
    registry = CollectorRegistry()
    SpeedMetrics(registry)
    waits = {"ready": False, "waiting_for": ["epoch 2: replaying"]}
    report = composed(
        facts(
            Process("batch", ""),
            Process("speed", "h:1", now=heard(registry, waits, ready=False)),
            Process("speed", "h:2", now=Outcome(error=ConnectionRefusedError(111, "Connection refused"))),
            Process("serving", "h:3", now=heard(registry, {"detail": "Kafka does not answer"}, ready=False)),
        )
    )
    assert [layer.state for layer in report.layers] == ["unknown", "waiting", "silent", "waiting"]
    assert report.layers[1].waiting_for == ("epoch 2: replaying",)
    assert report.layers[2].reason == "Connection refused"
    assert report.layers[3].waiting_for == ("Kafka does not answer",)
    assert not report.ready
    assert not composed(facts(troubles=("Kafka: away",))).ready


def test_the_newest_generation_is_named_and_its_epochs_generation_where_a_layer_names_none() -> None:
    registry = CollectorRegistry()
    SpeedMetrics(registry).gauges.layer().epoch = 1
    entries = [GenerationState("g1", "published"), EpochStarted(1, "g1", {0: 0}, int((NOW - 120) * 1000))]
    report = composed(
        facts(Process("speed", "h:1", now=heard(registry)), registry=Registry().after(entries), checkpoints=3)
    )
    assert report.layers[0].generation == "g1"
    assert model_line(report) == "generation g1, epoch 1, published 2 min 0 s ago; 3 checkpoints"
    assert "no generation is published yet" in model_line(composed(facts()))


def test_what_lacks_is_a_dash() -> None:
    (row,) = layer_rows(composed(facts(Process("speed", ""), topics=())))
    assert row == ("speed", "unknown", "-", "-", "-", "-")


def test_who_does_not_answer_costs_no_more_than_the_time_allowed() -> None:
    forever = threading.Event()

    def never() -> None:
        forever.wait(60)

    def away() -> None:
        raise BrokerUnavailable("away")

    try:
        found = ask_all({"never": never, "away": away, "there": lambda: None}, 1.0)
    finally:
        forever.set()
    assert isinstance(found["never"].error, NoAnswerInTime)
    assert isinstance(found["away"].error, BrokerUnavailable)
    assert found["there"] == Outcome(None)


def test_a_fault_of_ours_is_no_answer() -> None:
    def fault() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        ask_all({"fault": fault}, 5)


@pytest.mark.parametrize(
    "reply",
    [Reply(200, b"<html>"), Reply(200, {"hello": 1}), Reply(200, [1]), Reply(200, b"\xff"), None],
    ids=["html", "another", "list", "bytes", "nothing"],
)
def test_what_is_no_layer_is_said_to_be_none(reply: Reply | None) -> None:
    with scripted(lambda _: reply) as there, pytest.raises(Transient, match="is no layer"):
        hear(there.url.removeprefix("http://"), 5)


def test_metrics_that_cannot_be_read_are_said_so() -> None:
    with (
        scripted(lambda asked: Reply(200, READY) if asked.path == "/ready" else Reply(200, b"no {metrics")) as there,
        pytest.raises(Transient, match="is no layer"),
    ):
        hear(there.url.removeprefix("http://"), 5)


def layer_of(metrics: type[BatchMetrics] | type[SpeedMetrics] | type[ServingMetrics], prefix: str = "") -> object:
    registry = CollectorRegistry()
    metrics(registry)

    def script(asked: Asked) -> Reply:
        return {
            f"{prefix}/ready": Reply(200, READY),
            f"{prefix}/metrics": Reply(200, generate_latest(registry)),
        }.get(asked.path, Reply(404, {}))

    return script


@contextmanager
def layers() -> Iterator[dict[str, str]]:
    """Settings of three layers that are ready, and of a Kafka that nobody runs."""
    with ExitStack() as undo:
        ports = [
            undo.enter_context(scripted(layer_of(metrics))).url.rpartition(":")[2]  # type: ignore[arg-type]
            for metrics in (BatchMetrics, SpeedMetrics, ServingMetrics)
        ]
        names = ("BATCH__METRICS_PORT", "SPEED__METRICS_PORT", "SERVING__PORT")
        yield {f"ORYX__{name}": port for name, port in zip(names, ports, strict=True)}


def oryx(folder: Path, *arguments: str, **environ: str) -> Result:
    env = {"ORYX__LOCAL__DIR": str(folder), **environ}
    return CliRunner().invoke(app, ["status", *arguments], env=env)


def test_layers_that_answer_while_kafka_is_away_make_1_and_say_so(tmp_path: Path) -> None:
    """A broker's port that takes connections and says nothing: the longest that can be waited for."""
    with layers() as environ, socket.create_server(("127.0.0.1", 0)) as mute:
        began = time.monotonic()
        result = oryx(
            tmp_path,
            "--json",
            ORYX__KAFKA__BOOTSTRAP_SERVERS=f"127.0.0.1:{mute.getsockname()[1]}",
            **environ,
        )
        took = time.monotonic() - began
    document = json.loads(result.stdout)
    assert [layer["state"] for layer in document["layers"]] == ["ready"] * 3
    assert [layer["layer"] for layer in document["layers"]] == ["batch", "speed", "serving"]
    assert not document["ready"]
    assert document["troubles"][0].startswith("Kafka: ")
    assert result.exit_code == 1
    assert took < 30  # not the minutes that clients wait elsewhere


def test_processes_may_be_named_and_replace_what_was_found_of_their_layer(tmp_path: Path) -> None:
    with layers() as environ, scripted(layer_of(ServingMetrics, "/api")) as other:  # type: ignore[arg-type]
        where = other.url.removeprefix("http://")
        result = oryx(tmp_path, "--json", "--at", f"serving={where}/api", "--at", "serving=127.0.0.1:1", **environ)
    states = [(layer["layer"], layer["state"]) for layer in json.loads(result.stdout)["layers"]]
    assert states == [("batch", "ready"), ("speed", "ready"), ("serving", "ready"), ("serving", "silent")]


@pytest.mark.parametrize("text", ["speed", "speed=", "speed=h", "spede=h:1", "speed=:1", "speed=h:x"])
def test_a_process_is_named_by_layer_and_address(tmp_path: Path, text: str) -> None:
    result = oryx(tmp_path, "--at", text)
    assert result.exit_code == 2
    assert "give a layer" in result.stderr


def test_for_people_there_is_a_table_and_what_is_wrong_below_it(tmp_path: Path) -> None:
    result = oryx(tmp_path, ORYX__SERVING__PORT="1")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["layer", "state", "epoch", "generation", "behind", "now"]
    assert [line.split()[:2] for line in lines[1:4]] == [["batch", "unknown"], ["speed", "unknown"], ["serving", "no"]]
    assert any(line.startswith("Kafka: no broker runs") for line in lines)
    assert result.exit_code == 1


def test_the_report_is_json_with_times_in_seconds() -> None:
    report = composed(facts(Process("batch", "")))
    assert msgspec.json.decode(msgspec.json.encode(report))["at"] == NOW
    assert isinstance(report, Report)


def test_watching_looks_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until Ctrl-C; each report is a line of JSON of its own."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("oryx_py.cli.status.looking.look", lambda *_: facts(Process("batch", "")))
    monkeypatch.setattr("oryx_py.cli.status.command.time", SimpleNamespace(sleep=pause))
    result = oryx(tmp_path, "--json", "--watch", "5")
    assert [json.loads(line)["at"] for line in result.stdout.splitlines()] == [NOW] * 3
    assert pauses == [5.0] * 3
