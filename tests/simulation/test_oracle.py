"""The oracle itself, against what follows from the contract by hand."""

import numpy as np
import pytest

from oryx_py.events import FoldSettings
from oryx_py.events.fold import KindSettings
from oryx_py.numerics.objective import Objective
from tests.simulation.dense import solved
from tests.simulation.engine import Made
from tests.simulation.oracle import as_of, at_rest, counting, folded
from tests.simulation.told import Told

PLAIN = FoldSettings(feedback="implicit")
HOME = {"a": 0, "b": 0, "c": 1}


def add(offset: int, user: str, item: str, strength: float = 1.0, **more: object) -> Told:
    return Told(HOME[user], offset, 1000 * offset, "add", user, item, strength, **more)  # type: ignore[arg-type]


def test_two_posts_add_up_and_a_delete_takes_all() -> None:
    told = [add(0, "a", "p"), add(1, "a", "p", 2.0), add(2, "b", "p"), Told(0, 3, 3000, "delete", "b", "p")]
    assert folded(told, PLAIN, 0, HOME) == {"a": {"p": 3.0}}


def test_an_item_is_forgotten_in_the_partition_that_says_so() -> None:
    told = [add(0, "a", "p"), add(0, "c", "p"), Told(0, 1, 1000, "forget item", "", "p"), add(2, "a", "p", 5.0)]
    assert folded(told, PLAIN, 0, HOME) == {"a": {"p": 5.0}, "c": {"p": 1.0}}


def test_a_key_counts_once_within_the_window_even_after_a_repeat() -> None:
    fold = FoldSettings(feedback="implicit", dedupe_window_s=2.0)
    told = [add(offset, "a", "p", id=b"k") for offset in (0, 2, 4, 7)]
    assert [record.offset for record in counting(told, fold)] == [0, 7]


def test_decay_has_its_reference_in_what_the_generation_covers() -> None:
    fold = FoldSettings(feedback="implicit", half_life_s=1.0, kinds={"buy": KindSettings(4.0)}, zero_threshold=0.2)
    told = [add(0, "a", "p"), add(1, "a", "q"), add(2, "a", "r"), add(3, "a", "s"), add(4, "a", "t", kind="buy")]
    assert as_of(told, {0: 3}) == 2000
    assert folded(told, fold, 2000, HOME) == {"a": {"p": 0.25, "q": 0.5, "r": 1.0, "s": 1.0, "t": 4.0}}
    assert "p" not in folded(told, fold, 3000, HOME)["a"], "an eighth is below the threshold"


def test_levels_have_no_feedback() -> None:
    """With one feature every system is a fraction: x = Σ t y / (g Y'Y + Σ w y² + λ n)."""
    objective = Objective.mllib_implicit(lambda_=1.0, alpha=1.0)
    made = Made({"a": np.array([1.0])}, {"p": np.array([1.0])}, objective, PLAIN, {0: 1, 1: 0})
    told = [add(0, "a", "p"), add(1, "a", "new"), add(0, "c", "new")]
    rest = at_rest(told, made, HOME)
    assert rest.users["a"] == pytest.approx([2 / 3]), "of p alone"
    item = (2 * 2 / 3) / (1 + 4 / 9 + 1)
    assert rest.items["new"] == pytest.approx([item]), "of a alone: c has only new items"
    assert rest.users["c"] == pytest.approx([2 * item / (1 + item**2 + 1)])
    forgotten = at_rest(
        [*told, Told(1, 1, 0, "forget item", "", "p"), Told(0, 2, 0, "forget item", "", "p")], made, HOME
    )
    assert forgotten.users == {}
    assert forgotten.items == {}
    assert forgotten.pairs == {"a": {"new": 1.0}, "c": {"new": 1.0}}


def test_without_a_preference_there_is_nothing_to_solve() -> None:
    objective = Objective.mllib_implicit(lambda_=0.0, alpha=1.0)
    assert solved({"p": -1.0}, {"p": np.ones(2)}, np.eye(2), 1, objective).tolist() == [0, 0]
