"""What is gathered is what applying every message, one by one, would have made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.errors import BadMessage
from oryx_py.messages import ItemVector, UserVector
from oryx_py.model.state.model_state import ModelState
from oryx_py.oryx2.gathering import Gathering
from oryx_py.oryx2.pmml import read_pmml
from tests.support.oryx2 import pmml


def gathering(users=(), items=(), **extensions):
    return Gathering(read_pmml(pmml(users, items, **extensions).encode()))


def x(name, vector, *known):
    return UserVector(name, None if vector is None else np.array(vector, np.float32), known, (1.0,) * len(known), 7)


def y(name, vector):
    return ItemVector(name, None if vector is None else np.array(vector, np.float32), epoch=7)


NAMES = st.sampled_from(["a", "b", "z", "ü", "𝕫", "\ufffd"])
VECTORS = st.none() | st.lists(st.integers(-3, 3), min_size=2, max_size=2)
UPDATES = st.lists(
    st.one_of(
        st.builds(lambda n, v, known: x(n, v, *known), NAMES, VECTORS, st.lists(NAMES, max_size=4)),
        st.builds(y, NAMES, VECTORS),
    ),
    max_size=30,
)


def seen(state):
    """Everything that a state says, by name."""
    users = [state.users.id(handle) for handle in range(len(state.users))]
    items = [state.items.id(handle) for handle in range(len(state.items))]

    def vectors(names, find, get):
        found = {name: get(find(name)) for name in names}
        return {name: vector.tolist() for name, vector in found.items() if vector is not None}

    popularity, activity = state.popularity().tolist(), state.activity().tolist()
    return (
        vectors(users, state.users.find, state.user_vector),
        vectors(items, state.items.find, state.item_vector),
        {user: known for user in users if (known := sorted(map(tuple, pairs(state, user))))},
        {item: count for item, count in zip(items, popularity, strict=True) if count},
        {user: count for user, count in zip(users, activity, strict=True) if count},
    )


def pairs(state, user):
    handles, strengths = state.history(state.users.find(user))
    return zip(state.items.ids(handles), strengths.tolist(), strict=True)


@settings(deadline=None, max_examples=60)
@given(UPDATES, st.integers(0, 30), st.lists(NAMES), st.lists(NAMES))
def test_it_does_not_matter_how_much_was_gathered_before_the_rest_was_applied(updates, at, users, items):
    one_by_one = ModelState(gathering(users, items).finish("m", 0).generation, 7, 2)
    gathered = gathering(users, items)
    for update in updates[:at]:
        gathered.apply(update)
    state = gathered.finish("m", 0).state(7, 2)
    for update in updates:
        one_by_one.apply(update)
    for update in updates[at:]:
        state.apply(update)
    assert seen(state) == seen(one_by_one)


@settings(deadline=None, max_examples=60)
@given(UPDATES, st.lists(NAMES), st.lists(NAMES))
def test_the_fraction_is_that_of_the_ids_announced(updates, users, items):
    gathered, has, told = gathering(users, items), {}, set()
    for update in updates:
        gathered.apply(update)
        key = ("X", update.user) if isinstance(update, UserVector) else ("Y", update.item)
        has[key] = update.vector is not None
        told.add(key)
    announced = {("X", user) for user in users} | {("Y", item) for item in items}
    expected = sum(has.get(key, False) for key in announced) / len(announced) if announced else 1.0
    assert gathered.fraction == pytest.approx(expected)
    assert gathered.told == len(told & announced)


def test_the_generation_is_as_if_it_had_been_written():
    gathered = gathering(["u", "v"], ["i", "ä"])
    for update in (y("i", [1, 2]), y("ä", [3, 4]), y("b", [0, 1]), x("v", [1, 0], "ä", "i", "ä", "nobody's")):
        gathered.apply(update)
    generation, loose = (found := gathered.finish("m", 12)).generation, found.loose
    assert generation.items.ids(range(3)) == ["b", "i", "ä"]
    assert generation.item_factors.tolist() == [[0, 1], [1, 2], [3, 4]]
    assert generation.item_gram.tolist() == [[10, 14], [14, 21]]
    assert generation.user_histories.row(0)[0].tolist() == [1, 2]
    assert generation.user_histories.ascends()
    assert loose == {"v": ["nobody's"]}
    assert generation.manifest.input == {}
    assert generation.manifest.counts.pairs == 2
    assert generation.users.find("v") == 0
    assert generation.users.find("u") == -1


def test_a_model_of_nothing_is_one():
    generation = gathering().finish("m", 0).generation
    assert generation.item_factors.shape == (0, 2)
    assert generation.items.find("i") == -1
    assert generation.items.find_many(["i"]).tolist() == [-1]


def test_a_vector_of_another_length_changes_nothing():
    gathered = gathering(["u"], ["i"])
    for update in (x("u", [1], "i"), y("i", [1, 2, 3])):
        with pytest.raises(BadMessage, match="where the model has 2 features"):
            gathered.apply(update)
    assert (gathered.fraction, gathered.told) == (0, 0)
    assert not gathered.finish("m", 0).loose


def test_what_was_known_before_counts_only_among_the_ids_announced():
    gathered = gathering(["u", "v"], ["i", "j"])
    for update in (x("u", [1, 0], "i"), y("i", [1, 2]), y("j", [1, 2]), y("new", [1, 2]), x("w", [1, 0])):
        gathered.apply(update)
    gathered.know("u", ["i", "j", "new", "unheard of"])
    gathered.know("v", ["i"])
    gathered.know("w", ["i"])
    found = gathered.finish("m", 0)
    state = found.state(7, 1)
    assert sorted(state.items.ids(state.history(state.users.find("u"))[0])) == ["i", "j"]
    assert len(state.history(state.users.find("w"))[0]) == 0
    assert found.loose == {"v": ["i"]}
    assert gathered.told == 3
