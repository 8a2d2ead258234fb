"""The speed layer on a real broker: exact at rest whatever dies, and whatever epoch comes."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from oryx_py.adapters.kafka import KafkaAdmin, KafkaConsumer, KafkaProducer
from oryx_py.errors import BrokerUnavailable, LogGap
from oryx_py.events import FoldSettings, Interaction, KindSettings
from oryx_py.messages import partition_of
from oryx_py.ports import OnFailure, Outgoing
from speed_layer.publishing.outbox import Interrupted
from tests.support.answers import assert_state
from tests.support.generations import Pairs
from tests.support.speed import SpeedWorld

pytestmark = [pytest.mark.kafka]

ITEMS = ["p", "q", "r", "s"]
BASE: Pairs = {"a": {"p": 1.0, "q": 2.0}, "b": {"r": 1.0}, "c": {"q": 1.0, "s": 3.0}}


@pytest.fixture
def world(kafka_broker: Any, tmp_path: Path) -> Iterator[SpeedWorld]:
    servers = kafka_broker.bootstrap_servers
    producer = KafkaProducer(servers, {})
    made = SpeedWorld(
        tmp_path,
        f"speed-{os.getpid()}-{time.time_ns()}",
        admin=KafkaAdmin(servers, {}),
        producer=producer,
        new_consumer=lambda group: KafkaConsumer(servers, {}, group),
    )
    yield made
    made.close()
    producer.close()


def some(seed: int, count: int = 40) -> list[Interaction]:
    """Interactions of old and new users with old and new items, deletes among them."""
    rng = np.random.default_rng(seed)
    users, items = ["a", "b", "c", "m", "n", "o"], [*ITEMS, "x", "y"]
    return [
        Interaction(
            user=str(rng.choice(users)),
            item=str(rng.choice(items)),
            strength=None if rng.random() < 0.2 else float(rng.integers(1, 4)),
        )
        for _ in range(count)
    ]


def test_what_came_before_and_what_comes_after_the_start_is_folded_exactly(world: SpeedWorld) -> None:
    world.send(*some(1))
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, epoch)
    world.send(*some(2))
    world.settle(layer, epoch)
    layer.close()
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_interactions_count_by_kind_and_age_as_the_manifest_says(world: SpeedWorld) -> None:
    """Sent before the start and after it, read again from the topic, and of every time there is."""
    fold = FoldSettings(
        feedback="implicit",
        half_life_s=3_600.0,
        kinds={"buy": KindSettings(5.0), "view": KindSettings(0.5, half_life_s=60.0)},
        zero_threshold=0.1,
        max_age_s=86_400.0,
    )
    now_ms = int(time.time() * 1000)
    as_of_ms = now_ms + 3_600_000  # so that the records' own times count as well
    ages_ms = [None, 0, 60_000, 3_600_000, 20 * 3_600_000, 100 * 3_600_000, -3_600_000]
    told = [
        replace(
            interaction,
            kind=[None, "buy", "view", "other"][at % 4],
            timestamp_ms=None if (age_ms := ages_ms[at % 7]) is None else now_ms - age_ms,
        )
        for at, interaction in enumerate(some(7, 80))
    ]
    world.send(*told[:40])
    epoch = world.publish("g1", BASE, ITEMS, {}, fold=fold, as_of_ms=as_of_ms)
    layer = world.start()
    world.settle(layer, epoch)
    world.send(*told[40:])
    world.settle(layer, epoch)
    layer.close()
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


@pytest.mark.parametrize("step", ["fold", "deliver", "half", "announce"])
def test_a_process_killed_at_any_step_loses_nothing_and_counts_nothing_twice(world: SpeedWorld, step: str) -> None:
    """It dies in the middle of a batch; another one starts, and readers end where the oracle does."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, epoch)
    world.send(*some(3))
    world.settle(layer, epoch)
    world.send(*some(4), key="retried")
    _die_at(layer, step)
    with pytest.raises(_Killed):
        world.run(layer, lambda: False)
    world.send(*some(5))
    world.send(*some(4), key="retried")
    again = world.start()
    world.settle(again, epoch)
    again.close()
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


class _Killed(BaseException):
    pass


def _die_at(layer: Any, step: str) -> None:
    """Make the next batch die: before anything is sent, after all, after half of it, or before PROGRESS."""
    deliver, announcer, outbox = layer._deliver, layer._announcer, layer._outbox
    announce = announcer.announce

    def dying_deliver(letters: Any, updates: Any) -> None:
        if step == "half":
            deliver(letters, updates[: len(updates) // 2])
        if step == "deliver":
            deliver(letters, updates)
        if updates:
            raise _Killed
        deliver(letters, updates)

    def dying_announce(run: Any, target: Any) -> None:
        if run.positions != run.announced:
            raise _Killed
        announce(run, target)

    if step == "announce":
        announcer.announce = dying_announce
    elif step == "fold":
        layer._deliver = lambda letters, updates: (_ for _ in ()).throw(_Killed()) if updates else None
    else:
        layer._deliver = dying_deliver
    assert outbox is layer._outbox


def test_a_new_epoch_gets_what_came_while_it_was_trained(world: SpeedWorld) -> None:
    """The old epoch goes on until the new one is live; the new one covers everything from its own offsets."""
    first = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.send(*some(6))
    world.settle(layer, first)
    world.send(*some(7))
    second = world.publish("g2", {"a": {"p": 1.0}, "z": {"s": 2.0}}, ITEMS, {0: 5, 1: 7}, seed=9)
    world.send(*some(8))
    world.settle(layer, second)
    layer.close()
    assert_state(world, "g2", {"a": {"p": 1.0}, "z": {"s": 2.0}}, world.reader("g2", second))
    assert_state(world, "g1", BASE, world.reader("g1", first), complete=False)


def test_a_rollback_brings_the_old_generation_with_everything_since(world: SpeedWorld) -> None:
    first = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.send(*some(10))
    second = world.publish("g2", BASE, ITEMS, {0: 3}, seed=3)
    world.settle(layer, second)
    third = world.begin("g1")
    world.send(*some(11))
    world.settle(layer, third)
    layer.close()
    assert third > second > first
    assert_state(world, "g1", BASE, world.reader("g1", third))


def test_the_new_epoch_is_live_only_when_it_has_reached_the_old_one(world: SpeedWorld) -> None:
    first = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.send(*some(12))
    world.settle(layer, first)
    second = world.publish("g2", BASE, ITEMS, {}, seed=2)
    world.settle(layer, second)
    layer.close()
    old: dict[int, int] = {}
    for progress in world.progress():
        if progress.epoch == first:
            old = dict(progress.input)
        elif any(progress.live.values()):
            assert all(progress.input[p] >= old.get(p, 0) for p, live in progress.live.items() if live)


def test_a_generation_that_cannot_be_read_leaves_the_old_one_working(world: SpeedWorld) -> None:
    first = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, first)
    world.publish("g2", BASE, ITEMS, {}, seed=2)
    (world.store.local("g2") / "items.npy").write_bytes(b"rubbish")
    world.run(layer, lambda: layer.trouble is not None)
    assert "g2" in layer.waiting_for()[0]
    world.send(*some(13))
    end = world.admin.end_offsets(world.settings.input.topic)
    world.run(layer, lambda: layer.runs[0].announced == end)
    layer.close()
    assert_state(world, "g1", BASE, world.reader("g1", first))


def test_dead_letters_are_written_before_there_is_a_model_and_never_twice(world: SpeedWorld) -> None:
    user = next(name for name in "abcdefgh" if partition_of(name, 2) == 0)
    stranger = next(name for name in "abcdefgh" if partition_of(name, 2) == 1)
    poison = [b"\xff\xfe", b"u", b"", b"u,i,nan", f"{stranger},p,1".encode(), b"x" * 500_000]
    for value in poison:
        world.send_raw(value)
    layer = world.start()
    world.run(layer, lambda: len(world.read(world.settings.dead_letter_topic)) == len(poison))
    layer.close()
    epoch = world.publish("g1", BASE, ITEMS, {})
    again = world.start()
    world.send_raw(b"more rubbish")
    world.send(Interaction(user=user, item="p", strength=1.0))
    world.settle(again, epoch)
    again.close()
    letters = world.read(world.settings.dead_letter_topic)
    assert [letter.key for letter in letters] == [f"0:{n}".encode() for n in range(len(poison) + 1)]
    assert [dict(letter.headers)["size"] for letter in letters[:3]] == [b"2", b"1", b"0"]
    assert "partition" in dict(letters[4].headers)["reason"].decode()
    assert len(letters[5].value or b"") == 64 * 1024
    assert_state(world, "g1", BASE, world.reader("g1", epoch))


def test_a_stop_while_the_broker_is_away_ends_the_wait(world: SpeedWorld) -> None:
    """Nobody has to kill a layer because Kafka is gone."""
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    world.settle(layer, epoch)
    world.send(*some(14))

    class Away:
        def send_many(self, records: Sequence[Outgoing], on_failure: OnFailure) -> int:
            return len(records)

        def flush(self, timeout_s: float) -> None:
            from oryx_py.errors import BrokerUnavailable

            world.stopped = True
            raise BrokerUnavailable("away")

    layer._outbox._producer = Away()  # type: ignore[assignment]
    with pytest.raises(Interrupted):
        world.run(layer, lambda: False)


def test_a_log_that_ends_before_what_the_generation_covers_is_refused(world: SpeedWorld) -> None:
    """Waiting for records that were lost would be a silence for ever."""
    world.publish("g1", BASE, ITEMS, {0: 50, 1: 50})
    with pytest.raises(LogGap, match="ends at 0, before 50"):
        world.start()


def test_a_broker_that_does_not_answer_a_look_up_or_a_commit_is_waited_for(world: SpeedWorld) -> None:
    epoch = world.publish("g1", BASE, ITEMS, {})
    layer = world.start()
    failing = {"input_end": 3, "commit": 3}
    look_up, commit = layer._held._input_end, layer._dead_letters._consumer.commit

    def fail_first(what: str, call: Any, *arguments: Any) -> Any:
        if failing[what]:
            failing[what] -= 1
            raise BrokerUnavailable("not now")
        return call(*arguments)

    layer._held._input_end = lambda: fail_first("input_end", look_up)
    layer._dead_letters._commit_every_s = 0
    layer._dead_letters._consumer.commit = lambda positions: fail_first("commit", commit, positions)  # type: ignore[method-assign]
    world.send(*some(15))
    world.settle(layer, epoch)
    world.send(*some(16))
    world.settle(layer, epoch)
    assert failing["input_end"] == 0
    assert failing["commit"] < 3
    layer.close()
    assert_state(world, "g1", BASE, world.reader("g1", epoch))
