"""What a start sends once more goes out within the budgets, all of it, and that all is said comes last."""

from collections.abc import Sequence

import numpy as np
import pytest
from msgspec.structs import replace

from oryx_py.events import Interaction
from oryx_py.messages import ItemVector, UserVector, partition_of
from oryx_py.messages.blocks import Updates, expanded
from oryx_py.messages.item_state import ItemState
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.sharing.share import Share
from speed_layer.solving.budget import Budget
from tests.support.generations import Pairs, generation_of

PARTITIONS, NEW, BOUND = 3, 12, 2
BASE: Pairs = {user: {"p": 1.0} for user in "abcdef"}


def folded(owned: set[int] | None) -> ExactFold:
    """A fold of a log in which old users know new items, one of which nobody knows any more, and new users know one."""
    factors = {"p": np.ones(3, np.float32), "q": np.array([1, 2, 3], np.float32)}
    objective = Objective.mllib_implicit(lambda_=0.1, alpha=2.0)
    generation = generation_of(BASE, factors, objective, dict.fromkeys(range(PARTITIONS), (0, 0)))
    share = None if owned is None else Share(generation, owned, PARTITIONS)
    fold = ExactFold(ModelState(generation, 1), PARTITIONS, share=share)
    rows = [(user, f"x{number}", 1.0) for user in BASE for number in range(NEW)]
    rows += [(user, "x0", None) for user in BASE]
    rows += [(f"new{number}", "x1", 1.0) for number in range(6)]
    for offset, (user, item, strength) in enumerate(rows):
        home = partition_of(user, PARTITIONS)
        if owned is None or home in owned:
            fold.add(Interaction(user, item, strength), home, offset)
    fold.flush()
    return fold


def in_steps(fold: ExactFold) -> list[Sequence[Updates]]:
    steps = []
    while fold.pending or fold.stale:
        steps.append(fold.step(None, Budget(BOUND, None, BOUND)))
        assert len(steps) < 1_000
    return steps


@pytest.mark.parametrize("owned", [None, {0, 1, 2}, {0, 1}], ids=["alone", "all", "some"])
def test_all_comes_once_more_and_little_of_it_in_a_step(owned: set[int] | None) -> None:
    fold = folded(owned)
    state = fold.state
    mine = set(range(PARTITIONS)) if owned is None else owned
    assert fold.resend() == []
    steps = in_steps(fold)
    for said in steps:
        vectors = [each for each in expanded(said) if isinstance(each, ItemVector | UserVector)]
        assert len(vectors) <= BOUND
        assert sum(isinstance(each, ItemState) for each in said) <= BOUND
    said = [each for step in steps for each in step]
    sent = list(expanded(said))
    items = {f"x{number}" for number in range(NEW) if partition_of(f"x{number}", PARTITIONS) in mine}
    vectors = {each.item: each.vector for each in sent if isinstance(each, ItemVector)}
    assert set(vectors) == items
    assert "x0" not in items or vectors["x0"] is None
    level3 = {f"new{number}" for number in range(6) if partition_of(f"new{number}", PARTITIONS) in mine}
    assert {each.user for each in sent if isinstance(each, UserVector)} == level3
    feeding = {user for user in BASE if partition_of(user, PARTITIONS) in mine}
    pairs = {(user, f"x{number}") for user in feeding for number in range(1, NEW)} if owned is not None else set()
    told = [(each.user, each.item) for each in said if isinstance(each, ItemState)]
    assert set(told) == pairs
    assert state.item_vector(state.items.find("x1")) is not None


def test_a_start_comes_to_its_end_though_what_is_said_to_others_changes_faster_than_it_is_said() -> None:
    """All said is said when everything was said once: of what has changed since, as of every change, later."""
    owned = {0, 1}
    fold = folded(owned)
    fold.resend()
    fold.owe()
    mine = [user for user in BASE if partition_of(user, PARTITIONS) in owned]
    told: set[tuple[str, str]] = set()
    for offset in range(1_000, 2_000):
        if not fold.owed:
            break
        for user in mine:
            fold.add(Interaction(user, "q", 1.0), partition_of(user, PARTITIONS), offset)
        said = fold.step(None, Budget(BOUND, None, BOUND))
        told |= {(each.user, each.item) for each in said if isinstance(each, ItemState)}
        assert fold.stale > BOUND
    else:
        pytest.fail("for ever")
    assert told == {(user, f"x{number}") for user in mine for number in range(1, NEW)}


def test_a_vector_that_a_former_owner_may_have_sent_is_taken_back_though_its_item_is_heard_of_late() -> None:
    """Its only user is another's and knows it no more: that is heard after all was sent once more."""
    item = next(name for name in (f"late{number}" for number in range(100)) if partition_of(name, PARTITIONS) == 0)
    user = next(name for name in BASE if partition_of(name, PARTITIONS) != 0)
    fold = folded({0})
    fold.resend()
    fold.flush()
    assert fold.peers is not None
    gone = ItemState(item, user, epoch=1, input=7, term=1)
    fold.peers.hear_state(gone)
    [taken_back] = fold.flush()
    assert isinstance(taken_back, ItemVector)
    assert (taken_back.item, taken_back.vector) == (item, None)
    fold.peers.hear_state(replace(gone, input=8))
    assert fold.flush() == []
