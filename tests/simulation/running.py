"""Runs seeds."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import structlog

import batch_layer.run.new_generation
import serving_layer.following.update_follower
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import MANIFEST
from tests.simulation.process import Failure
from tests.simulation.serving import threads_of_the_world
from tests.simulation.shortcuts import shortcuts
from tests.simulation.trace import Trace
from tests.simulation.world import World, folder_of_a_run

__all__ = ["Outcome", "run_seed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a seed went: what failed, None for nothing; the trace's lines, if they were wanted; how much was compared."""

    seed: int
    failure: str | None
    trace: list[str] = field(default_factory=list)
    reads: int = 0
    records: int = 0
    epochs: int = 0


def run_seed(seed: int, *, trace: bool = False) -> Outcome:
    """Run one seed; the same seed does the same again."""
    kept = Trace(is_kept=trace)
    with _surroundings(kept) as faults, folder_of_a_run() as folder:
        failure, world = None, World(seed, folder, kept)
        try:
            world.run()
            if faults:
                raise Failure("; ".join(faults))
        except Failure as found:
            failure = str(found) if found.__cause__ is None else f"{found}\n{_where(found.__cause__)}"
        world.end()
        epochs = len(world.registry().epochs)
    lines = [line.replace(str(folder), "/run") for line in kept.lines]
    return Outcome(seed, failure, lines, world.checks.reads, len(world.told), epochs)


@contextmanager
def _surroundings(trace: Trace) -> Iterator[list[str]]:
    """No threads, no logging, and each generation's files checked once; yields what was logged as unforeseen."""
    faults: list[str] = []
    opened: dict[tuple[Path, int], Generation] = {}
    really_open = Generation.open

    def open_once(path: Path, *arguments: Any, **words: Any) -> Generation:
        manifest = path / MANIFEST
        here = (path, manifest.stat().st_ino) if manifest.exists() else None
        if here not in opened or here is None:
            generation = really_open(path, *arguments, **words)
            if here is None:
                return generation
            opened[here] = generation
        return opened[here]

    def take(_logger: object, method: str, words: Any) -> Any:
        if words.get("exc_info"):
            faults.append(f"{words}\n{traceback.format_exc()}")
        if trace.is_kept:
            event = words.pop("event")
            trace.note(0.0, "log", f"{method} {event}", words)
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[take], wrapper_class=structlog.make_filtering_bound_logger(0 if trace.is_kept else 40)
    )
    try:
        with (
            shortcuts(),
            mock.patch.object(serving_layer.following.update_follower, "threading", threads_of_the_world),
            mock.patch.object(Generation, "open", open_once),
            mock.patch.object(batch_layer.run.new_generation, "cores", return_value=1),
        ):
            yield faults
    finally:
        structlog.configure(**before)


def _where(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))
