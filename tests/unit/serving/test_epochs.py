"""Which epochs are held, and which is served: every rule by itself, then all of them against a random history."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oryx_py.messages import Progress
from oryx_py.model.epochs.announcements import Announcements
from oryx_py.model.epochs.registry import EpochStarted
from serving_layer.epoch_sources.epoch_choice import Standing, first_choice, held_epochs, may_serve, missing_partitions
from serving_layer.following.refused_epochs import RefusedEpochs

PARTITIONS = range(2)


def epochs(count):
    return [EpochStarted(number, f"g{number}", {0: 0}, 0) for number in range(1, count + 1)]


def announced(*live_epochs):
    announcements = Announcements()
    for epoch in live_epochs:
        announcements.add(Progress({0: 1, 1: 1}, {0: True, 1: True}, epoch), 0)
    return announcements


def standing(epoch, *, caught_up=True, progress=(5, 5), live=(True, True)):
    return Standing(epoch, caught_up, [dict(enumerate(progress))], [dict(enumerate(live))])


def serves(candidate, served, *, require_live=True, first=None):
    return may_serve(candidate, served, PARTITIONS, require_live=require_live, first=first)


def held(count, refused=(), *, served=None, first=None, live=(), under_way=(), back_at=None):
    entries = [replace(entry, reason="went back") if entry.epoch == back_at else entry for entry in epochs(count)]
    found = held_epochs(entries, refused, served=served, first=first, live=live, under_way=under_way)
    return [entry.epoch for entry in found]


def test_a_start_serves_the_newest_epoch_that_is_live():
    assert first_choice(epochs(3), announced(3), PARTITIONS, require_live=True) == 3


def test_a_start_serves_the_one_before_while_the_newest_is_not_live():
    assert first_choice(epochs(3), announced(1, 2), PARTITIONS, require_live=True) == 2
    assert first_choice(epochs(3), announced(), PARTITIONS, require_live=True) == 2


def test_a_start_passes_over_epochs_that_never_went_live():
    assert first_choice(epochs(3), announced(1), PARTITIONS, require_live=True) == 1
    assert first_choice(epochs(5), announced(1, 2), PARTITIONS, require_live=True) == 2


def test_a_start_serves_the_only_epoch_even_if_it_is_not_live():
    assert first_choice(epochs(1), announced(), PARTITIONS, require_live=True) == 1
    assert first_choice([], announced(), PARTITIONS, require_live=True) is None


def test_without_a_speed_layer_a_start_serves_the_newest():
    assert first_choice(epochs(3), announced(), PARTITIONS, require_live=False) == 3


def test_an_epoch_live_in_some_partitions_only_is_not_live():
    announcements = Announcements()
    announcements.add(Progress({0: 1}, {0: True}, 2), 0)
    assert first_choice(epochs(2), announcements, PARTITIONS, require_live=True) == 1


def test_the_first_choice_is_loaded_before_the_newest():
    assert held(3, first=2) == [2, 3]
    assert held(3, first=3) == [3]


def test_while_none_is_live_the_newest_is_held_beside_the_served_epoch_and_no_third():
    assert held(5, served=2) == [2, 5]
    assert held(5, served=5) == [5]
    assert held(5, served=2, live={1, 2}) == [2, 5]
    assert held(5, served=2, under_way={4}) == [2, 5]


def test_a_live_epoch_is_held_and_not_a_newer_one_that_is_not_live():
    """The speed layer leaves the served one for it, and nobody knows when the newer goes live."""
    assert held(5, served=2, live={3}) == [2, 3]
    assert held(5, served=2, live={3}, under_way={5}) == [2, 3]
    assert held(5, served=2, live={3, 4}) == [2, 4]
    assert held(5, first=2, live={3}) == [2, 3]


def test_a_live_epoch_under_way_is_not_put_aside_for_a_newer_one_that_is_live_too():
    """Epochs that come faster than one is loaded would never be served."""
    assert held(5, served=2, live={3, 4, 5}, under_way={3}) == [2, 3]
    assert held(5, served=2, live={3, 4, 5}, under_way={2}) == [2, 5]


def test_an_epoch_that_an_operator_went_back_to_is_held_as_soon_as_it_is_live():
    assert held(4, served=2, live={3}, under_way={3}, back_at=4) == [2, 3]
    assert held(4, served=2, live={3, 4}, under_way={3}, back_at=4) == [2, 4]
    assert held(5, served=2, live={3, 4, 5}, under_way={3}, back_at=4) == [2, 5]
    assert held(5, served=2, live={3, 4, 5}, under_way={4}, back_at=4) == [2, 4]


def test_a_live_epoch_that_is_refused_holds_up_no_other():
    assert held(4, {3}, served=2, live={3}) == [2, 4]
    assert held(4, {3}, served=2, live={3}, under_way={3}) == [2, 4]


def test_what_was_announced_of_epochs_passed_by_is_not_kept():
    announcements = announced(1, 2, 3)
    announcements.add(Progress({0: 1}, {0: True}, 4), 0)
    assert announcements.live(PARTITIONS) == {1, 2, 3}
    announcements.drop_below(3)
    assert announcements.live(PARTITIONS) == {3}
    assert announcements.of(2).input == {}


def test_a_refused_epoch_makes_room_for_the_one_below_it():
    assert held(5, {5}, served=3) == [3, 4]
    assert held(5, {4, 5}, served=3) == [3]
    assert held(2, {1, 2}) == []


def test_the_served_epoch_is_kept_whatever_is_refused():
    assert held(3, {1, 2, 3}, served=2) == [2]


def test_nothing_is_served_before_it_is_caught_up():
    assert not serves(standing(2, caught_up=False), None, first=2)
    assert not serves(standing(2, caught_up=False), standing(1), require_live=False)


def test_the_first_epoch_is_served_as_soon_as_it_is_caught_up():
    assert serves(standing(2, live=(False, False)), None, first=2)


def test_another_than_the_first_choice_has_to_be_live():
    assert not serves(standing(3, live=(True, False)), None, first=2)
    assert serves(standing(3), None, first=2)


def test_a_swap_waits_until_every_input_partition_is_live():
    assert not serves(standing(2, live=(True, False)), standing(1))
    assert serves(standing(2), standing(1))
    assert missing_partitions(standing(2, live=(False, True)), standing(1), PARTITIONS) == [0]


def test_a_swap_waits_until_the_new_epoch_is_nowhere_behind():
    assert not serves(standing(2, progress=(5, 4)), standing(1))
    assert serves(standing(2, progress=(6, 5)), standing(1))
    assert missing_partitions(standing(2, progress=(5, 4)), standing(1), PARTITIONS) == [1]


def test_live_counts_in_every_update_partition():
    two = Standing(2, True, [{0: 5, 1: 5}] * 2, [{0: True, 1: True}, {0: True}])
    one = Standing(1, True, [{0: 5, 1: 5}] * 2, [{}, {}])
    assert not serves(two, one)
    assert missing_partitions(two, one, PARTITIONS) == [1]


def test_without_a_speed_layer_a_swap_happens_at_once():
    assert serves(standing(2, live=(False, False), progress=(0, 0)), standing(1), require_live=False)


def test_no_older_epoch_is_ever_served_again():
    assert not serves(standing(1), standing(2), require_live=False)
    assert not serves(standing(2), standing(2), require_live=False)


@given(
    count=st.integers(0, 6),
    refused=st.sets(st.integers(1, 6)),
    served=st.none() | st.integers(1, 6),
    first=st.none() | st.integers(1, 6),
    live=st.sets(st.integers(1, 6)),
    under_way=st.sets(st.integers(1, 6)),
)
def test_at_most_two_epochs_are_held_and_none_below_the_served_one(count, refused, served, first, live, under_way):
    served = served if served is not None and served <= count else None
    first = first if first is not None and first <= count and first not in refused else None
    numbers = held(count, refused, served=served, first=first, live=live, under_way=under_way)
    assert len(numbers) == len(set(numbers)) <= 2
    assert served is None or (numbers[0] == served and min(numbers) == served)
    assert not (set(numbers) - {served}) & refused
    assert served is not None or first is None or numbers[0] == first
    keep = served if served is not None else first if first is not None else 0
    could_be_served = live & set(range(keep + 1, count + 1)) - refused
    assert not could_be_served or numbers[-1] in could_be_served


def test_a_refused_epoch_is_tried_again_later_and_later():
    refusals = RefusedEpochs(retry_s=10)
    entry = epochs(1)[0]
    refusals.add(entry, "damaged", now=0)
    assert refusals.closed(9.9, under_way=False) == {1}
    assert refusals.closed(10, under_way=False) == set()
    assert refusals.closed(10, under_way=True) == {1}, "it would put aside what is under way"
    refusals.add(entry, "damaged still", now=10)
    assert refusals.closed(29.9, under_way=False) == {1}
    assert refusals.reasons() == ["epoch 1 (generation g1) cannot be loaded: damaged still"]
    for _ in range(20):
        refusals.add(entry, "damaged", now=0)
    assert refusals.closed(320, under_way=False) == set()


def test_what_is_served_clears_the_refusals_below_it():
    refusals = RefusedEpochs(retry_s=10)
    for entry in epochs(3):
        refusals.add(entry, "damaged", now=0)
    refusals.drop_below(2)
    assert refusals.closed(0, under_way=False) == {3}
