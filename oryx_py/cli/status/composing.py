"""From what was heard to the report. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec.structs import replace

from oryx_py.cli.status.asking_all import Heard, Outcome
from oryx_py.cli.status.report import Batch, Generation, Layer, Report, Serving, Speed, Topic
from oryx_py.cli.status.scrape import Buckets, Scrape
from oryx_py.model.epochs.registry import Registry
from oryx_py.model.generations.manifest import Manifest
from oryx_py.model.history.commits import History

__all__ = ["Facts", "Process", "composed", "position_of"]

_OPERATING = frozenset({"/ready", "/healthz", "/metrics"})


@dataclass(frozen=True, slots=True)
class Process:
    """What was found out of one process: heard twice, some seconds apart; ``address`` "" where nothing says it."""

    layer: str
    address: str
    before: Outcome[Heard] = field(default_factory=Outcome)
    now: Outcome[Heard] = field(default_factory=Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that was found out; None where it was not to be had, for what ``troubles`` say.

    ``oldest_ms``: by input partition and offset the Kafka timestamp of the record there, where it was looked up.
    ``checkpoints``: how many the store has, None where it keeps none.
    """

    at: float
    processes: tuple[Process, ...]
    topics: tuple[Topic, ...] = ()
    registry: Registry | None = None
    manifest: Manifest | None = None
    history: History | None = None
    checkpoints: int | None = None
    oldest_ms: Mapping[tuple[int, int], int] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()


def composed(facts: Facts) -> Report:
    """Make the report."""
    layers = tuple(_layer(process, facts) for process in facts.processes)
    letters = next((topic for topic in facts.topics if topic.what == "dead letters"), None)
    return Report(
        ready=all(layer.state == "ready" for layer in layers) and not facts.troubles,
        at=facts.at,
        layers=layers,
        topics=facts.topics,
        dead_letters=None if letters is None else sum(letters.end.values()) - sum(letters.start.values()),
        generation=_generation(facts),
        troubles=facts.troubles,
    )


def position_of(process: Process, history: History | None) -> dict[int, int]:
    """Return by input partition up to where a process is; empty where it does not say.

    Of the batch layer that is what the history covers.
    """
    heard = process.now.answer
    if process.layer == "batch":
        return dict(history.offsets) if history is not None else {}
    if heard is None:
        return {}
    if process.layer == "serving":
        return {int(partition): int(offset) for partition, offset in heard.document.get("input", {}).items()}
    return {int(p): int(offset) for p, offset in heard.scrape.by("oryx_speed_position", "partition").items()}


def _layer(process: Process, facts: Facts) -> Layer:
    base = Layer(layer=process.layer, address=process.address, state="unknown")
    if not process.address:
        reason = f"nothing says where it answers: run `oryx up`, set {process.layer}.metrics_port or give --at"
        return replace(base, reason=reason)
    heard = process.now.answer
    if heard is None:
        return replace(base, state="silent", reason=_reason(process.now.error))
    before = process.before.answer
    position = position_of(process, facts.history)
    waiting_for = tuple(map(str, heard.document.get("waiting_for", ())))
    if not heard.ready and not waiting_for:
        waiting_for = (str(heard.document.get("detail", "it does not say for what")),)
    figures = _FIGURES[process.layer](heard, before)
    behind, behind_s = _behind(position, facts)
    if behind is None and isinstance(figures, Speed):  # Kafka does not answer
        behind, behind_s = figures.lag_records, figures.lag_s
    epoch = heard.scrape.value(f"oryx_{process.layer}_epoch")
    return replace(
        base,
        state="ready" if heard.ready else "waiting",
        waiting_for=waiting_for,
        epoch=int(epoch) if epoch else None,
        generation=_served(heard, epoch, facts.registry),
        position=position,
        behind=behind,
        behind_s=behind_s,
        figures=figures,
    )


def _reason(error: Exception | None) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _served(heard: Heard, epoch: float | None, registry: Registry | None) -> str | None:
    named = heard.document.get("generation")
    if named is None and registry is not None and epoch:
        entry = registry.epoch(int(epoch))
        named = entry.generation if entry else None
    return named


def _behind(position: Mapping[int, int], facts: Facts) -> tuple[int | None, float | None]:
    """How many records below the input's end a position is, and the age of the oldest of them in seconds."""
    end = next((topic.end for topic in facts.topics if topic.what == "input"), None)
    if end is None or not position:
        return None, None
    unread = {partition: max(0, end[partition] - offset) for partition, offset in position.items() if partition in end}
    ages = [
        facts.at - facts.oldest_ms[where] / 1000
        for where in position.items()
        if unread.get(where[0]) and where in facts.oldest_ms
    ]
    records = sum(unread.values())
    return records, max(0.0, *ages) if ages else (0.0 if not records else None)


def _batch(heard: Heard, _: Heard | None) -> Batch:
    scrape = heard.scrape
    steps = [step for step, value in scrape.by("oryx_batch_step", "step").items() if value]
    return Batch(
        step=steps[0] if steps else None,
        left_s=scrape.value("oryx_batch_seconds_left") or None,
        last_run_at=scrape.value("oryx_batch_last_run_timestamp_seconds") or None,
        last_run_s=scrape.value("oryx_batch_last_run_seconds") or None,
        next_run_at=scrape.value("oryx_batch_next_run_timestamp_seconds") or None,
        failures=_whole(scrape.value("oryx_batch_failures_total")),
    )


def _speed(heard: Heard, before: Heard | None) -> Speed:
    scrape = heard.scrape
    hits, misses = (scrape.value(f"oryx_speed_cache_{name}_total") for name in ("hits", "misses"))
    asked = (hits or 0.0) + (misses or 0.0)
    solves = scrape.by("oryx_speed_solves_total", "solver")
    solved = sum(solves.values())
    solve_s, latency_s = (_recent(scrape, before, f"oryx_speed_{name}_seconds", {}) for name in ("solve", "latency"))
    return Speed(
        records_per_s=_rate(heard, before, "oryx_speed_interactions_total"),
        lag_records=_whole(scrape.value("oryx_speed_lag_records")),
        lag_s=scrape.value("oryx_speed_lag_seconds"),
        last_batch=_whole(scrape.value("oryx_speed_last_batch_records")),
        solve_p50_s=solve_s.quantile(0.5),
        solve_p99_s=solve_s.quantile(0.99),
        latency_p99_s=latency_s.quantile(0.99),
        cache_hits=(hits or 0.0) / asked if asked else None,
        solvers={solver: count / solved for solver, count in solves.items()} if solved else {},
        state_bytes=_whole(scrape.value("oryx_speed_state_bytes")),
        checkpoint_at=scrape.value("oryx_speed_checkpoint_timestamp_seconds") or None,
        dead_letters=_whole(scrape.value("oryx_speed_dead_letters_total")),
        lost=_whole(scrape.value("oryx_speed_lost_total")),
    )


def _serving(heard: Heard, before: Heard | None) -> Serving:
    scrape = heard.scrape
    without = {"route": _OPERATING}
    seconds = _recent(scrape, before, "oryx_serving_request_seconds", without)
    visible = _recent(scrape, before, "oryx_serving_event_to_visible_seconds", {})
    rate = None
    if before is not None and heard.at > before.at:
        name = "oryx_serving_request_seconds"
        passed = scrape.buckets(name, without=without).since(before.scrape.buckets(name, without=without))
        rate = passed.total / (heard.at - before.at)
    return Serving(
        requests_per_s=rate,
        p50_s=seconds.quantile(0.5),
        p99_s=seconds.quantile(0.99),
        visible_p99_s=visible.quantile(0.99),
        users=_whole(scrape.value("oryx_serving_users")),
        items=_whole(scrape.value("oryx_serving_items")),
    )


_FIGURES = {"batch": _batch, "speed": _speed, "serving": _serving}


def _recent(scrape: Scrape, before: Heard | None, name: str, without: Mapping[str, frozenset[str]]) -> Buckets:
    whole = scrape.buckets(name, without=without)
    recent = whole if before is None else whole.since(before.scrape.buckets(name, without=without))
    return recent if recent.total else whole


def _rate(heard: Heard, before: Heard | None, name: str) -> float | None:
    now, then = heard.scrape.value(name), before.scrape.value(name) if before else None
    if before is None or now is None or then is None or heard.at <= before.at:
        return None
    return (now - then if now >= then else now) / (heard.at - before.at)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _generation(facts: Facts) -> Generation | None:
    newest = facts.registry.newest_epoch if facts.registry else None
    if newest is None:
        return None
    found = Generation(
        generation=newest.generation,
        epoch=newest.epoch,
        published_at=newest.time_ms / 1000,
        checkpoints=facts.checkpoints,
    )
    manifest = facts.manifest
    if manifest is None:
        return found
    counts = manifest.counts
    return replace(
        found,
        created_at=manifest.created_ms / 1000,
        users=counts.users,
        items=counts.items,
        pairs=counts.pairs,
        position=manifest.next_offsets,
    )
