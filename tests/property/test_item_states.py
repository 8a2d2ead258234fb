"""Laws of the item topic: states, not increments."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oryx_py.messages import partition_of
from oryx_py.messages.item_state import AllSaid, ItemState, decode_state, encode_state
from oryx_py.model.state import item_states
from oryx_py.model.state.item_states import ItemStates
from oryx_py.numerics.objective import Objective
from tests.support.interactions import ids

K = 2
OBJECTIVES = [
    Objective.mllib_implicit(lambda_=0.1, alpha=2.0),
    Objective.mllib_implicit(lambda_=0.1, alpha=0.5, log_strength=True, epsilon=0.1),
    Objective.ials(alpha0=0.1, lambda_=0.05),
    Objective.mllib_explicit(lambda_=0.2),
]
floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def states(draw: st.DrawFn, items: st.SearchStrategy[str], users: st.SearchStrategy[str]) -> ItemState:
    there = draw(st.booleans())
    vector = np.array(draw(st.lists(floats32, min_size=K, max_size=K)), np.float32)
    numbers = (draw(st.floats(0, 10)), draw(st.floats(0, 10)), vector) if there else (None, None, None)
    return ItemState(draw(items), draw(users), draw(st.integers(0, 9)), draw(st.integers(0, 4)), *numbers)


some = st.lists(states(st.sampled_from(["i", "j"]), st.sampled_from(["u", "v", "w"])), max_size=12)


def table(
    told: list[ItemState], objective: Objective = OBJECTIVES[0]
) -> dict[str, list[tuple[str, float, list[float]]]]:
    made = ItemStates(objective, K, 1)
    for state in told:
        made.put(state)
    return {item: [(user, s, x.tolist()) for user, s, x in made.of(item)] for item in ("i", "j")}


@given(some)
def test_the_highest_input_wins_and_among_equals_the_later(told: list[ItemState]) -> None:
    found = table(told)
    for item in ("i", "j"):
        wanted = []
        for user in ("u", "v", "w"):
            theirs = [state for state in told if (state.item, state.user) == (item, user)]
            if theirs:
                last = max(enumerate(theirs), key=lambda pair: (pair[1].input, pair[0]))[1]
                if last.vector is not None:
                    wanted.append((user, last.vector.tolist()))
        assert [(user, x) for user, _, x in found[item]] == wanted


@given(some, st.data())
def test_repeats_of_what_was_read_and_another_order_of_users_change_nothing(
    told: list[ItemState], data: st.DataObject
) -> None:
    again = told[data.draw(st.integers(0, len(told))) :] if told else []
    # A reader begins again somewhere before where it was, and reads on.
    assert table(told + again) == table(told)
    by_user = sorted(told, key=lambda state: state.user)
    assert table(by_user) == table(told)


@given(st.sampled_from(OBJECTIVES), st.floats(-1e6, 1e6).filter(lambda s: abs(s) > 1e-6))
def test_weight_and_target_give_the_strength_back(objective: Objective, strength: float) -> None:
    w, t, _ = objective.weights(np.array([strength]))
    assert math.isclose(objective.strength_of(float(w[0]), float(t[0])), strength, rel_tol=1e-9)


@given(states(ids, ids | st.just("")))
def test_a_record_says_what_was_put_into_it(state: ItemState) -> None:
    message = encode_state(state)
    found = decode_state(message.key, message.value)
    for name in ("item", "user", "epoch", "input", "weight", "target"):
        assert getattr(found, name) == getattr(state, name)
    assert (found.vector is None) == (state.vector is None)
    assert state.vector is None or np.array_equal(found.vector, state.vector)


PARTITIONS = 3
USERS = ["u", "v", "w", "x", "y"]
terms = st.integers(-1, 4)
of_terms = st.tuples(states(st.sampled_from(["i", "j"]), st.sampled_from(USERS)), terms).map(
    lambda both: replace(both[0], term=both[1])
)
ends = st.builds(AllSaid, st.integers(0, PARTITIONS - 1), st.just(1), terms)


@given(st.lists(st.one_of(of_terms, of_terms, ends), max_size=25))
def test_what_was_said_with_a_lower_term_ends_in_the_partition_whose_owner_has_said_all(
    told: list[ItemState | AllSaid],
) -> None:
    made, ended = ItemStates(OBJECTIVES[0], K, PARTITIONS), dict.fromkeys(range(PARTITIONS), -1)
    for said in told:
        if isinstance(said, AllSaid):
            before = {item: list(map(str, made.of(item))) for item in ("i", "j")}
            touched = made.end(said)
            assert sorted(touched) == [item for item in before if list(map(str, made.of(item))) != before[item]]
            ended[said.partition] = max(said.term, ended[said.partition])
        else:
            made.put(said)
    for item in ("i", "j"):
        wanted = []
        for user in USERS:
            theirs = [
                (state.term, state.input, number, state)
                for number, state in enumerate(told)
                if isinstance(state, ItemState)
                and (state.item, state.user) == (item, user)
                and state.term >= ended[partition_of(user, PARTITIONS)]
            ]
            if theirs and (last := max(theirs)[-1]).vector is not None:
                wanted.append((user, last.vector.tolist()))
        assert [(user, x.tolist()) for user, _, x in made.of(item)] == wanted


def test_the_end_of_a_partition_looks_at_no_user_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    made, hashed = ItemStates(OBJECTIVES[0], K, 64), []
    for number in range(2_000):
        made.put(ItemState("i", f"u{number}", 1, 0, 1.0, 1.0, np.ones(K, np.float32), term=1))
    monkeypatch.setattr(item_states, "partition_of", lambda user, _: hashed.append(user))
    for partition in range(64):
        made.end(AllSaid(partition, 1, 5))
    assert len(made) == 0
    assert not hashed
