"""Runs the layer over a full topic until it has announced the end, and says what that took."""

import os
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from oryx_py.errors import QueueFull
from oryx_py.model.generations.generation import Generation
from oryx_py.ports import Consumer, Producer, TopicAdmin
from oryx_py.runtime.garbage import settle
from oryx_py.runtime.reading import records_between
from speed_layer.layer import SpeedLayer
from tests.bench.speed.accuracy import errors_of, last_vectors, sampled
from tests.bench.speed.stages import Stages
from tests.bench.speed.world import NAME, Log, World, cached_generation, draw_log, lengths_met
from tests.support.speed import SpeedWorld

__all__ = ["Options", "measure"]


@dataclass(frozen=True)
class Options:
    """What to run."""

    world: World
    interactions: int
    sample: int = 300
    settings: dict[str, str] = field(default_factory=dict)
    pin: bool = False
    patience_s: float = 280.0
    active: int = 0
    alike: bool = False
    keyed: bool = False


def measure(
    options: Options,
    cache: Path,
    folder: Path,
    *,
    admin: TopicAdmin,
    producer: Producer,
    new_consumer: Callable[[str | None], Consumer],
) -> dict[str, Any]:
    """Fill the input topic, follow it, and compare what was sent with the dense solve."""
    world = options.world
    path = cached_generation(world, cache)
    store = folder / "store" / "generations"
    store.mkdir(parents=True)
    (store / NAME).symlink_to(path, target_is_directory=True)
    generation = Generation.open(path, verify="sizes")
    log = draw_log(world, generation, options.interactions, options.active, alike=options.alike, keyed=options.keyed)
    speed = SpeedWorld(
        folder,
        "bench",
        admin=admin,
        producer=producer,
        new_consumer=new_consumer,
        partitions=world.partitions,
        settings=options.settings,
    )
    try:
        epoch = speed.begin(NAME)
        layer = speed.start()
        speed.settle(layer, epoch)
        run = layer.runs[0]
        run._input._consumer.assign({})  # nothing is read ahead before the clock runs
        fill(speed, log)
        if options.pin:
            pin_all_threads()
        touch_pages(run.fold.state.generation)
        settle()
        began = memory()
        result = follow(speed, layer, len(log.users), options.patience_s)
        result |= {f"{name}_mb": round(size / 2**20) for name, size in memory().items()}
        result["state_mb"] = round((memory()["anonymous"] - began["anonymous"]) / 2**20)
        state = run.fold.state
        result["state_estimate_mb"] = round(run.fold.nbytes / 2**20)
        result["solver_mb"] = round(run.fold.solver.nbytes / 2**20)
        result["delta"] = {
            "users": len(state.user_vectors.delta_handles),
            "items": len(state.item_vectors.delta_handles),
            "new_users": len(state.users) - state.users.base,
            "new_items": len(state.items) - state.items.base,
        }
        layer.close()
        met = lengths_met(log, generation)
        result["history_met"] = {"mean": round(float(met.mean()), 1)} | {
            f"p{share}": int(np.percentile(met, share)) for share in (50, 99)
        }
        result |= accuracy(speed, log, generation, options)
    finally:
        speed.close()
    return result


def pin_all_threads() -> None:
    """Keep this process, Kafka's client and all, on one core."""
    core = max(os.sched_getaffinity(0))
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def fill(speed: SpeedWorld, log: Log) -> None:
    """Put the interactions on the input topic."""
    topic = speed.settings.input.topic
    for key, value, id_ in log.records():
        headers = () if id_ is None else (("id", id_),)
        while True:
            try:
                speed.producer.send(topic, value, key=key, headers=headers)
                break
            except QueueFull:
                speed.producer.flush(60)
    speed.producer.flush(60)


def follow(speed: SpeedWorld, layer: SpeedLayer, count: int, patience_s: float) -> dict[str, Any]:
    """Step until everything is announced; return the rates and the profile."""
    end = speed.admin.end_offsets(speed.settings.input.topic)
    before = speed.admin.end_offsets(speed.settings.update.topic)
    stages, batches = Stages(), Batches(layer)
    run = layer.runs[0]
    counted = solver_counts(speed)
    stages.watch(run, "read", "consume")
    stages.watch(layer, "_fold", "parse and fold pairs")
    stages.watch(run, "take", "fold")
    watch_inside(stages, run.fold)
    stages.watch(layer, "_deliver", "encode")
    stages.watch(layer._outbox, "deliver", "produce")
    wall, cpu, own = time.perf_counter(), cpu_s(), time.thread_time()
    run._input.assign()
    while any(run.announced.get(partition, 0) < offset for partition, offset in end.items()):
        assert time.perf_counter() - wall < patience_s, "not done in time"
        layer.step(0.02)
    wall, cpu, own = time.perf_counter() - wall, cpu_s() - cpu, time.thread_time() - own
    stages.restore()
    batches.restore()
    after = speed.admin.end_offsets(speed.settings.update.topic)
    updates = sum(after.values()) - sum(before.values())
    seconds = dict(stages.seconds)
    seconds["the rest"] = own - sum(seconds.values())
    seconds["the client's threads"] = cpu - own
    solves = {name: value - counted[name] for name, value in solver_counts(speed).items()}
    hits, misses = solves.pop("cache_hits"), solves.pop("cache_misses")
    return {
        "interactions": count,
        "wall_s": round(wall, 3),
        "cpu_s": round(cpu, 3),
        "interactions_per_s": round(count / wall),
        "interactions_per_cpu_s": round(count / cpu),
        "updates_per_s": round(updates / wall),
        "updates_per_cpu_s": round(updates / cpu),
        "batches": len(batches.sizes),
        "batch_records_mean": round(float(np.mean(batches.sizes))),
        "fold_p50_ms": round(float(np.percentile(batches.seconds, 50)) * 1000, 2),
        "fold_p99_ms": round(float(np.percentile(batches.seconds, 99)) * 1000, 2),
        "solver_shares": {name: round(solved / max(1, sum(solves.values())), 4) for name, solved in solves.items()},
        "cache_hits": hits,
        "cache_misses": misses,
        "us_per_interaction": {name: round(s / count * 1e6, 2) for name, s in sorted(seconds.items())},
    }


def solver_counts(speed: SpeedWorld) -> dict[str, int]:
    """What the layer's metrics say of solvers and their cache."""
    value = speed.metrics.registry.get_sample_value
    names = {name: ("oryx_speed_solves_total", {"solver": name}) for name in ("cg", "rls", "dense")}
    names |= {name: (f"oryx_speed_{name}_total", {}) for name in ("cache_hits", "cache_misses")}
    return {name: int(value(*sample) or 0) for name, sample in names.items()}


def touch_pages(generation: Generation) -> None:
    """Let the mapped files' pages be this process's, as they are after it has run for a while."""
    histories = generation.user_histories
    for array in (generation.item_factors, generation.user_factors, histories.indptr, histories.indices):
        np.asarray(array).reshape(-1)[:: 4096 // array.itemsize].sum()
    np.asarray(histories.strengths)[:: 4096 // 8].sum()


def watch_inside(stages: Stages, fold: Any) -> None:
    """Tell solving and applying from the rest of a flush."""
    stages.watch(fold.solver, "solve", "solve")
    stages.watch(fold.solver, "solve_with", "solve")
    stages.watch(fold._level_solver, "publish", "apply")


class Batches:
    """The wall seconds of folding and the sizes of the layer's micro-batches."""

    def __init__(self, layer: SpeedLayer) -> None:
        self.seconds: list[float] = []
        self.sizes: list[int] = []
        self._layer = layer
        self._advance = layer._fold
        self._take = layer.runs[0].take
        layer._fold = self._timed_fold  # type: ignore[method-assign]
        layer.runs[0].take = self._timed_take  # type: ignore[method-assign]

    def _timed_fold(self, run: Any, records: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._advance(run, records)
        finally:
            self.sizes.append(len(records))
            self.seconds.append(time.perf_counter() - began)

    def _timed_take(self, *args: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._take(*args)
        finally:
            self.seconds[-1] += time.perf_counter() - began
            if not self.sizes[-1]:  # a step without records is no batch
                self.sizes.pop()
                self.seconds.pop()

    def restore(self) -> None:
        """Give the layer back as it was."""
        self._layer._fold = self._advance  # type: ignore[method-assign]
        self._layer.runs[0].take = self._take  # type: ignore[method-assign]


def accuracy(speed: SpeedWorld, log: Log, generation: Generation, options: Options) -> dict[str, Any]:
    """Compare the newest vectors of a sample of users with the dense solve."""
    users = sampled(log, generation, options.sample, options.world.seed)
    topic = speed.settings.update.topic
    consumer = speed.new_consumer(None)
    try:
        start, end = speed.admin.start_offsets(topic), speed.admin.end_offsets(topic)
        sent = last_vectors(records_between(consumer, topic, start, end, clock=layer_clock()), users)
    finally:
        consumer.close()
    errors = errors_of(log, generation, users, sent)
    return {
        "compared": len(errors),
        "error_p99": float(np.percentile(errors, 99)),
        "error_max": float(errors.max()),
    }


def layer_clock() -> Any:
    """A clock for reading patiently."""
    from oryx_py.adapters.clock import SystemClock

    return SystemClock()


def cpu_s() -> float:
    """CPU seconds of this process, all threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def memory() -> dict[str, int]:
    """Bytes resident of this process, and those of them that are no file's pages."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.startswith(("VmRSS", "RssAnon"))}
    return {"resident": found["VmRSS"], "anonymous": found["RssAnon"]}
