"""The law of histories: whatever is put, removed and forgotten, they are a dictionary that remembers the order."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.model.generations.csr import Csr
from oryx_py.model.state.histories import Histories

USERS, ITEMS = 3, 90
BASE = {0: [0, 3, 4, 70], 1: [], 2: list(range(0, 80, 2))}

steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, USERS), st.integers(0, ITEMS), st.sampled_from([-1.0, 0.0, 2.5])),
        st.tuples(st.just("remove"), st.integers(0, USERS), st.integers(0, ITEMS), st.none()),
        st.tuples(st.just("forget"), st.integers(0, USERS), st.none(), st.none()),
    ),
    max_size=60,
)


def base() -> Csr:
    pairs = [(user, item) for user, items in BASE.items() for item in items]
    users, items = (np.array(side, np.int64) for side in zip(*pairs, strict=True))
    return Csr.from_pairs(users, items, np.ones(len(pairs)), USERS)


def reloaded(histories: Histories) -> Histories:
    rows = base()
    again = Histories(rows, rows.transposed(ITEMS))
    changes = histories.dump()
    assert changes.rows.fault(USERS + 1, ITEMS + 1) is None
    again.load(changes)
    return again


@settings(deadline=None)
@given(steps, st.booleans(), st.sets(st.integers(0, 120)))
def test_histories_are_a_dictionary_of_pairs(done: list, many: bool, cuts: set[int]) -> None:
    """Also where they are dumped and loaded at any point, and again."""
    rows = base()
    histories = Histories(rows, rows.transposed(ITEMS))
    known = {user: dict.fromkeys(BASE.get(user, []), 1.0) for user in range(USERS + 1)}
    churn = [step for item in range(ITEMS) for step in (("put", 0, item, 1.5), ("remove", 0, item, None))]
    for number, (what, user, item, strength) in enumerate([*done, *churn * many, *done]):
        if number in cuts:
            before = histories
            histories = reloaded(before)
            for each in range(USERS + 1):
                assert [column.tolist() for column in histories.of_user(each)] == [
                    column.tolist() for column in before.of_user(each)
                ]
            assert sorted(histories.changed()) == sorted(before.changed())
        if what == "put":
            histories.put(user, item, strength)
            known[user][item] = strength
        elif what == "remove":
            histories.remove(user, item)
            known[user].pop(item, None)
        else:
            histories.forget_user(user)
            known[user].clear()
    for user, expected in known.items():
        items, strengths = histories.of_user(user)
        assert dict(zip(items.tolist(), strengths.tolist(), strict=True)) == expected
        assert len(items) == len(expected)
        added = histories.added(user).tolist()
        assert added == sorted(set(expected) - set(BASE.get(user, [])))
        assert not added or user in histories.changed()
        assert [histories.strength(user, item) for item in range(ITEMS + 1)] == [
            expected.get(item) for item in range(ITEMS + 1)
        ]
    for item in range(ITEMS + 1):
        assert sorted(histories.users_of(item)) == [user for user in known if item in known[user]]
        assert histories.popularity(ITEMS + 1)[item] == sum(item in pairs for pairs in known.values())


def test_unchanged_pairs_come_first_and_changed_ones_in_the_order_in_which_they_first_changed() -> None:
    rows = base()
    histories = Histories(rows, rows.transposed(ITEMS))
    for item in (9, 4, 8, 5):
        histories.put(0, item, 2.0)
    histories.remove(0, 9)
    histories.remove(0, 3)
    histories.put(0, 9, 3.0)
    histories.put(0, 3, 4.0)
    histories.put(0, 8, 5.0)
    items, strengths = histories.of_user(0)
    assert items.tolist() == [0, 70, 4, 8, 5, 3, 9]
    assert strengths.tolist() == [1.0, 1.0, 2.0, 5.0, 2.0, 4.0, 3.0]
