"""The demo from its beginning to its end."""

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from oryx_py.cli.demo import report
from oryx_py.cli.demo.arms import Frozen, Numbers
from oryx_py.cli.demo.machine import Machine, temporary_machine
from oryx_py.cli.demo.newcomer import NEWCOMER, liked_things, likes, strong
from oryx_py.cli.demo.replay import replay
from oryx_py.cli.demo.story import Story, invented, read
from oryx_py.cli.screen import Screen
from oryx_py.cli.sending import Line, Refused, Sender
from oryx_py.errors import OryxError
from oryx_py.events import Interaction, encode_csv
from oryx_py.model.generations.generation import Generation

__all__ = ["Plan", "play"]

_CHUNK = 5_000
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for: ``data`` None for an invented world of this ``seed``."""

    data: Path | None
    seed: int
    replay: int
    leave: bool
    keep: bool


def play(screen: Screen, plan: Plan) -> None:
    """Play the demo.

    Raises:
        OryxError: something did not work; everything that was started has stopped.
        KeyboardInterrupt: Ctrl-C; likewise.
    """
    began = time.monotonic()
    story = read(plan.data) if plan.data is not None else invented(plan.seed)
    trained, later = story.split()
    measured = report.Measured()
    screen.heading("1/6  Kafka, the speed layer and the service start")
    screen.line(f"{story.name}: {len(trained):,} interactions to train on, {len(later):,} for afterwards")
    with temporary_machine(screen, story.model, keep=plan.keep) as here:
        measured.started_s = time.monotonic() - began
        screen.line(f"all run after {measured.started_s:.1f} s, in {here.folder}")
        _ingest(screen, here, trained, measured)
        generation = _train(screen, here, measured)
        _newcomer(screen, here, story, trained, measured)
        _replay(screen, here, generation, later[: plan.replay], measured)
        measured.total_s = time.monotonic() - began
        screen.heading("6/6  Summary")
        report.show_summary(screen, measured)
        report.show_places(screen, here.service.url, here.config, NEWCOMER)
        if not plan.leave:
            screen.line("Everything stays up until Ctrl-C.", style="bold")
            while True:
                time.sleep(_LOOK_S)
                here.check()


def _ingest(screen: Screen, here: Machine, trained: Sequence[Interaction], measured: report.Measured) -> None:
    screen.heading("2/6  History goes in, through POST /ingest")
    began = time.monotonic()

    def refused(line: Refused) -> None:
        raise OryxError(f"the service refused interaction {line.number} of the history: {line.reason}")

    sender = Sender(here.service, uuid4().hex, refused)
    lines = [Line(number, encode_csv(interaction)) for number, interaction in enumerate(trained, 1)]
    with screen.progress("ingesting", len(lines), "interactions") as bar:
        for start in range(0, len(lines), _CHUNK):
            sender.send(lines[start : start + _CHUNK])
            bar.update(sender.accepted)
            here.check()
    measured.ingested, measured.ingest_s = sender.accepted, time.monotonic() - began
    screen.line(
        f"{sender.accepted:,} interactions stored and acknowledged in {measured.ingest_s:.1f} s, "
        f"{sender.accepted / measured.ingest_s:,.0f} a second"
    )


def _train(screen: Screen, here: Machine, measured: report.Measured) -> Generation:
    screen.heading("3/6  Spark trains (oryx batch --once)")
    began = time.monotonic()
    with screen.progress("training", None, "seconds") as bar:
        generation = here.train(lambda: bar.update(time.monotonic() - began))
    measured.trained_s = time.monotonic() - began
    counts = generation.manifest.counts
    screen.line(
        f"generation {generation.name} after {measured.trained_s:.1f} s: {counts.users:,} users, "
        f"{counts.items:,} items, {counts.pairs:,} pairs, {generation.manifest.features} features"
    )
    published = time.monotonic()
    with screen.progress("the service changes over", None) as bar:
        here.wait_until_ready(lambda reason: bar.update(0, reason))
    measured.live_s = time.monotonic() - published
    screen.line(f"the service answers from it {measured.live_s:.1f} s later")
    return generation


def _newcomer(
    screen: Screen, here: Machine, story: Story, trained: Sequence[Interaction], measured: report.Measured
) -> None:
    screen.heading("4/6  Somebody new likes three things")
    liked = liked_things(story, trained, here.service)
    before: Sequence[str] = ()
    for step in likes(liked, strong(trained), here.service):
        measured.steps.append(step)
        report.show_step(screen, story, step, before)
        before = step.best


def _replay(
    screen: Screen, here: Machine, generation: Generation, later: Sequence[Interaction], measured: report.Measured
) -> None:
    screen.heading(f"5/6  Replay of the next {len(later):,} interactions, each ranked before it is learned")
    report.show_rule(screen)
    began = time.monotonic()
    outcomes = replay(later, here.service, Frozen(generation), Numbers(generation))
    with screen.progress("replaying", len(later), "interactions") as bar:
        for done, outcome in zip(itertools.count(1), outcomes, strict=False):
            measured.lessons = done
            if outcome is not None:
                measured.outcomes.append(outcome)
            bar.update(done)
            here.check()
    measured.replay_s = time.monotonic() - began
    screen.line()
    report.show_replay(screen, measured.outcomes)
