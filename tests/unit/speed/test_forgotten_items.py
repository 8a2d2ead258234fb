"""An item that very many know is forgotten: what that costs a step is bounded, and it is done in the end."""

from collections.abc import Callable

import numpy as np
import pytest

from oryx_py.events import Interaction
from oryx_py.messages import ItemGone, Update, UserGone, UserVector, encode, partition_of
from oryx_py.messages.blocks import PairsGone, expanded
from oryx_py.messages.item_state import ItemState
from oryx_py.model.state.histories import Histories
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.publishing.records import block_records, update_records
from speed_layer.sharing.share import Share
from speed_layer.solving.budget import Budget
from tests.property.test_epoch_fold import assert_close, read
from tests.support.generations import Pairs, at_rest, generation_of

K, PARTITIONS, MANY, SOLVES = 3, 4, 40, 5
BASE: Pairs = {f"u{n:02d}": {"p": 1.0 + n % 3, **({"q": 1.0} if n % 4 else {})} for n in range(MANY)}
Log = list[tuple[int, int, Interaction]]


def forget_in(partition: int, offset: int) -> tuple[int, int, Interaction]:
    return partition, offset, Interaction("", "p", None)


class Harness:
    """A fold, and a reader of what it says."""

    def __init__(self, owned: set[int] | None = None) -> None:
        rng = np.random.default_rng(3)
        factors = {item: rng.normal(size=K).astype(np.float32) for item in ("p", "q")}
        objective = Objective.mllib_implicit(lambda_=0.1, alpha=2.0)
        self.generation = generation_of(BASE, factors, objective, dict.fromkeys(range(PARTITIONS), (0, 0)))
        share = None if owned is None else Share(self.generation, owned, PARTITIONS)
        self.state, self.reader = ModelState(self.generation, 1), ModelState(self.generation, 1)
        self.fold = ExactFold(self.state, PARTITIONS, share=share)
        self.log: Log = []
        self.states: list[ItemState] = []

    def add(self, record: tuple[int, int, Interaction]) -> None:
        self.fold.add(record[2], record[0], record[1])
        self.log.append(record)

    def step(self, budget: Budget | None = None) -> list[Update]:
        said = self.fold.step(None, budget or Budget(SOLVES, None, SOLVES))
        self.states += [each for each in said if isinstance(each, ItemState)]
        updates = list(expanded(said))
        read(self.reader, updates)
        return updates

    def assert_at_rest(self) -> None:
        expected = at_rest(self.generation, BASE, self.log, PARTITIONS)
        for state in (self.state, self.reader):
            for name in BASE:
                user = state.users.find(name)
                known = state.items.ids(state.history(user)[0])
                assert set(known) == set(expected.pairs.get(name, {})), name
                assert_close(state.user_vector(user), expected.users.get(name), name)


@pytest.fixture
def scans(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The items whose users are looked for in the histories."""
    found: list[int] = []
    original: Callable[[Histories, int], np.ndarray] = Histories.users_of
    monkeypatch.setattr(Histories, "users_of", lambda self, item: found.append(item) or original(self, item))
    return found


@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "a-batch-each"])
def test_who_knows_it_is_looked_up_once_however_many_partitions_say_so(scans: list[int], together: bool) -> None:
    harness = Harness()
    for partition in range(PARTITIONS):
        harness.add(forget_in(partition, 7))
        if not together:
            harness.step()
    harness.step()
    assert scans == [harness.state.items.find("p")]


def test_what_nobody_knows_is_not_looked_for_among_all_that_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = Harness()
    harness.add((partition_of("new", PARTITIONS), 0, Interaction("new", "x", 1.0)))
    harness.step()
    monkeypatch.setattr(
        "oryx_py.model.state.pair_delta.PairDelta.holders", lambda *_: pytest.fail("everything is scanned")
    )
    for partition in range(PARTITIONS):
        harness.add((partition, 7, Interaction("", "never", None)))
    harness.step()
    assert harness.state.items.find("never") in harness.state.forgotten_items


def test_pairs_go_at_once_and_vectors_follow_within_the_budget_the_longest_waiting_first() -> None:
    harness = Harness()
    for partition in range(PARTITIONS):
        harness.add(forget_in(partition, 7))
    first = harness.step()
    assert {update.user for update in first if isinstance(update, UserGone)} == set(BASE)
    assert [update for update in first if isinstance(update, ItemGone)]
    moved = [[update.user for update in first if isinstance(update, UserVector)]]
    while harness.fold.stale:
        moved.append([update.user for update in harness.step() if isinstance(update, UserVector)])
    assert max(map(len, moved)) == SOLVES
    assert [user for users in moved for user in sorted(users)] == sorted(BASE)
    harness.assert_at_rest()


@pytest.mark.parametrize("together", [True, False], ids=["one-batch", "a-batch-each"])
def test_what_is_forgotten_once_more_has_its_vector_no_longer_than_the_forget_takes(together: bool) -> None:
    harness = Harness()
    for partition in range(PARTITIONS):
        harness.add(forget_in(partition, 7))
    for place, name in enumerate(BASE):
        harness.add((partition_of(name, PARTITIONS), 8 + place, Interaction(name, "p", 2.0)))
    harness.step(Budget())
    for reader in (harness.state, harness.reader):
        assert reader.item_vector(reader.items.find("p")) is not None, "it is new, and known"
    for partition in range(PARTITIONS):
        harness.add(forget_in(partition, 100))
        if not together:
            harness.step()
    harness.step()
    assert harness.fold.shaken, "its users are not through yet"
    for reader in (harness.state, harness.reader):
        assert reader.item_vector(reader.items.find("p")) is None
    while harness.fold.stale:
        harness.step()
    harness.assert_at_rest()


def test_removals_go_out_within_the_budget_and_nothing_is_announced_before() -> None:
    harness = Harness()
    for partition in range(PARTITIONS):
        harness.add(forget_in(partition, 7))
    told: list[list[str]] = []
    while not told or harness.fold.unsaid:
        updates = harness.step(Budget(SOLVES, None, SOLVES, SOLVES))
        told.append([update.user for update in updates if isinstance(update, UserGone)])
        assert not told[1:] or not [update for update in updates if isinstance(update, ItemGone)], "that comes first"
    assert max(map(len, told)) == SOLVES
    assert sorted(user for users in told for user in users) == sorted(BASE), "each once"
    while harness.fold.stale:
        harness.step()
    harness.assert_at_rest()


def test_who_does_something_is_told_of_before_that() -> None:
    harness = Harness()
    for partition in range(PARTITIONS):
        harness.add(forget_in(partition, 7))
    little = Budget(SOLVES, None, SOLVES, 1)
    harness.step(little.again())
    last = max(BASE)
    assert harness.fold.unsaid == MANY - 1
    harness.add((partition_of(last, PARTITIONS), 8, Interaction(last, "p", 3.0)))
    updates = harness.step(little.again())
    theirs = [update for update in updates if isinstance(update, UserGone | UserVector) and update.user == last]
    assert isinstance(theirs[0], UserGone)
    assert harness.reader.knows(harness.reader.users.find(last), harness.reader.items.find("p"))
    while harness.fold.stale or harness.fold.unsaid:
        harness.step()
    harness.assert_at_rest()


def test_of_users_who_are_anothers_nothing_more_is_said() -> None:
    harness = Harness({0, 1})
    for partition in (0, 1):
        harness.add(forget_in(partition, 7))
    harness.step(Budget(0, 0, 0, 0))
    assert harness.fold.unsaid == sum(partition_of(user, PARTITIONS) in {0, 1} for user in BASE)
    harness.fold.release({1: -1})
    left = {user for user in BASE if partition_of(user, PARTITIONS) == 0}
    assert harness.fold.unsaid == len(left)
    assert {update.user for update in harness.step() if isinstance(update, UserGone)} == left


def test_who_does_something_meanwhile_is_solved_with_that_and_not_again() -> None:
    harness = Harness()
    for partition in range(PARTITIONS):
        harness.add(forget_in(partition, 7))
    harness.step()
    last = max(BASE)
    harness.add((partition_of(last, PARTITIONS), 8, Interaction(last, "q", 3.0)))
    moved = [update.user for update in harness.step() if isinstance(update, UserVector)]
    assert moved[0] == last
    while harness.fold.stale:
        assert last not in [update.user for update in harness.step() if isinstance(update, UserVector)]
    harness.assert_at_rest()


@pytest.mark.parametrize("folded", [1, 3])
def test_who_waits_for_his_slice_forgets_too_and_who_comes_back_does_not(folded: int) -> None:
    """Some are folded when the forget comes, others are still in the same cut, others came after it."""
    harness, users = Harness(), [f"n{n}" for n in range(6)]
    for offset, name in enumerate(users):
        harness.add((partition_of(name, PARTITIONS), offset, Interaction(name, "x", 1.0)))

    def slice_() -> None:
        read(harness.reader, list(expanded(harness.fold.step(1, Budget(SOLVES, None, SOLVES)))))

    for _ in range(folded):
        slice_()
    for name in ("late", "later"):
        harness.add((partition_of(name, PARTITIONS), 10, Interaction(name, "x", 1.0)))
    for partition in range(PARTITIONS):
        harness.add((partition, 20, Interaction("", "x", None)))
    harness.add((partition_of(users[-1], PARTITIONS), 21, Interaction(users[-1], "x", 2.0)))
    while harness.fold.pending or harness.fold.stale:
        slice_()
    for state in (harness.state, harness.reader):
        knows = [name for name in (*users, "late", "later") if len(state.history(state.users.find(name))[0])]
        assert knows == users[-1:]


def test_a_state_is_not_at_rest_while_users_are_behind_what_was_announced() -> None:
    harness = Harness()
    for partition in range(PARTITIONS):
        harness.add(forget_in(partition, 7))
    harness.step()
    assert harness.fold.shaken == MANY - SOLVES
    while harness.fold.stale:
        harness.step()
    assert not harness.fold.shaken


def test_a_state_with_another_partitions_forget_is_solved_again_for_it() -> None:
    """A checkpoint of parts has everybody's forgotten items, and a part's users may not have heard of it."""
    harness = Harness()
    harness.state.apply(ItemGone("p", 1))
    again = ExactFold(harness.state, PARTITIONS)
    assert again.shaken == MANY


def test_pairs_that_are_gone_are_told_to_others_within_the_budget() -> None:
    owned = {0, 1}
    harness = Harness(owned)
    ours = {name for name in BASE if partition_of(name, PARTITIONS) in owned}
    for partition in sorted(owned):
        harness.add(forget_in(partition, 7))
    counts = []
    while harness.fold.pending or harness.fold.stale:
        before = len(harness.states)
        harness.step()
        counts.append(sum(bool(state.user) for state in harness.states[before:]))
    assert max(counts) <= 2 * SOLVES
    gone = [state for state in harness.states if state.user and state.vector is None]
    assert {state.user for state in gone} == ours
    assert {state.input for state in gone} == {7}


def test_who_has_a_pair_waiting_that_is_gone_says_the_rest_once() -> None:
    """It is over, however he moves; else each of very many would say all of his new items once more."""
    harness, who = Harness(set(range(PARTITIONS))), "u01"
    home = partition_of(who, PARTITIONS)
    harness.add((home, 5, Interaction(who, "new", 1.0)))
    harness.step()
    for partition in range(PARTITIONS):
        harness.add(forget_in(partition, 7))
    harness.step(Budget(0, None, 0))
    harness.states.clear()
    harness.add((home, 8, Interaction(who, "q", 3.0)))
    harness.step(Budget(0, None, 1))
    while harness.fold.stale:
        harness.step()
    assert [state.input for state in harness.states if (state.user, state.item) == (who, "new")] == [8]
    assert [state.input for state in harness.states if (state.user, state.item) == (who, "p")] == [7]


def test_many_removals_are_on_the_wire_as_each_by_itself() -> None:
    block = PairsGone(
        users=["a", 'b"é', "a"],
        handles=np.arange(3),
        items=["p", "q\\", "x"],
        item_handles=np.arange(3),
        epoch=4,
        inputs=np.array([0, 12, 12]),
        term=9,
    )
    alone = [record for each in expanded([block]) for record in update_records(each, "updates", 3, 1 << 20)]
    assert block_records(block, "updates", 3, 1 << 20) == alone
    assert [encode(each).value for each in expanded([block])] == [record.value for record in alone]
