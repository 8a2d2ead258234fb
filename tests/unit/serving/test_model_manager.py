"""Epochs come and go, are damaged, late, or cut off; what is served is always whole."""

import asyncio
import itertools
import threading

import numpy as np
import pytest
from msgspec.structs import replace

from oryx_py.adapters.clock import SystemClock
from oryx_py.errors import BrokerUnavailable, ConfigError, CorruptLog, LogGap
from oryx_py.messages import ItemVector, Progress, UserVector
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.ports import Record
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer
from serving_layer.epoch_sources.registry_source import OwnReader, RegistrySource
from serving_layer.following.model_manager import ModelManager
from serving_layer.following.update_follower import Chunk, UpdateFollower
from serving_layer.model.readiness import silent
from tests.support.polling import until
from tests.support.publishing import UPDATES, Publisher


@pytest.fixture
def publisher(tmp_path):
    return Publisher(tmp_path)


@pytest.fixture
async def start():
    """Start managers, and close them at the end."""
    managers: list[ModelManager] = []

    def start(manager):
        manager.start()
        managers.append(manager)
        return manager

    yield start
    for manager in managers:
        await manager.close()
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith(("follow-", "load", "look"))]
    assert not left


async def serving(manager, epoch):
    await until(lambda: manager.served() is not None and manager.served().epoch == epoch)


def user(name, value, epoch, offset):
    return UserVector(name, np.array([value, 0], np.float32), epoch=epoch, input=offset)


def vector(manager, name):
    state = manager.served().state
    handle = state.users.find(name)
    found = None if handle < 0 else state.user_vector(handle)
    return None if found is None else found.tolist()


async def test_before_the_first_epoch_it_says_what_is_missing(publisher, start):
    manager = start(publisher.manager())
    await until(lambda: "no model has been published yet" in manager.readiness().reason)
    assert not manager.readiness().ready
    publisher.publish("g1")
    await serving(manager, 1)
    assert manager.readiness().ready
    assert manager.readiness().input == {0: 10, 1: 20}


async def test_a_start_has_all_earlier_updates_before_it_is_ready(publisher, start):
    epoch = publisher.publish("g1")
    for offset in range(10, 700):
        publisher.send(user("ann", offset, epoch, offset))
    manager = start(publisher.manager())
    await serving(manager, epoch)
    assert vector(manager, "ann") == [699, 0]


async def test_updates_keep_coming_in(publisher, start):
    epoch = publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, epoch)
    publisher.send(user("ann", 7, epoch, 10))
    publisher.send(user("ann", 8, epoch + 1, 11))
    publisher.send(Progress({0: 11}, {0: True}, epoch))
    await until(lambda: manager.served().state.covers("ann", {0: 10}))
    assert vector(manager, "ann") == [7, 0], "another epoch's vectors are not for this one"


async def test_the_time_to_visible_is_measured_of_what_reaches_the_model_served(publisher, start):
    """Not of what was there when it began, of older messages, of changes that others caused, nor of another epoch."""

    def measured(what):
        return publisher.metrics.registry.get_sample_value(f"oryx_serving_event_to_visible_{what}")

    epoch, now_ms = publisher.publish("g1"), SystemClock().now_ms()
    publisher.send(replace(user("ann", 1, epoch, 20), at_ms=now_ms - 3_600_000))
    manager = start(publisher.manager())
    await serving(manager, epoch)
    publisher.send(replace(user("ann", 2, epoch, 30), at_ms=now_ms - 7_000))
    publisher.send(replace(user("ann", 3, epoch, 29), at_ms=now_ms - 7_000))
    publisher.send(replace(user("ann", 4, epoch + 1, 31), at_ms=now_ms - 7_000))
    publisher.send(user("bob", 5, epoch, 31))
    publisher.send(replace(user("bob", 6, epoch, 32), at_ms=now_ms + 3_600_000))
    publisher.send(Progress({0: 33}, {0: True}, epoch))
    await until(lambda: manager.served().state.covers("ann", {0: 32}))
    assert (vector(manager, "ann"), vector(manager, "bob")) == ([2, 0], [6, 0])
    assert measured("seconds_count") == 2
    assert measured("seconds_sum") >= 7
    assert measured("negative_total") == 1


async def test_waiters_are_told_of_progress(publisher, start):
    epoch = publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, epoch)
    publisher.send(Progress({0: 11}, {0: True}, epoch))
    async with asyncio.timeout(20):
        while not manager.served().state.covers(None, {0: 10}):
            await manager.changed()


async def test_a_new_epoch_is_served_when_it_is_live_everywhere_and_nowhere_behind(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    publisher.go_live(1, 15, 25)
    publisher.publish("g2")
    publisher.send(user("ann", 2, 2, 10))
    waits = "epoch 2 (generation g2) waits for the speed layer in input partitions"
    await until(lambda: f"{waits} 0, 1" in manager.readiness().reason)
    assert manager.readiness().ready, "the old one is served as before"
    publisher.send(Progress({0: 15}, {0: True}, 2))
    await until(lambda: manager.readiness().reason == f"{waits} 1")
    publisher.send(Progress({1: 24}, {1: True}, 2))
    publisher.send(user("bob", 3, 2, 11))
    publisher.send(Progress({0: 15}, {}, 1))
    publisher.send(user("probe", 4, 1, 12))
    await until(lambda: vector(manager, "probe") is not None)
    assert manager.served().epoch == 1, "somebody's own write at 24 would disappear"
    publisher.send(Progress({1: 25}, {1: True}, 2))
    await serving(manager, 2)
    assert vector(manager, "ann") == [2, 0]
    assert vector(manager, "bob") == [3, 0]
    assert manager.readiness().waiting_for == []


async def test_what_a_request_has_taken_is_not_changed_by_a_swap(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    taken = manager.served()
    publisher.publish("g2")
    publisher.go_live(2)
    await serving(manager, 2)
    assert (taken.generation, taken.epoch) == ("g1", 1)
    assert manager.served() is not taken


async def test_the_same_generation_can_live_again_in_another_epoch(publisher, start):
    publisher.publish("g1")
    publisher.publish("g2")
    publisher.go_live(2)
    manager = start(publisher.manager())
    await serving(manager, 2)
    publisher.publish("g1")
    publisher.go_live(3)
    await serving(manager, 3)
    assert manager.served().generation == "g1"


async def test_a_start_serves_the_newest_live_epoch(publisher, start):
    publisher.publish("g1")
    publisher.go_live(1)
    publisher.publish("g2")
    publisher.go_live(2)
    manager = start(publisher.manager())
    await serving(manager, 2)
    assert publisher.metrics.swaps._value.get() == 1, "the older one was never served"


async def test_a_start_serves_the_one_before_until_the_newest_is_live(publisher, start):
    publisher.publish("g1")
    publisher.publish("g2")
    manager = start(publisher.manager())
    await serving(manager, 1)
    await until(lambda: "epoch 2 (generation g2) waits" in manager.readiness().reason)
    publisher.go_live(2)
    await serving(manager, 2)


async def test_a_start_serves_the_epoch_that_the_speed_layer_keeps_up_to_date(publisher, start):
    publisher.publish("g1")
    publisher.go_live(1)
    publisher.publish("g2")
    publisher.publish("g3")
    manager = start(publisher.manager())
    await serving(manager, 1)
    publisher.send(user("ann", 5, 1, 10))
    await until(lambda: vector(manager, "ann") == [5, 0])
    await until(lambda: "epoch 3 (generation g3) waits" in manager.readiness().reason)
    publisher.go_live(3)
    await serving(manager, 3)
    assert publisher.metrics.swaps._value.get() == 2, "epoch 2 was never served"


async def test_a_start_whose_first_choice_is_refused_looks_anew_for_what_is_live(publisher, start, monkeypatch):
    """While it loaded, the layers went on to the next epoch, and the topic was trimmed."""
    publisher.publish("g1")
    publisher.go_live(1)
    load = RegistrySource.load

    def overtaken(self, entry, watch, *, recent):
        if entry.epoch == 1:
            if len(publisher.registry.read().epochs) == 1:
                publisher.publish("g2")
                publisher.go_live(2)
                publisher.publish("g3")
                publisher.publish("g4")
            raise LogGap("what it needs was trimmed")
        return load(self, entry, watch, recent=recent)

    monkeypatch.setattr(RegistrySource, "load", overtaken)
    manager = start(publisher.manager())
    await until(lambda: manager.served() is not None)
    assert manager.served().epoch == 2


async def test_a_start_looks_no_further_back_than_the_topic_reaches(publisher, start):
    publisher.publish("g1")
    publisher.publish("g2")
    publisher.log.trim(UPDATES, publisher.admin.end_offsets(UPDATES))
    publisher.publish("g3")
    publisher.go_live(3)
    await serving(start(publisher.manager()), 3)


async def test_a_newer_epoch_takes_the_place_of_one_that_is_not_live_yet(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    publisher.publish("g2")
    await until(lambda: "epoch 2" in manager.readiness().reason)
    publisher.publish("g3")
    await until(lambda: "epoch 3" in manager.readiness().reason and "epoch 2" not in manager.readiness().reason)
    publisher.go_live(3)
    await serving(manager, 3)
    assert publisher.metrics.swaps._value.get() == 2


async def heard(publisher, manager, offset):
    """Wait until all that was sent so far has come, and what is to be held was thought of twice since."""
    publisher.send(user("probe", offset, manager.served().epoch, offset))
    await until(lambda: vector(manager, "probe") == [offset, 0])
    thoughts, wanted = [], manager._source.wanted
    manager._source.wanted = lambda *words: thoughts.append(words) or wanted(*words)
    await until(lambda: len(thoughts) >= 3)
    manager._source.wanted = wanted


async def test_a_live_epoch_that_is_still_loading_is_not_put_aside_for_a_newer_one(publisher, start, monkeypatch):
    """The speed layer leaves what is served for the one that is live, and the newer may take long to become so."""
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    go_on, local = threading.Event(), publisher.store.local
    monkeypatch.setattr(publisher.store, "local", lambda name: (name != "g2" or go_on.wait(60)) and local(name))
    publisher.publish("g2")
    await until(lambda: "epoch 2 (generation g2) is loading" in manager.readiness().reason)
    publisher.go_live(2)
    await heard(publisher, manager, 11)
    publisher.publish("g3")
    await heard(publisher, manager, 12)
    go_on.set()
    await serving(manager, 2)
    await until(lambda: "epoch 3 (generation g3) waits for the speed layer" in manager.readiness().reason)
    publisher.go_live(3)
    await serving(manager, 3)


async def test_a_live_epoch_takes_the_place_of_a_newer_one_that_is_not_live(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    publisher.publish("g2")
    publisher.publish("g3")
    await until(lambda: "epoch 3 (generation g3) waits for the speed layer" in manager.readiness().reason)
    publisher.go_live(2)
    await serving(manager, 2)
    publisher.go_live(3)
    await serving(manager, 3)


async def test_a_load_that_nobody_waits_for_ends_at_the_next_file(publisher):
    class Watch:
        told = 0

        def on_percent(self, percent):
            self.told += 1

        def is_cancelled(self):
            return self.told == 1

    publisher.publish("g1")
    watch, manager = Watch(), publisher.manager()
    assert manager._source.load(publisher.registry.read().epochs[0], watch, recent=None) is None
    assert watch.told == 1
    await manager.close()


async def test_without_a_speed_layer_a_new_epoch_is_served_at_once(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager(require_live=False))
    await serving(manager, 1)
    publisher.publish("g2")
    await serving(manager, 2)


async def test_an_epoch_without_its_message_is_found_in_the_registry(publisher, start):
    publisher.publish("g1", announce=False)
    manager = start(publisher.manager())
    await serving(manager, 1)


async def test_a_message_alone_starts_no_epoch(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    publisher.send_raw(b"MODEL-REF", b"file:///etc", (("epoch", b"9"), ("generation", b"x"), ("from", b"{}")))
    publisher.send(user("probe", 4, 1, 12))
    await until(lambda: vector(manager, "probe") is not None)
    assert manager.readiness().waiting_for == []


async def test_with_several_update_partitions_all_have_to_be_live(tmp_path, start):
    publisher = Publisher(tmp_path, update_partitions=2)
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    publisher.publish("g2")
    live = Progress({0: 10, 1: 20}, {0: True, 1: True}, 2)
    publisher.send(live, 0)
    publisher.send(user("probe", 4, 1, 12), 0)
    await until(lambda: vector(manager, "probe") is not None)
    await until(lambda: "waits for the speed layer in input partitions 0, 1" in manager.readiness().reason)
    assert manager.served().epoch == 1
    publisher.send(live, 1)
    await serving(manager, 2)


def damage(publisher, name):
    path = publisher.store.local(name) / "items.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 0xFF
    path.write_bytes(content)
    return path


async def test_a_damaged_generation_is_refused_and_the_old_one_goes_on(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    publisher.publish("g2", announce=False)
    path = damage(publisher, "g2")
    publisher.go_live(2)
    await until(lambda: "epoch 2 (generation g2) cannot be loaded" in manager.readiness().reason)
    assert str(path) in manager.readiness().reason
    assert manager.readiness().ready
    assert publisher.metrics.refused_generations._value.get() >= 1
    publisher.send(user("ann", 5, 1, 10))
    await until(lambda: vector(manager, "ann") == [5, 0])
    publisher.publish("g3")
    publisher.go_live(3)
    await serving(manager, 3)
    assert manager.readiness().waiting_for == []


async def test_a_refused_epoch_is_tried_again_though_the_one_below_it_waits_for_the_speed_layer(publisher, start):
    """The speed layer has left the one below for the newest: waiting for it would never end."""
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    publisher.publish("g2")
    await until(lambda: "epoch 2 (generation g2) waits for the speed layer" in manager.readiness().reason)
    publisher.start_epoch("g3")
    await until(lambda: "epoch 3 (generation g3) cannot be loaded" in manager.readiness().reason)
    await until(lambda: "epoch 2 (generation g2) waits for the speed layer" in manager.readiness().reason)
    publisher.write("g3")
    publisher.go_live(3)
    await serving(manager, 3)


async def test_a_generation_that_is_not_there_is_served_once_it_is_restored(publisher, start):
    publisher.start_epoch("g1")
    manager = start(publisher.manager())
    await until(lambda: "epoch 1 (generation g1) cannot be loaded" in manager.readiness().reason)
    assert not manager.readiness().ready
    publisher.write("g1")
    await serving(manager, 1)


async def test_when_the_newest_is_damaged_a_start_serves_the_one_before(publisher, start):
    publisher.publish("g1")
    publisher.publish("g2")
    publisher.go_live(2)
    damage(publisher, "g2")
    manager = start(publisher.manager())
    await serving(manager, 1)
    await until(lambda: "epoch 2 (generation g2) cannot be loaded" in manager.readiness().reason)


HOSTILE = [
    (b"UP", b"", (("epoch", b"1"),)),
    (b"UP", None, (("epoch", b"1"),)),
    (b"UP", b"[" * 10_000, (("epoch", b"1"),)),
    (b"UP", b'["X","ann",[1,2,3],[]]', (("epoch", b"1"),)),
    (b"UP", b'["Y","a",[1],[]]', (("epoch", b"1"),)),
    (b"UP", b'["X","ann",[1e999,0]]', (("epoch", b"1"),)),
    (b"UP", b'["X","ann",[1,0]]', (("epoch", b"1"), ("input", b"x"))),
    (b"UP", b'["X","an\\u0000n",[1,0]]', (("epoch", b"1"),)),
    (b"PROGRESS", b'{"input":{"0":-1}}', (("epoch", b"1"),)),
    (b"PROGRESS", b"null", (("epoch", b"1"),)),
    (b"MODEL", b"<PMML/>", ()),
    (b"\xff\xfe", b"\xff", (("epoch", b"1"),)),
    (None, b"x", ()),
]


async def test_messages_that_cannot_be_read_are_counted_and_passed_over(publisher, start):
    publisher.publish("g1")
    for message in HOSTILE:
        publisher.send_raw(*message)
    publisher.send(user("ann", 5, 1, 10))
    manager = start(publisher.manager())
    await serving(manager, 1)
    assert vector(manager, "ann") == [5, 0]
    assert publisher.metrics.bad_messages._value.get() == len(HOSTILE)
    assert manager.readiness().ready


async def test_a_new_epoch_whose_updates_were_trimmed_is_refused(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    epoch = publisher.publish("g2", announce=False)
    publisher.send(user("ann", 5, 1, 10))
    await until(lambda: vector(manager, "ann") == [5, 0])
    ends = publisher.admin.end_offsets(UPDATES)
    publisher.log.trim(UPDATES, ends)
    publisher.go_live(epoch)
    await until(lambda: "epoch 2 (generation g2) cannot be loaded: reading up[0] from" in manager.readiness().reason)
    assert manager.readiness().ready


async def test_when_the_topic_lost_what_the_served_epoch_needs_it_answers_but_is_not_ready(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    with publisher.log.outage():
        publisher.send(user("ann", 5, 1, 10))
        publisher.log.trim(UPDATES, {0: publisher.log.partition(UPDATES, 0).end})
    await until(lambda: not manager.readiness().ready)
    assert "epoch 1 (generation g1) is not kept up to date" in manager.readiness().reason
    assert manager.served().epoch == 1
    publisher.publish("g2")
    publisher.go_live(2)
    await serving(manager, 2)
    assert manager.readiness().ready


@pytest.mark.parametrize("error", [ConfigError("denied"), BrokerUnavailable("away"), RuntimeError("unforeseen")])
async def test_a_served_epoch_is_followed_again_after_an_error_that_may_pass(publisher, start, monkeypatch, error):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    poll, failed = FakeConsumer.poll, threading.Event()

    def fail(self, *arguments):
        if failed.is_set():
            raise error
        return poll(self, *arguments)

    monkeypatch.setattr(FakeConsumer, "poll", fail)
    failed.set()
    await until(lambda: not manager.readiness().ready)
    assert "epoch 1 (generation g1) is not kept up to date" in manager.readiness().reason
    assert str(error) in manager.readiness().reason
    publisher.send(user("ann", 5, 1, 10))
    failed.clear()
    await until(lambda: vector(manager, "ann") == [5, 0])
    assert manager.readiness().ready


async def test_an_outage_of_the_broker_is_survived(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    with publisher.log.outage():
        publisher.send(user("ann", 5, 1, 10))
        await asyncio.sleep(0)
        assert vector(manager, "ann") == [1, 0.5]
    await until(lambda: vector(manager, "ann") == [5, 0])


async def test_a_start_during_an_outage_waits_and_says_so(publisher, start):
    publisher.publish("g1")
    with publisher.log.outage():
        manager = start(publisher.manager())
        await until(lambda: "broker is down" in manager.readiness().reason)
    await serving(manager, 1)
    assert manager.readiness().waiting_for == []


@pytest.mark.parametrize(
    ("owner", "name", "failing"),
    [(RegistrySource, "load", (1, 2)), (FakeAdmin, "end_offsets", (2, 3)), (FakeConsumer, "poll", (2, 3))],
    ids=["opening", "looking-up-the-end", "following"],
)
async def test_an_outage_while_the_live_epoch_is_loaded_brings_no_older_one_back(
    publisher, start, monkeypatch, owner, name, failing
):
    """Nobody keeps that up to date any more; what its clients had seen last was the newer one."""
    publisher.publish("g1")
    publisher.go_live(1)
    publisher.publish("g2")
    publisher.go_live(2)
    original, calls = getattr(owner, name), itertools.count(1)

    def fail(*arguments, **words):
        if next(calls) in failing:
            raise BrokerUnavailable("away for a moment")
        return original(*arguments, **words)

    monkeypatch.setattr(owner, name, fail)
    manager = start(publisher.manager(retry_s=0.3))  # so long each trouble is there to be seen
    await until(lambda: "away for a moment; this is tried again" in manager.readiness().reason)
    assert not manager.readiness().ready
    await serving(manager, 2)
    assert publisher.metrics.swaps._value.get() == 1, "the older one was never served"
    await until(lambda: manager.readiness().waiting_for == [])


@pytest.mark.parametrize("error", [CorruptLog("commit 2 is damaged"), RuntimeError("unforeseen")])
async def test_a_registry_that_cannot_be_read_stops_nothing(publisher, start, error):
    publisher.publish("g1")
    manager = publisher.manager()
    read = publisher.registry.read
    broken = threading.Event()

    class Registry:
        def read(self, seen=None):
            if broken.is_set():
                raise error
            return read(seen)

    manager._source._reader = Registry()
    start(manager)
    await serving(manager, 1)
    broken.set()
    await until(lambda: str(error) in manager.readiness().reason)
    assert manager.readiness().ready
    broken.clear()
    await until(lambda: manager.readiness().reason == "")


async def test_while_loading_it_tells_how_far_it_is(publisher, start, monkeypatch):
    publisher.publish("g1")
    go_on = threading.Event()
    local = publisher.store.local
    monkeypatch.setattr(publisher.store, "local", lambda name: go_on.wait(20) and local(name))
    manager = start(publisher.manager())
    await until(lambda: manager.readiness().reason == "epoch 1 (generation g1) is loading: 0 %")
    go_on.set()
    await serving(manager, 1)


async def test_closing_in_the_middle_of_loading_leaves_no_thread(publisher, start, monkeypatch):
    publisher.publish("g1")
    go_on = threading.Event()
    local = publisher.store.local
    monkeypatch.setattr(publisher.store, "local", lambda name: go_on.wait(20) and local(name))
    manager = publisher.manager()
    manager.start()
    await until(lambda: "is loading" in manager.readiness().reason)
    closing = asyncio.create_task(manager.close())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait_for(closing, 20)
    assert manager.served() is None


async def test_closing_in_the_very_moment_of_a_change_is_not_lost(publisher):
    publisher.publish("g1")
    manager = publisher.manager(look_s=60)
    manager.start()
    await serving(manager, 1)
    await until(lambda: not manager._wake.is_set())
    manager._wake.set()
    await asyncio.wait_for(manager.close(), 20)


async def test_new_items_of_the_update_topic_can_be_found(publisher, start):
    publisher.publish("g1")
    publisher.send(ItemVector("new", np.array([1, 2], np.float32), epoch=1))
    manager = start(publisher.manager())
    await serving(manager, 1)
    assert manager.served().state.items.find("new") >= 0


class EndlessConsumer:
    """Has always more to read; counts how often it was asked."""

    def __init__(self):
        self.polls = 0
        self.asked = threading.Condition()

    def assign(self, positions):
        pass

    def poll(self, max_records, timeout_s):
        with self.asked:
            self.polls += 1
            self.asked.notify_all()
        return [Record("up", 0, n, 0, b"UP", b"", (("epoch", b"1"),)) for n in range(max_records)]

    def positions(self):
        return {("up", 0): 0}

    def close(self):
        pass


async def test_a_follower_reads_no_further_ahead_than_two_chunks():
    consumer, taken = EndlessConsumer(), []
    follower = UpdateFollower(
        lambda: consumer,
        topic="up",
        epoch=1,
        reader=OwnReader(1),
        start={},
        end={0: 10},
        deliver=taken.append,
        stalled=lambda reason, _: pytest.fail(reason),
    )
    with consumer.asked:
        # This blocks the loop, so nothing is taken.
        assert consumer.asked.wait_for(lambda: consumer.polls >= 3, 10)
        assert not consumer.asked.wait_for(lambda: consumer.polls > 3, 0.3)
    await until(lambda: len(taken) > 10)
    follower.stop()
    await asyncio.to_thread(follower.join)


async def test_long_messages_are_handed_over_few_at_a_time(publisher):
    items = tuple(f"i{n}" for n in range(900))
    for offset in range(20):
        publisher.send(UserVector("u", None, items, (1.0,) * 900, epoch=1, input=offset))
    taken: list[Chunk] = []
    follower = UpdateFollower(
        lambda: FakeConsumer(publisher.log),
        topic=UPDATES,
        epoch=1,
        reader=OwnReader(1),
        start={},
        end={0: 20},
        deliver=taken.append,
        stalled=lambda reason, _: pytest.fail(reason),
    )
    await until(lambda: taken and taken[-1].caught_up)
    follower.stop()
    await asyncio.to_thread(follower.join)
    assert [update.input for chunk in taken for _, update in chunk.updates] == list(range(20))
    assert max(len(chunk.updates) for chunk in taken) == 3, "the third is the one that goes beyond 2,000 items"
    assert [chunk.caught_up for chunk in taken].count(True) == 1
    assert taken[-1].positions == {0: 20}


async def test_a_follower_that_cannot_begin_says_why():
    reasons: list[tuple[str, bool]] = []

    def refuse():
        raise BrokerUnavailable("nobody there")

    follower = UpdateFollower(
        refuse,
        topic="up",
        epoch=1,
        reader=OwnReader(1),
        start={},
        end={0: 0},
        deliver=lambda _: None,
        stalled=lambda *said: reasons.append(said),
    )
    await until(lambda: reasons)
    assert reasons == [("nobody there", False)]
    await asyncio.to_thread(follower.join)


class FailingConsumer(EndlessConsumer):
    """Fails when it is asked, and may go on failing, or wait for good, when it is closed."""

    def __init__(self, when_closed):
        super().__init__()
        self.close = when_closed

    def poll(self, max_records, timeout_s):
        raise BrokerUnavailable("away")


def failing_follower(when_closed, stalled):
    return UpdateFollower(
        lambda: FailingConsumer(when_closed),
        topic="up",
        epoch=1,
        reader=OwnReader(1),
        start={},
        end={0: 10},
        deliver=lambda _: None,
        stalled=lambda *said: stalled.append(said),
    )


async def test_a_follower_whose_consumer_can_be_neither_read_nor_closed_says_why():
    def fail():
        raise RuntimeError("cannot be closed")

    said: list[tuple[str, bool]] = []
    follower = failing_follower(fail, said)
    await until(lambda: said)
    assert said == [("away", False)]
    await asyncio.to_thread(follower.join)


async def test_a_follower_says_that_it_ends_before_its_consumer_is_closed():
    closing, said = threading.Event(), []
    follower = failing_follower(lambda: closing.wait(60), said)
    await until(lambda: said)
    assert not follower.has_ended
    closing.set()
    await asyncio.to_thread(follower.join)
    assert follower.has_ended


async def test_following_goes_on_once_the_consumer_that_failed_is_closed(publisher, start, monkeypatch):
    """The loop does not wait for it, and no second one is begun beside it, of which there might be ever more."""
    publisher.publish("g1")
    manager = start(publisher.manager())
    await serving(manager, 1)
    poll, failed, closed, asked = FakeConsumer.poll, threading.Event(), threading.Event(), itertools.count()

    def fail(self, *arguments):
        if failed.is_set():
            next(asked)
            raise BrokerUnavailable("away")
        return poll(self, *arguments)

    monkeypatch.setattr(FakeConsumer, "poll", fail)
    monkeypatch.setattr(FakeConsumer, "close", lambda self: closed.wait(60))
    failed.set()
    await until(lambda: not manager.readiness().ready)
    retries, go_on = [], manager._served._go_on
    monkeypatch.setattr(manager._served, "_go_on", lambda: retries.append(go_on()))
    manager._served._retry.cancel()
    manager._served._go_on()
    await until(lambda: len(retries) >= 3)
    assert next(asked) == 1, "one consumer has failed, and no other was asked"
    failed.clear()
    closed.set()
    publisher.send(user("ann", 5, 1, 10))
    await until(lambda: vector(manager, "ann") == [5, 0])
    assert manager.readiness().ready


async def test_a_gap_ends_following_for_good():
    said: list[tuple[str, bool]] = []

    def refuse():
        raise LogGap("trimmed")

    follower = UpdateFollower(
        refuse,
        topic="up",
        epoch=1,
        reader=OwnReader(1),
        start={},
        end={0: 0},
        deliver=lambda _: None,
        stalled=lambda *words: said.append(words),
    )
    await until(lambda: said)
    assert said == [("trimmed", True)]
    await asyncio.to_thread(follower.join)


async def test_a_speed_layer_that_says_nothing_is_warned_about_until_it_speaks(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager(patience_s=0.2))
    await serving(manager, 1)
    await until(lambda: "epoch 1 (generation g1) has had no PROGRESS for" in manager.readiness().reason)
    assert manager.readiness().ready, "a warning, no reason to send nobody here"
    await until(lambda: publisher.go_live(1) or manager.readiness().reason == "")


async def test_input_partitions_whose_owner_says_nothing_are_named_though_others_speak(publisher, start):
    """Of two speed processes one hangs: what comes for its users is in no answer, and nobody would know."""
    publisher.publish("g1")
    manager = start(publisher.manager(patience_s=0.2))
    await serving(manager, 1)

    def spoken():
        publisher.send(Progress({1: 20}, {1: True}, 1))
        return manager.readiness().reason

    await until(lambda: spoken().startswith("epoch 1 (generation g1) has had no PROGRESS of input partitions 0 for"))
    assert manager.readiness().ready
    await until(lambda: publisher.send(Progress({0: 10}, {0: True}, 1)) or spoken() == "")


async def test_a_former_owner_does_not_speak_for_the_partition_that_it_lost(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager(patience_s=0.2))
    await serving(manager, 1)
    publisher.send(Progress({0: 10}, {0: True}, 1, term=7))

    def former():
        publisher.send(Progress({0: 10, 1: 20}, {0: True, 1: True}, 1, term=6))
        return manager.readiness().reason

    await until(lambda: "no PROGRESS of input partitions 0 for" in former())


def test_of_many_silent_partitions_the_first_ones_are_named():
    entry = EpochStarted(1, "g1", {0: 0}, 0)
    assert "partitions 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, … for 61 s" in silent(
        entry, range(1_000), 1_001, 61.0
    )
    assert silent(entry, range(2), 2, 61.0).startswith("epoch 1 (generation g1) has had no PROGRESS for 61 s")


async def test_without_a_speed_layer_nobody_waits_for_progress(publisher, start):
    publisher.publish("g1")
    manager = start(publisher.manager(patience_s=0.0, require_live=False))
    await serving(manager, 1)
    assert manager.readiness().waiting_for == []
