"""The benchmark of the speed layer measures what it says, on a log in memory."""

from pathlib import Path

import numpy as np
import pytest

from oryx_py.model.generations.generation import Generation
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from tests.bench.speed.accuracy import errors_of, last_vectors, sampled
from tests.bench.speed.running import Options, measure
from tests.bench.speed.stages import Stages
from tests.bench.speed.world import World, cached_generation, draw_log, lengths_met

WORLD = World(users=400, items=150, pairs=12, features=8, partitions=2)


def test_a_small_run_folds_everything_and_is_exact(tmp_path: Path) -> None:
    log = FakeLog()
    producer = FakeProducer(log)
    try:
        result = measure(
            Options(WORLD, interactions=1500, sample=100),
            tmp_path / "cache",
            tmp_path / "run",
            admin=FakeAdmin(log),
            producer=producer,
            new_consumer=lambda group: FakeConsumer(log, group),
        )
    finally:
        producer.close()
    assert result["error_max"] <= 1e-5
    assert result["compared"] > 50
    assert result["interactions"] == 1500
    assert {"consume", "solve", "encode", "produce"} <= set(result["us_per_interaction"])
    assert result["delta"]["new_users"] > 0
    assert result["delta"]["new_items"] > 0


def test_a_log_has_new_users_and_items_deletes_and_repeats(tmp_path: Path) -> None:
    generation = Generation.open(cached_generation(WORLD, tmp_path))
    log = draw_log(WORLD, generation, 5000)
    assert (log.users >= WORLD.users).any()
    assert (log.items >= WORLD.items).any()
    assert np.isnan(log.strengths).any()
    keys = log.keys[log.keys >= 0]
    assert len(np.unique(keys)) < len(keys)
    keyed = draw_log(WORLD, generation, 5000, keyed=True).keys
    assert (keyed >= 0).all()
    assert len(np.unique(keyed)) > 4900
    records = list(log.records())
    assert len(records) == 5000
    assert all(value.startswith(key + b",item-") for key, value, _ in records)


def test_active_users_have_longer_histories_unless_all_come_alike(tmp_path: Path) -> None:
    generation = Generation.open(cached_generation(WORLD, tmp_path))
    mean = generation.user_histories.pairs / WORLD.users
    by_activity = lengths_met(draw_log(WORLD, generation, 5000), generation).mean()
    alike = lengths_met(draw_log(WORLD, generation, 5000, alike=True), generation).mean()
    assert by_activity > 1.5 * mean
    assert 0.9 * mean < alike < 1.1 * mean


def test_a_wrong_vector_is_found(tmp_path: Path) -> None:
    generation = Generation.open(cached_generation(WORLD, tmp_path))
    log = draw_log(WORLD, generation, 500)
    users = {user for user in sampled(log, generation, 20, 1) if user < WORLD.users}
    with pytest.raises(KeyError):
        errors_of(log, generation, users, last_vectors([], users))


def test_time_counts_to_the_innermost_stage() -> None:
    class Work:
        def outer(self) -> None:
            self.inner()

        def inner(self) -> None:
            sum(range(200_000))

    work, stages = Work(), Stages()
    stages.watch(work, "outer", "outer")
    stages.watch(work, "inner", "inner")
    work.outer()
    stages.restore()
    assert stages.seconds["inner"] > stages.seconds["outer"]
    work.outer()
    assert set(stages.seconds) == {"inner", "outer"}
