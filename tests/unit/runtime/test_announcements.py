"""Which ``PROGRESS`` of the update topic counts when a process starts."""

from oryx_py.adapters.clock import SystemClock
from oryx_py.messages import Progress, encode
from oryx_py.model.epochs.announcements import Announced
from oryx_py.model.epochs.registry import EpochStarted
from oryx_py.ports import Outgoing, TopicSpec
from oryx_py.runtime.announcements import read_announcements
from oryx_py.testing.fake_log import FakeConsumer, FakeLog


def announced(*sent: tuple[int, int], epochs: list[EpochStarted]) -> dict[int, Announced]:
    """What is known of the epochs after so many PROGRESS of (epoch, input offset), in this order."""
    log = FakeLog()
    log.create(TopicSpec("up", 1, 1, {}))
    for epoch, offset in sent:
        message = encode(Progress({0: offset}, {0: True}, epoch))
        log.append(Outgoing("up", message.value, message.key, message.headers, 0))
    found = read_announcements(FakeConsumer(log), "up", epochs, {0: 0}, {0: len(sent)}, clock=SystemClock())
    return {number: found.of(number) for number in range(5)}


def test_what_was_sent_below_an_epochs_start_is_none_of_its_own() -> None:
    """A number that a publisher made up, and that the registry gave to another epoch later."""
    epochs = [EpochStarted(1, "g1", {0: 0}, 0), EpochStarted(3, "g2", {0: 2}, 0)]
    found = announced((1, 5), (3, 99), (3, 7), (1, 6), epochs=epochs)
    assert found[1].input == {0: 6}
    assert found[3].input == {0: 7}


def test_an_epoch_that_the_registry_does_not_have_has_announced_nothing() -> None:
    found = announced((2, 9), (1, 5), epochs=[EpochStarted(1, "g1", {0: 0}, 0)])
    assert found[2] == Announced()
    assert found[1].is_live([0])
