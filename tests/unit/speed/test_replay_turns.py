"""A replay beside an epoch that is followed: each of its turns is bounded, and so is what all of them cost together."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from oryx_py.events import Interaction, InteractionColumns
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from speed_layer.epochs.run import EpochRun, Phase
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.micro_batches.waiting import WaitingInteractions
from speed_layer.solving.levels import Levels
from tests.support.answers import assert_state
from tests.support.speed import SpeedWorld, fake_world

BASE = {"a": {"p": 1.0, "q": 2.0}, "b": {"q": 1.0}}
ITEMS = ["p", "q"]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SpeedWorld]:
    with fake_world(tmp_path, "turns") as made:
        yield made


def waiting_with(world: SpeedWorld, users: int, each: int) -> WaitingInteractions:
    world.publish("g1", BASE, ITEMS, {})
    state = ModelState(Generation.open(world.store.local("g1")), 1)
    waiting = WaitingInteractions(state, 1, Levels(state).knowing)
    told = [Interaction(f"u{n}", item, 1.0) for item in ITEMS for n in range(users) for _ in range(each)]
    rows = len(told)
    waiting.add_many(InteractionColumns.of(told), np.zeros(rows, np.int64), np.arange(rows), np.full(rows, -1))
    return waiting


def test_all_slices_together_look_at_each_interaction_a_few_times(world: SpeedWorld) -> None:
    """However many slices there are: what remains is not looked through for each of them."""
    waiting = waiting_with(world, 1000, 2)
    looked_at = 0

    def counting(original: Any) -> Any:
        def counted(array: Any, *args: Any, **words: Any) -> Any:
            nonlocal looked_at
            looked_at += np.size(array)
            return original(array, *args, **words)

        return counted

    rows, slices = len(waiting), 0
    with (
        mock.patch.object(np, "diff", counting(np.diff)),
        mock.patch.object(np, "flatnonzero", counting(np.flatnonzero)),
    ):
        while waiting:
            assert len(waiting.take(5)) == 5
            slices += 1
    assert slices == 200
    assert looked_at <= 10 * rows


def test_a_slice_has_so_many_interactions_or_one_user(world: SpeedWorld) -> None:
    waiting = waiting_with(world, 20, 3)  # six each
    sizes = []
    while waiting:
        sizes.append(len(waiting.take(7, 20)))
    assert sizes == [3] * 6 + [2]
    waiting = waiting_with_more(waiting, 4)
    assert len(waiting.take(7, 5)) == 1
    assert len(waiting.take()) == 3


def waiting_with_more(waiting: WaitingInteractions, users: int) -> WaitingInteractions:
    told = [Interaction(f"v{n}", "p", 1.0) for n in range(users) for _ in range(9)]
    rows = len(told)
    waiting.add_many(InteractionColumns.of(told), np.zeros(rows, np.int64), np.arange(rows), np.full(rows, -1))
    return waiting


def test_what_comes_between_two_slices_is_taken_after_them(world: SpeedWorld) -> None:
    waiting = waiting_with(world, 3, 1)
    first = waiting.take(2)
    waiting_with_more(waiting, 1)
    rest = waiting.take()
    assert len(first) == 2
    assert [waiting.state.users.id(user) for user in rest.users] == ["u2", "v0"]
    assert not waiting


def test_between_two_turns_of_the_served_epoch_a_replay_does_little(world: SpeedWorld) -> None:
    """And both come to the same as ever."""
    first = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    layer._limits = replace(layer._limits, replay_turn_records=10, replay_turn_users=3)
    world.send(*(Interaction(f"u{n}", ITEMS[n % 2], 1.0) for n in range(100)))
    world.settle(layer, first)
    turns: list[tuple[int, str, int]] = []
    read, step = EpochRun.read, ExactFold.step

    def noted_read(run: EpochRun, *args: Any) -> Any:
        records = read(run, *args)
        if run.phase is not Phase.FOLLOW or run is layer.runs[0]:
            turns.append((run.started.epoch, "read", len(records)))
        return records

    def noted_step(fold: ExactFold, most: int | None = None, budget: Any = None) -> Any:
        before = len(fold._waiting)
        updates = step(fold, most, budget)
        turns.append((fold.state.epoch, "step", before - len(fold._waiting)))
        return updates

    second = world.publish("g2", BASE, ITEMS, {}, seed=1)
    with mock.patch.object(EpochRun, "read", noted_read), mock.patch.object(ExactFold, "step", noted_step):
        world.run(layer, lambda: [run.started.epoch for run in layer.runs] == [second])
    replayed = [turn for turn in turns if turn[0] == second and turn[2]]
    assert sum(1 for _, what, _ in replayed if what == "read") >= 10
    assert sum(1 for _, what, _ in replayed if what == "step") >= 100 / 3
    assert max(count for _, what, count in replayed if what == "read") <= 10
    assert max(count for _, what, count in replayed if what == "step") <= 3 * 16
    at = [place for place, (epoch, what, _) in enumerate(turns) if epoch == first and what == "read"]
    for begin, end in itertools.pairwise(at):
        assert sum(1 for epoch, _, count in turns[begin:end] if epoch == second and count) <= 2
    world.settle(layer, second)
    assert_state(world, "g2", BASE, world.reader("g2", second))
    layer.close()
