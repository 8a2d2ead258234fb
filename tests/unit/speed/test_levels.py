"""The sets of a fold follow from its state: what a restored one begins with is what the fold had."""

import numpy as np
import pytest

from speed_layer.solving.levels import level_sets
from tests.property.test_epoch_fold import OBJECTIVES, log_of, model

BASE = {"a": {"p": 1.0, "q": 2.0}, "b": {"p": 1.0}, "c": {"r": 1.0}, "d": {"p": 1.0}, "e": {"p": 2.0}}


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("a", "p", 1.0), ("b", "r", 2.0)],
        [("m", "x", 1.0), ("a", "x", 1.0), ("n", "y", 1.0)],
        [("a", "p", None), ("a", "q", None), ("a", "x", 1.0)],
        [("a", "", None), ("a", "x", 1.0)],
        [("a", "x", 1.0), ("a", "", None)],
        [("", "p", None)],
        [("", "p", None), ("b", "p", 1.0), ("m", "p", 2.0)],
        [("", "x", None), ("m", "x", 2.0)],
        [("b", "x", 1.0), ("", "p", None)],
        [("m", "x", 1.0), ("m", "x", None), ("m", "y", 0.0)],
    ],
    ids=lambda rows: "-".join(f"{user}{item}{strength}" for user, item, strength in rows) or "none",
)
@pytest.mark.parametrize("half", [False, True], ids=["whole", "one-partition"])
def test_a_state_has_the_sets_of_its_fold(rows: list, half: bool) -> None:
    """Also while an item is forgotten in one input partition, and not yet in the other."""
    state, _, fold = model(BASE, OBJECTIVES[0])
    for partition, offset, interaction in log_of(rows):
        if half and partition and not interaction.user:
            continue
        fold.add(interaction, partition, offset)
        fold.flush()
    holders, level3 = level_sets(state)
    assert {item: users for item, users in holders.items() if users} == {
        item: users for item, users in fold._levels.holders.items() if users
    }
    assert level3 == fold._levels.level3
    assert set(holders) >= set(fold._levels.holders)
    of_level2 = [item for item in range(len(state.items)) if item >= state.items.base or item in state.forgotten_items]
    assert sorted(holders) == of_level2


def test_users_of_level_3_are_found_among_many() -> None:
    """Against a look at each user's history."""
    rng = np.random.default_rng(3)
    users, items = ["a", "b", "c", "m", "n", "o"], ["p", "q", "x", "y", "z"]
    for _ in range(30):
        rows = [
            (str(rng.choice(users)), str(rng.choice(items)), 1.0 if rng.random() < 0.6 else None) for _ in range(40)
        ]
        rows[20:20] = [("a", "", None), ("", "p", None)]
        state, _, fold = model(BASE, OBJECTIVES[0])
        for partition, offset, interaction in log_of(rows):
            fold.add(interaction, partition, offset)
        fold.flush()
        level0 = [item for item in range(state.items.base) if item not in state.forgotten_items]
        known = {user: set(state.history(user)[0].tolist()) for user in range(len(state.users))}
        assert level_sets(state)[1] == {user for user, has in known.items() if has and not has & set(level0)}
