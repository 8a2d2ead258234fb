"""Work that others' interactions cause is bounded in each step, coalesced, and done in the end."""

import numpy as np
import pytest

from oryx_py.events import Interaction
from oryx_py.messages import ItemVector, UserVector
from oryx_py.messages.blocks import expanded
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.solving.budget import Budget
from tests.property.test_epoch_fold import assert_close
from tests.support.generations import Pairs, at_rest, generation_of

K = 3
MANY = 300
SOLVES, PAIRS = 10, 1_000
BASE: Pairs = {"hot": {"p": 1.0, "q": 2.0}, "other": {"q": 1.0}, "third": {"p": 3.0}}


class Harness:
    """A fold with its log, one partition."""

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        factors = {item: rng.normal(size=K).astype(np.float32) for item in ("p", "q", "r")}
        objective = Objective.mllib_implicit(lambda_=0.1, alpha=2.0)
        self.generation = generation_of(BASE, factors, objective, {0: (0, 0)})
        self.state = ModelState(self.generation, 1)
        self.fold = ExactFold(self.state, 1)
        self.log: list[tuple[int, int, Interaction]] = []

    def add(self, user: str, item: str, strength: float | None = 1.0) -> None:
        interaction = Interaction(user, item, strength)
        self.fold.add(interaction, 0, len(self.log))
        self.log.append((0, len(self.log), interaction))

    def step(self) -> list[UserVector | ItemVector]:
        return [
            update
            for update in expanded(self.fold.step(None, Budget(SOLVES, PAIRS)))
            if isinstance(update, UserVector | ItemVector)
        ]

    def rest(self) -> int:
        """Step until nothing is stale; return how many steps that took."""
        steps = 0
        while self.fold.stale:
            assert self.step(), "a step with something stale does something"
            steps += 1
        return steps

    def assert_at_rest(self) -> None:
        expected = at_rest(self.generation, BASE, self.log, 1)
        for vectors, names, found in (
            (expected.users, self.state.users, self.state.user_vector),
            (expected.items, self.state.items, self.state.item_vector),
        ):
            for name, vector in vectors.items():
                assert_close(found(names.find(name)), vector, name)


def test_a_user_with_many_new_items_does_not_have_all_of_them_sent_at_once() -> None:
    harness = Harness()
    for number in range(MANY):
        harness.add("hot", f"new{number}")
    harness.step()
    harness.rest()
    harness.assert_at_rest()
    harness.add("hot", "p")
    harness.add("other", "r")
    sent = harness.step()
    assert [update.user for update in sent[:2] if isinstance(update, UserVector)] == ["hot", "other"]
    assert len(sent) == 2 + SOLVES
    assert harness.fold.stale == MANY - SOLVES
    assert harness.rest() == MANY // SOLVES - 1
    harness.assert_at_rest()


def test_stale_items_are_solved_once_for_many_interactions_and_the_longest_waiting_first() -> None:
    harness = Harness()
    for number in range(MANY):
        harness.add("hot", f"new{number}")
    harness.step()
    harness.rest()
    solved: list[str] = []
    for _ in range(MANY // SOLVES):
        harness.add("hot", "p")
        solved += [update.item for update in harness.step() if isinstance(update, ItemVector)]
    assert sorted(solved) == sorted(f"new{number}" for number in range(MANY)), "each once, though he moved every time"
    harness.rest()
    harness.assert_at_rest()


def test_users_who_know_only_an_item_that_moves_are_not_all_sent_at_once() -> None:
    harness = Harness()
    harness.add("hot", "new")
    for number in range(MANY):
        harness.add(f"follower{number}", "new")
    assert len([update for update in harness.step() if isinstance(update, UserVector)]) >= MANY
    harness.rest()
    harness.assert_at_rest()
    harness.add("third", "new")
    harness.add("other", "p")
    sent = harness.step()
    assert {"third", "other"} <= {update.user for update in sent if isinstance(update, UserVector)}
    assert [update.item for update in sent if isinstance(update, ItemVector)] == ["new"], (
        "what a record names moves now"
    )
    assert len(sent) == 3 + SOLVES
    harness.rest()
    harness.assert_at_rest()


def test_what_was_stale_in_a_state_that_is_taken_over_is_solved() -> None:
    harness = Harness()
    for number in range(MANY):
        harness.add("hot", f"new{number}")
        harness.add(f"follower{number}", f"new{number}")
    harness.step()
    harness.rest()
    harness.add("hot", "p")
    harness.step()
    assert harness.fold.stale
    taken = ModelState(harness.generation, 1)
    taken.load(harness.state.dump(), dict(harness.state.progress()), [])
    harness.state, harness.fold = taken, ExactFold(taken, 1)
    harness.rest()
    harness.assert_at_rest()


def test_an_item_of_more_users_than_the_budget_is_solved_all_the_same() -> None:
    harness = Harness()
    for number in range(2 * PAIRS):
        harness.add(f"user{number}", "new")
        harness.add(f"user{number}", "p")
    sent = harness.step()
    assert "new" in {update.item for update in sent if isinstance(update, ItemVector)}
    assert not harness.fold.stale


@pytest.mark.parametrize("who", ["hot", "third"])
def test_a_follower_who_comes_to_know_an_old_item_is_no_follower_any_more(who: str) -> None:
    harness = Harness()
    harness.add("hot", "new")
    for number in range(3 * SOLVES):
        harness.add(f"follower{number}", "new")
    harness.step()
    harness.rest()
    harness.add(who, "new")
    harness.step()
    for number in range(3 * SOLVES):
        harness.add(f"follower{number}", "q")
    harness.step()
    harness.rest()
    harness.assert_at_rest()


def test_a_budget_grants_the_first_whatever_it_weighs() -> None:
    granted, rest = Budget(5, 10).affordable([1, 2, 3], lambda _: 100)
    assert (granted, list(rest)) == ([1], [2, 3])
    budget = Budget(2, None)
    granted, rest = budget.affordable([1, 2, 3], lambda _: 100)
    assert (granted, list(rest)) == ([1, 2], [3])
    assert budget.spent
    assert not Budget().spent


def test_users_come_to_their_turn_though_items_become_stale_as_fast_as_they_are_solved() -> None:
    harness = Harness()
    harness.add("third", "new")
    followers = [f"follower{number}" for number in range(4 * SOLVES)]
    for follower in followers:
        harness.add(follower, "new")
    for number in range(MANY):
        harness.add("hot", f"new{number}")
    harness.step()
    harness.rest()
    harness.add("third", "p")
    solved: set[str] = set()
    for _ in range(2 * MANY // SOLVES):
        harness.add("hot", "p")
        solved |= {update.user for update in harness.step() if isinstance(update, UserVector)}
        assert harness.fold.stale >= SOLVES, "there is always more"
    assert solved >= set(followers)
    harness.rest()
    harness.assert_at_rest()


@pytest.mark.parametrize("solves", [1, 2, 7])
def test_a_part_that_is_set_aside_is_half_at_most_and_leaves_one_vector_at_least(solves: int) -> None:
    budget = Budget(solves, 4)
    kept = budget.reserve(100)
    granted, _ = budget.affordable(range(100), lambda _: 0)
    of_users, _ = kept.affordable(range(100), lambda _: 0)
    assert len(granted) >= len(of_users) >= 1
    assert len(granted) + len(of_users) == max(2, solves)


def test_what_is_not_used_of_a_part_is_there_again_and_nothing_is_set_aside_of_nothing() -> None:
    budget = Budget(10, None)
    budget.take_back(budget.reserve(100))
    assert len(budget.affordable(range(100), lambda _: 1)[0]) == 10
    silent = Budget(0, 0, 0)
    assert silent.reserve(5).spent
    assert silent.spent


def test_what_is_owed_is_what_was_stale_and_not_what_has_become_so_since() -> None:
    harness = Harness()
    for number in range(MANY):
        harness.add("hot", f"new{number}")
    harness.step()
    harness.rest()
    harness.fold.resend()
    harness.fold.owe()
    steps = 0
    while harness.fold.owed:
        harness.add("hot", "p")
        harness.step()
        steps += 1
    assert steps == MANY // SOLVES
    assert harness.fold.stale == MANY - SOLVES, "of his last move but those of the last step"
    harness.rest()
    harness.assert_at_rest()
