"""The demo's words and tables."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import numpy as np

from oryx_py.cli.demo.newcomer import Step
from oryx_py.cli.demo.replay import ARMS, K, Outcome, scores
from oryx_py.cli.demo.story import Story
from oryx_py.cli.screen import Screen

__all__ = ["Measured", "percentile", "show_places", "show_replay", "show_rule", "show_step", "show_summary"]


@dataclass(slots=True)
class Measured:
    """What was measured in one run; seconds and counts, 0 or empty for what has not come yet."""

    started_s: float = 0.0
    ingested: int = 0
    ingest_s: float = 0.0
    trained_s: float = 0.0
    live_s: float = 0.0
    steps: list[Step] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    lessons: int = 0
    replay_s: float = 0.0
    total_s: float = 0.0


def show_step(screen: Screen, story: Story, step: Step, before: Sequence[str]) -> None:
    """Print the newcomer's list; what was not in the list ``before`` is marked."""
    if step.liked is None:
        screen.line("Somebody new is a stranger, and gets what is popular:")
    else:
        screen.line(
            f"+ likes {story.title(step.liked)}: stored after {step.stored_ms:.1f} ms, "
            f"another list after {step.seen_ms:.1f} ms",
            style="bold",
        )
    for place, item in enumerate(step.best, 1):
        new = step.liked is not None and item not in before
        screen.line(f"  {place:>2}  {story.title(item)}{'   * new' if new else ''}", style="green" if new else "")


def show_rule(screen: Screen) -> None:
    """Say what is compared with what."""
    screen.line("For each interaction, in the order of time, every arm ranks ten items before the service learns it.")
    screen.line(f"  {ARMS[0]}:   GET /recommend, having waited (after=) for the user's interaction before")
    screen.line(f"  {ARMS[1]}:  the trained generation's own vectors; for users it has not, what was popular in it")
    screen.line(f"  {ARMS[2]}: what was popular in it")
    screen.line(
        "All leave out what the user knows at that moment, learned since the training or before; an interaction"
    )
    screen.line("with such an item is learned, not tested. A stranger to the service is given what was popular, too.")


def show_replay(screen: Screen, outcomes: Sequence[Outcome]) -> None:
    """Print hit rate and nDCG of every arm, for known and new users and all together."""
    groups = (
        ("known users", [outcome for outcome in outcomes if outcome.known]),
        ("new users", [outcome for outcome in outcomes if not outcome.known]),
        ("all", list(outcomes)),
    )
    rows = []
    for name, group in groups:
        score = scores(group)
        for place, arm in enumerate(ARMS):
            first = place == 0
            figures = (_figure(score.hit_rate[place]), _figure(score.ndcg[place]))
            rows.append((name if first else "", f"{score.cases:,}" if first else "", arm, *figures))
    screen.table(("users", "cases", "", f"hit rate@{K}", f"nDCG@{K}"), rows, right=(1, 3, 4))


def show_summary(screen: Screen, measured: Measured) -> None:
    """Print what was measured, in a few lines."""
    seen = [step.seen_ms for step in measured.steps if step.liked is not None]
    reads = [outcome.read_ms for outcome in measured.outcomes if outcome.waited]
    score = scores(measured.outcomes)
    rate = measured.ingested / measured.ingest_s if measured.ingest_s else 0.0
    rows = [
        ("Kafka, speed, serving started", f"{measured.started_s:.1f} s"),
        ("history through POST /ingest", f"{measured.ingested:,} in {measured.ingest_s:.1f} s, {rate:,.0f} a second"),
        ("training on Spark", f"{measured.trained_s:.1f} s"),
        ("answered from after", f"{measured.live_s:.1f} s"),
    ]
    if seen:
        rows.append(("like posted to list changed", " · ".join(f"{value:.1f} ms" for value in seen)))
    if reads:
        middle, high = percentile(reads, 50), percentile(reads, 99)
        rows.append(("list right after a write", f"p50 {middle:.1f} ms, p99 {high:.1f} ms"))
    if measured.outcomes:
        on, off, popular = map(_figure, score.hit_rate)
        rows.append(
            ("replay", f"{measured.lessons:,} interactions, {score.cases:,} tests in {measured.replay_s:.1f} s")
        )
        rows.append((f"hit rate@{K}", f"speed layer on {on}, off {off}, popularity {popular}"))
    rows.append(("all of it", f"{measured.total_s:.0f} s"))
    screen.table(("", "measured"), rows)


def show_places(screen: Screen, url: str, config: Path, newcomer: str) -> None:
    """Print where to look on."""
    screen.line()
    screen.line(f"service    {url}/recommend/{quote(newcomer, safe='')}?howMany=5")
    screen.line(f"metrics    {url}/metrics")
    screen.line(f"messages   oryx --config {config} tail update")
    screen.line(f"models     oryx --config {config} generations")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below or at which ``share`` percent of them are."""
    return float(np.percentile(np.asarray(values, np.float64), share, method="inverted_cdf"))


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
