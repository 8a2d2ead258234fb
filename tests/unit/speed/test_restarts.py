"""What a speed layer says that follows one which died half-way, and cuts the log into other micro-batches."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from oryx_py.errors import BrokerUnavailable
from oryx_py.events import Interaction
from oryx_py.model.state.model_state import ModelState
from oryx_py.ports import Delivery, Headers, OnDelivery, OnFailure, Outgoing, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog
from oryx_py.testing.sending import send_each
from speed_layer.publishing.outbox import Outbox
from tests.support.generations import Pairs, at_rest
from tests.support.speed import SpeedWorld

ITEMS = ["p", "q", "r"]
BASE: Pairs = {"a": {"p": 1.0, "q": 2.0}, "b": {"r": 1.0}}


class Died(BaseException):
    """The process ended here."""


class Mortal:
    """A producer whose process dies before it sends a record of these."""

    def __init__(self, log: FakeLog) -> None:
        self._log = log
        self.dies_before: bytes | None = None
        self.not_before = b""
        """It lives at least until it has sent this."""

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Headers = (),
        partition: int | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> None:
        text = (key or b"") + b" " + (value or b"")
        if self.dies_before is not None and not self.not_before and self.dies_before in text:
            raise Died
        if self.not_before in text:
            self.not_before = b""
        place = self._log.append(Outgoing(topic, value, key, headers, partition))
        if on_delivery is not None:
            on_delivery(Delivery(*place))

    def send_many(self, records: Sequence[Outgoing], on_failure: OnFailure) -> int:
        return send_each(self, records, on_failure)

    def flush(self, timeout_s: float) -> None:
        """All is stored."""

    def close(self, timeout_s: float = 5.0) -> None:
        """Nothing is held."""


@pytest.fixture
def producer() -> Mortal:
    return Mortal(FakeLog())


@pytest.fixture
def world(tmp_path: Path, producer: Mortal) -> Iterator[SpeedWorld]:
    log = producer._log
    made = SpeedWorld(
        tmp_path,
        "restarted",
        admin=FakeAdmin(log),
        producer=producer,
        new_consumer=lambda group: FakeConsumer(log, group),
        partitions=1,
    )
    yield made
    made.close()


def add(user: str, item: str, strength: float | None = 1.0) -> Interaction:
    return Interaction(user=user, item=item, strength=strength)


def dies_before(world: SpeedWorld, producer: Mortal, what: bytes, not_before: bytes = b"") -> None:
    """Let a process read all there is, and die when it sends this, after that."""
    producer.dies_before, producer.not_before = what, not_before
    with pytest.raises(Died):
        world.settle(world.start(), 1)
    producer.dies_before = None


def goes_on_one_by_one(world: SpeedWorld) -> ModelState:
    """Let another process go on, that reads single records; returns the state of a reader then."""
    world.settings = replace(world.settings, speed=replace(world.settings.speed, max_batch_records=1))
    layer = world.start()
    world.settle(layer, 1)
    return world.reader("g1", 1)


def known(state: ModelState, user: str) -> dict[str, float]:
    items, strengths = state.history(state.users.find(user))
    return dict(zip(state.items.ids(items), strengths.tolist(), strict=True))


def test_what_was_sent_of_a_larger_batch_does_not_hide_what_is_sent_of_smaller_ones(
    world: SpeedWorld, producer: Mortal
) -> None:
    """``XD`` of the last record came over, ``X`` with the first ones did not: readers drop all below that offset."""
    world.publish("g1", BASE, ITEMS, {})
    world.settle(world.start(), 1)
    world.send(add("a", "r", 5.0), add("a", "q", None))
    dies_before(world, producer, b'["X",')
    assert known(goes_on_one_by_one(world), "a") == {"p": 1.0, "r": 5.0}


def test_a_vector_that_nobody_would_send_again_is_taken_back(world: SpeedWorld, producer: Mortal) -> None:
    """A new item came and went: whoever folds both at once has never had a vector to take back."""
    world.publish("g1", BASE, ITEMS, {})
    world.settle(world.start(), 1)
    world.send(add("a", "new"))
    dies_before(world, producer, b"PROGRESS", not_before=b'["Y","new",[')
    world.send(add("a", "new", None))
    layer = world.start()
    world.settle(layer, 1)
    reader = world.reader("g1", 1)
    assert reader.item_vector(reader.items.find("new")) is None
    assert known(reader, "a") == {"p": 1.0, "q": 2.0}


def test_an_epoch_that_was_half_sent_is_sent_again_as_far(world: SpeedWorld, producer: Mortal) -> None:
    """The same where the process dies before the epoch's first ``PROGRESS``."""
    world.send(add("a", "r", 5.0), add("a", "q", None))
    world.publish("g1", BASE, ITEMS, {})
    dies_before(world, producer, b'["X",')
    assert known(goes_on_one_by_one(world), "a") == {"p": 1.0, "r": 5.0}


class GivesUp(Mortal):
    """A producer that gives up the first record, though the broker is there for the next."""

    def send(self, topic: str, value: bytes | None, *, on_delivery: OnDelivery | None = None, **words: object) -> None:  # type: ignore[override]
        if self.dies_before == value:
            self.dies_before = None
            assert on_delivery is not None
            on_delivery(Delivery(0, -1, BrokerUnavailable("no acknowledgement in time")))
        else:
            super().send(topic, value, on_delivery=on_delivery, **words)  # type: ignore[arg-type]


def test_what_is_sent_again_does_not_come_after_what_followed_it() -> None:
    """``YD`` given up and sent again after ``Y`` would take back the vector."""
    log = FakeLog()
    log.create(TopicSpec("up", 2, 1, {}))
    producer = GivesUp(log)
    producer.dies_before = b"YD"
    records = [Outgoing("up", value, partition=p) for value, p in ((b"XD", 1), (b"YD", 0), (b"X", 1), (b"Y", 0))]
    Outbox(producer, lambda: False).deliver(records)
    stored = [[record.value for record in partition.records] for partition in log.topic("up").partitions]
    assert stored[0][-2:] == [b"YD", b"Y"]
    assert stored[1] == [b"XD", b"X"], "that was acknowledged, and is another partition's"


class TrimsMeanwhile(FakeAdmin):
    """Says where the update topic begins, and then the batch layer trims it."""

    def __init__(self, log: FakeLog) -> None:
        super().__init__(log)
        self.before: dict[int, int] = {}

    def start_offsets(self, topic: str) -> dict[int, int]:
        found = super().start_offsets(topic)
        if topic.endswith("update") and self.before:
            self.trim(topic, self.before)
            self.before = {}
        return found


def test_a_start_survives_that_the_update_topic_is_trimmed_meanwhile(world: SpeedWorld, producer: Mortal) -> None:
    """A third epoch has come since the registry was read, and the first one has gone."""
    for name in ("g1", "g2"):
        epoch = world.publish(name, BASE, ITEMS, {})
        world.settle(world.start(), epoch)
    admin = world.admin = TrimsMeanwhile(producer._log)
    admin.before = {0: world.registry.read().epochs[1].start[0]}
    world.settle(world.start(), 2)
    assert admin.start_offsets(world.settings.update.topic)[0] > 0


def test_who_knew_a_forgotten_item_is_sent_though_the_process_died_between(world: SpeedWorld, producer: Mortal) -> None:
    """Announced is that the pairs are gone; whose vectors were yet to follow, whoever goes on sends."""
    settings = world.settings
    world.settings = replace(settings, speed=replace(settings.speed, stale_solves=1))
    base: Pairs = {user: {"p": 1.0, "q": 2.0} for user in "abc"}
    world.publish("g1", base, ITEMS, {})
    layer = world.start()
    world.settle(layer, 1)
    world.send(add("", "p", None), add("b", "r"))
    producer.dies_before = b'["X","c"'
    with pytest.raises(Died):
        world.run(layer, lambda: False)
    producer.dies_before = None
    assert world.reader("g1", 1).progress()[0] == 2
    world.settle(world.start(), 1)
    reader = world.reader("g1", 1)
    trained = world.reader("g1", 0)
    for user in "abc":
        assert known(reader, user) == ({"q": 2.0, "r": 1.0} if user == "b" else {"q": 2.0})
        found = reader.user_vector(reader.users.find(user))
        before = trained.user_vector(trained.users.find(user))
        assert not np.array_equal(found, before), user


@pytest.mark.parametrize("own", [("c", "r"), ("c", "new")], ids=["another item", "that item"])
@pytest.mark.parametrize("forgotten", ["p", "new"])
def test_so_is_who_had_done_something_before_which_the_next_one_folds_together_with_the_forget(
    world: SpeedWorld, producer: Mortal, own: tuple[str, str], forgotten: str
) -> None:
    """What he had done was sent when it came, what the forget means for him was not: both have been announced."""
    settings = world.settings
    world.settings = replace(settings, speed=replace(settings.speed, stale_solves=1))
    base: Pairs = {user: {"p": 1.0, "q": 2.0} for user in "abc"}
    world.publish("g1", base, ITEMS, {})
    layer = world.start()
    world.settle(layer, 1)
    *before, forget = [add("a", "new"), add("b", "new"), add("c", "new", 3.0), add(*own), add("", forgotten, None)]
    for interaction in before:
        world.send(interaction)
        world.settle(layer, 1)
    world.send(forget)
    producer.dies_before = b'["X","c"'
    with pytest.raises(Died):
        world.run(layer, lambda: False)
    producer.dies_before = None
    assert world.reader("g1", 1).progress()[0] == 5
    world.settle(world.start(), 1)
    found = world.reader("g1", 1)
    log = [(0, offset, interaction) for offset, interaction in enumerate([*before, forget])]
    expected = at_rest(found.generation, base, log, 1)
    for user in "abc":
        assert known(found, user) == expected.pairs[user]
        np.testing.assert_allclose(found.user_vector(found.users.find(user)), expected.users[user], rtol=1e-5)
