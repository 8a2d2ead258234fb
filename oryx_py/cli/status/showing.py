"""The report as tables for people. Pure, but for the screen it is printed on."""

from collections.abc import Sequence
from datetime import UTC, datetime

from oryx_py.cli.screen import Screen
from oryx_py.cli.status.report import Batch, Layer, Report, Serving, Speed, Topic
from oryx_py.cli.visible import offsets, visible
from oryx_py.planning.quantities import show_bytes, show_seconds

__all__ = ["LAYERS", "TOPICS", "layer_rows", "model_line", "show", "topic_rows"]

LAYERS = ("layer", "state", "epoch", "generation", "behind", "now")
TOPICS = ("topic", "", "trimmed to", "end", "size")


def show(screen: Screen, report: Report) -> None:
    """Print the report."""
    screen.table(LAYERS, layer_rows(report), right=(2,))
    for line in _details(report):
        screen.line(line, "yellow")
    screen.line()
    if report.topics:
        screen.table(TOPICS, topic_rows(report), right=(4,))
        screen.line()
    if report.generation is not None or not report.troubles:
        screen.line(model_line(report))


def layer_rows(report: Report) -> list[Sequence[str]]:
    """Return a row for each process, in `LAYERS`."""
    return [
        (
            layer.layer,
            {"silent": "no answer"}.get(layer.state, layer.state),
            "-" if layer.epoch is None else str(layer.epoch),
            layer.generation or "-",
            _behind(layer),
            _doing(layer, report.at),
        )
        for layer in report.layers
    ]


def topic_rows(report: Report) -> list[Sequence[str]]:
    """Return a row for each topic, in `TOPICS`."""
    return [
        (visible(topic.topic), _what(topic, report), offsets(topic.start), offsets(topic.end), _size(topic))
        for topic in report.topics
    ]


def model_line(report: Report) -> str:
    """Return what there is to say of the newest generation, in one line."""
    newest = report.generation
    if newest is None:
        return "no generation is published yet: `oryx batch --once` trains one from what was ingested"
    age = _span(max(0.0, report.at - newest.published_at))
    parts = [f"generation {newest.generation}, epoch {newest.epoch}, published {age} ago"]
    if newest.created_at is not None:
        parts.append(f"{newest.users:,} users × {newest.items:,} items, {newest.pairs:,} pairs")
        parts.append(f"input up to {offsets(newest.position)}")
    if newest.checkpoints is not None:
        parts.append(f"{newest.checkpoints} checkpoints")
    return "; ".join(parts)


def _details(report: Report) -> list[str]:
    """What is not as it should be, one line each."""
    lines = []
    for layer in report.layers:
        where = f"{layer.layer} ({layer.address})" if layer.address else layer.layer
        if layer.reason:
            lines.append(f"{where}: {visible(layer.reason, 300)}")
        lines += [f"{where} waits: {visible(reason, 300)}" for reason in layer.waiting_for]
    return [*lines, *(visible(trouble, 300) for trouble in report.troubles)]


def _behind(layer: Layer) -> str:
    if layer.behind is None:
        return "-"
    age = "" if not layer.behind or layer.behind_s is None else f", {_span(layer.behind_s)}"
    return f"{layer.behind:,}{age}"


def _doing(layer: Layer, now: float) -> str:
    match layer.figures:
        case Batch() as batch:
            parts = _batch(batch, now)
        case Speed() as speed:
            parts = _speed(speed, now)
        case Serving() as serving:
            parts = _serving(serving)
        case None:
            parts = []
    return ", ".join(part for part in parts if part) or "-"


def _batch(batch: Batch, now: float) -> list[str]:
    parts = []
    if batch.step is not None:
        parts.append(f"step {visible(batch.step)}" + (f", {_span(batch.left_s)} left" if batch.left_s else ""))
    if batch.last_run_at is not None:
        parts.append(f"last run {_time(batch.last_run_at)} took {_span(batch.last_run_s or 0.0)}")
    if batch.step is None and batch.next_run_at is not None:
        parts.append(f"next in {_span(max(0.0, batch.next_run_at - now))}")
    if batch.failures:
        parts.append(f"{batch.failures} failed")
    return parts


def _speed(speed: Speed, now: float) -> list[str]:
    return [
        "" if speed.records_per_s is None else f"{speed.records_per_s:,.0f} records/s",
        "" if speed.last_batch is None else f"last batch {speed.last_batch:,}",
        _quantiles("solve", speed.solve_p50_s, speed.solve_p99_s),
        "" if speed.cache_hits is None else f"cache {speed.cache_hits:.0%}",
        " ".join(f"{name} {share:.0%}" for name, share in sorted(speed.solvers.items())),
        "" if speed.state_bytes is None else f"states {show_bytes(speed.state_bytes)}",
        f"{speed.lost:,} offsets lost" if speed.lost else "",
        "" if speed.checkpoint_at is None else f"checkpoint {_span(max(0.0, now - speed.checkpoint_at))} ago",
    ]


def _serving(serving: Serving) -> list[str]:
    rate = serving.requests_per_s
    return [
        "" if rate is None else f"{rate:,.0f} requests/s",
        _quantiles("answer", serving.p50_s, serving.p99_s),
        "" if serving.visible_p99_s is None else f"visible p99 {_span(serving.visible_p99_s)}",
    ]


def _quantiles(of: str, p50: float | None, p99: float | None) -> str:
    return "" if p50 is None or p99 is None else f"{of} p50 {_span(p50)} p99 {_span(p99)}"


def _what(topic: Topic, report: Report) -> str:
    if topic.what == "dead letters" and report.dead_letters:
        return f"{report.dead_letters:,} dead letters: `oryx tail dead-letter --from-beginning` says why"
    return topic.what


def _size(topic: Topic) -> str:
    return "-" if topic.bytes is None else show_bytes(topic.bytes)


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else show_seconds(seconds)
