"""Step (h): what goes after an epoch, and what stays."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import structlog

from batch_layer.housekeeping.after_epoch import Housekeeping, Kept
from batch_layer.publishing.rollback import roll_back
from batch_layer.run.steps import Outcome, Step
from oryx_py.adapters.clock import SystemClock
from oryx_py.adapters.generation_stores.local_store import LocalStore
from oryx_py.errors import BrokerUnavailable, UserError
from oryx_py.messages import Progress, encode
from oryx_py.model.checkpoints.checkpoint_files import Covered, write_checkpoint
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.runtime.checkpoints import name_of
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeProducer
from tests.support.batch import BatchWorld, Crash

USERS = [f"user {n}" for n in range(12)]
"""Some in each partition."""


class Tidied(BatchWorld):
    """A world whose runs end with step (h), in which a speed layer says what the test has it say."""

    def __init__(self, folder: Path, **kept: object) -> None:
        super().__init__(folder)
        self.admin = FakeAdmin(self.log)
        self.checkpoints = LocalStore(folder / "checkpoints")
        self.keep(**kept)

    def keep(self, **kept: object) -> None:
        """Have these settings from now on."""
        self.tidy = Housekeeping(
            registry=self.registry,
            store=self.store,
            admin=self.admin,
            new_consumer=lambda group: FakeConsumer(self.log, group),
            clock=SystemClock(),
            metrics=self.metrics,
            input_topic="in",
            update_topic="up",
            items_topic="items",
            group_id="speed",
            kept=Kept(**{"trim_keep_s": 0.0, "overlap_s": 0.0, **kept}),  # type: ignore[arg-type]
            checkpoints=self.checkpoints,
        )

    def generation(self, item: str, *, id_: bytes | None = None) -> str:
        """Let every user do something, and run."""
        self.send(*(f"{user},{item},1" for user in USERS), id_=id_)
        assert self.run() is Outcome.PUBLISHED
        return self.newest().name

    def announce(self, epoch: int, partitions: Iterable[int] = range(3)) -> None:
        """Say that an epoch is live, and that all dead letters are written up to the input's end."""
        live = dict.fromkeys(partitions, True)
        message = encode(Progress(input=self.admin.end_offsets("in"), live=live, epoch=epoch))
        producer = FakeProducer(self.log)
        for partition in range(2):
            producer.send("up", message.value, key=message.key, headers=message.headers, partition=partition)
        producer.flush(30)
        producer.close()
        FakeConsumer(self.log, "speed").commit({("in", p): o for p, o in self.admin.end_offsets("in").items()})

    def take(self, epoch: int, name: str, *, update: Mapping[int, int] | None = None) -> str:
        """Write a checkpoint of an epoch, up to here unless told otherwise."""
        entry, name = self.registry.read().epochs[epoch - 1], name_of(epoch, name)
        state = ModelState(Generation.open(self.store.local(entry.generation)), epoch)
        write_checkpoint(
            self.checkpoints.stage(name),
            name=name,
            epoch=epoch,
            generation=state.generation,
            created_ms=1,
            covered=Covered(self.admin.end_offsets("in"), [], dict(update or self.admin.end_offsets("up"))),
            changes=state.dump(),
            ids={},
        )
        self.checkpoints.commit(name)
        return name

    def starts(self, topic: str = "in") -> dict[int, int]:
        return self.admin.start_offsets(topic)


@pytest.fixture
def world(tmp_path: Path) -> Tidied:
    return Tidied(tmp_path)


def test_input_goes_up_to_what_the_epoch_before_the_newest_needs(world: Tidied) -> None:
    world.generation("tea")
    covered = dict(world.history.read().offsets)
    assert min(covered.values()) > 0
    world.announce(1)
    world.generation("jam")
    assert world.starts() == covered
    world.announce(2)
    assert world.run() is Outcome.NOTHING_NEW
    assert world.starts() == covered
    newer = dict(world.history.read().offsets)
    world.generation("egg")
    assert world.starts() == newer
    assert world.counted.get_sample_value("oryx_batch_trimmed_total", {"topic": "in"}) == sum(newer.values())


def test_updates_go_up_to_the_start_of_the_epoch_before_the_newest(world: Tidied) -> None:
    world.generation("tea")
    world.announce(1)
    world.generation("jam")
    world.announce(2)
    world.generation("egg")
    assert world.starts("up") == world.registry.read().epochs[1].start != {0: 0, 1: 0}
    for partition, refs in world.announced().items():
        assert [ref.epoch for ref in refs] == [2, 3], partition


def test_a_checkpoint_lets_nothing_go_that_a_start_without_it_needs(world: Tidied) -> None:
    """It may be damaged; then everything is read from the epoch's start."""
    world.generation("tea")
    world.announce(1)
    world.take(1, "1")
    world.generation("jam")
    world.announce(2)
    world.take(2, "2")
    world.run()
    assert world.starts("up") == world.registry.read().epochs[0].start
    world.generation("egg")
    assert world.starts("up") == world.registry.read().epochs[1].start != {0: 0, 1: 0}


def test_updates_after_a_checkpoint_stay(world: Tidied) -> None:
    """Also where it goes back further than its epoch; a damaged one, which nobody begins with, holds nothing."""
    world.generation("tea")
    world.announce(1)
    world.generation("jam")
    world.announce(2)
    back = {0: 1, 1: 0}
    name = world.take(2, "2", update=back)
    world.generation("egg")
    assert world.starts("up") == back
    (world.checkpoints.local(name) / "manifest.json").write_bytes(b"{}")
    world.run()
    assert world.starts("up") == world.registry.read().epochs[1].start


def test_checkpoints_of_epochs_that_nobody_holds_go(world: Tidied) -> None:
    world.generation("tea")
    world.announce(1)
    first = world.take(1, "1")
    world.generation("jam")
    world.announce(2)
    second = world.take(2, "2")
    assert world.checkpoints.generations() == [first, second]
    world.generation("egg")
    assert world.checkpoints.generations() == [second]


def test_while_a_newer_epoch_is_not_live_the_live_one_keeps_what_it_needs(world: Tidied) -> None:
    """However many are published meanwhile; one partition that is not live is enough."""
    world.generation("tea")
    covered = dict(world.history.read().offsets)
    world.announce(1)
    for item in ("jam", "egg", "ham"):
        world.generation(item)
        world.announce(2, partitions=[0, 2])
    assert world.starts() == covered
    assert world.starts("up") == world.registry.read().epochs[0].start
    world.announce(2, partitions=[1])
    world.run()
    assert world.starts("up") == world.registry.read().epochs[1].start


def test_while_none_is_live_all_is_kept(world: Tidied) -> None:
    for item in ("tea", "jam", "egg"):
        world.generation(item)
        FakeConsumer(world.log, "speed").commit({("in", p): o for p, o in world.admin.end_offsets("in").items()})
    assert world.starts("up") == {0: 0, 1: 0}
    first = world.store.local(world.registry.read().epochs[0].generation)
    assert first.exists()


def test_the_window_of_keys_before_a_generation_stays(world: Tidied) -> None:
    world.generation("tea", id_=b"k")
    world.announce(1)
    world.generation("jam")
    world.announce(2)
    world.generation("egg")
    assert world.starts() == {0: 0, 1: 0, 2: 0}
    assert world.starts("up") != {0: 0, 1: 0}


def test_what_may_hold_dead_letters_that_nobody_wrote_stays(world: Tidied) -> None:
    world.generation("tea")
    world.announce(1)
    covered = dict(world.history.read().offsets)
    FakeConsumer(world.log, "speed").commit({("in", 0): 1})
    del world.log.groups["speed"][("in", 1)]
    world.generation("jam")
    assert world.starts() == {0: 1, 1: 0, 2: covered[2]}


def test_what_is_younger_than_the_margin_stays(tmp_path: Path) -> None:
    world = Tidied(tmp_path, trim_keep_s=60.0)
    for number, item in enumerate(("tea", "jam", "egg"), 1):
        world.generation(item)
        world.announce(number)
    assert world.starts() == {0: 0, 1: 0, 2: 0}
    assert world.starts("up") == {0: 0, 1: 0}


def test_it_can_be_turned_off(tmp_path: Path) -> None:
    world = Tidied(tmp_path, trim=False)
    for number, item in enumerate(("tea", "jam", "egg"), 1):
        world.generation(item)
        world.announce(number)
    assert (world.starts(), world.starts("up")) == ({0: 0, 1: 0, 2: 0}, {0: 0, 1: 0})


def test_a_run_that_died_before_is_made_up_for(world: Tidied) -> None:
    world.generation("tea")
    covered = dict(world.history.read().offsets)
    world.announce(1)
    world.send(*(f"{user},jam,1" for user in USERS))
    with pytest.raises(Crash):
        world.run(crash_after=Step.EPOCH_ANNOUNCED)
    assert world.starts() == {0: 0, 1: 0, 2: 0}
    assert world.run() is Outcome.NOTHING_NEW
    assert world.starts() == covered


def test_what_fails_is_put_off_and_ends_no_run(world: Tidied, monkeypatch: pytest.MonkeyPatch) -> None:
    def unanswered(topic: str, before: object) -> None:
        raise BrokerUnavailable(topic)

    world.generation("tea")
    covered = dict(world.history.read().offsets)
    world.announce(1)
    with monkeypatch.context() as patch:
        patch.setattr(world.admin, "trim", unanswered)
        world.generation("jam")
    assert world.starts() == {0: 0, 1: 0, 2: 0}
    world.run()
    assert world.starts() == covered


def test_a_generation_that_cannot_be_read_keeps_all_input(world: Tidied) -> None:
    world.generation("tea")
    world.announce(1)
    (world.store.local(world.newest().name) / "manifest.json").write_text("torn")
    world.generation("jam")
    assert world.starts() == {0: 0, 1: 0, 2: 0}


def test_the_newest_generations_are_kept(tmp_path: Path) -> None:
    world = Tidied(tmp_path, generations=3)
    names = []
    for number, item in enumerate(("tea", "jam", "egg", "ham", "pie"), 1):
        names.append(world.generation(item))
        world.announce(number)
    assert world.store.generations() == names[2:]
    registry = world.registry.read()
    assert [registry.is_deleted(name) for name in names] == [True, True, False, False, False]
    assert [registry.state(name) for name in names] == ["retired"] * 4 + ["published"]
    with world.publisher() as publisher, pytest.raises(UserError, match="no published generation"):
        roll_back(world.registry, world.store, publisher, names[0])


def test_without_a_speed_layer_generations_go_all_the_same_and_input_stays(tmp_path: Path) -> None:
    """Nothing is ever live then, and nobody has written dead letters."""
    world = Tidied(tmp_path, generations=2)
    with structlog.testing.capture_logs() as events:
        names = [world.generation(item) for item in ("tea", "jam", "egg", "ham")]
        assert world.run() is Outcome.NOTHING_NEW
    assert not [event for event in events if event["log_level"] == "warning"]
    assert world.store.generations() == names[2:]
    assert world.starts() == {0: 0, 1: 0, 2: 0}


def test_live_used_and_next_to_roll_back_to_stay_however_few_are_kept(tmp_path: Path) -> None:
    world = Tidied(tmp_path, generations=5)
    names = []
    for item in ("tea", "jam", "egg", "ham"):
        names.append(world.generation(item))
    world.announce(4)
    with world.publisher() as publisher:
        assert roll_back(world.registry, world.store, publisher, names[1]).generation == names[1]
    world.announce(5)
    world.keep(generations=1)
    world.run()
    assert world.store.generations() == [names[0], names[1], names[3]]
    with world.publisher() as publisher:
        assert roll_back(world.registry, world.store, publisher, None).generation == names[0]


def test_a_deletion_that_died_half_way_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the commit of the registry on, nobody rolls back to what is to be deleted."""

    def die(_: str) -> None:
        raise Crash

    world = Tidied(tmp_path)
    first, second = world.generation("tea"), world.generation("jam")
    third = world.generation("egg")
    world.announce(3)
    world.keep(generations=1)
    with monkeypatch.context() as patch:
        patch.setattr(world.store, "delete", die)
        with pytest.raises(Crash):
            world.run()
    assert world.store.generations() == [first, second, third]
    with world.publisher() as publisher, pytest.raises(UserError, match="no published generation"):
        roll_back(world.registry, world.store, publisher, first)
    before = world.registry.read().number
    world.run()
    assert world.store.generations() == [second, third]
    assert world.registry.read().number == before


def test_a_rollback_at_the_same_time_wins_or_loses_but_never_publishes_what_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = Tidied(tmp_path)
    first = world.generation("tea")
    world.generation("jam")
    world.generation("egg")
    world.announce(3)
    world.keep(generations=1)
    stored = world.store.generations

    def meanwhile() -> list[str]:
        monkeypatch.undo()
        with world.publisher() as publisher:
            roll_back(world.registry, world.store, publisher, first)
        return stored()

    seen = world.registry.read()
    monkeypatch.setattr(world.store, "generations", meanwhile)
    world.tidy(seen, world.history.read())
    assert world.newest().name == first
