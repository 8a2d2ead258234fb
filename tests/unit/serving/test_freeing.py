"""A model that nobody has any more goes a few entries at a time, in a thread of its own."""

import time
from itertools import pairwise
from pathlib import Path

import pytest

from serving_layer.model.freeing import FEW, drain
from tests.support.serving import model_at, write_world

A_MINUTE = 60


@pytest.mark.parametrize("count", [0, 1, FEW, 3 * FEW + 1])
def test_no_more_than_a_few_go_between_two_pauses(count: int) -> None:
    names = [f"n{number}" for number in range(count)]
    collections = [dict.fromkeys(names, 1), names.copy(), {}]
    left = [2 * count]

    def pause(_: float) -> None:
        left.append(sum(map(len, collections)))

    drain(collections, pause)
    assert left[-1] == 0
    assert all(0 <= before - after <= FEW for before, after in pairwise(left))


def test_names_stay_while_somebody_has_them_and_go_thereafter(tmp_path: Path) -> None:
    model = model_at(write_world(tmp_path, "g", {"ann": {"p": 1.0}}, {"ann": [1.0, 0.0]}, {"p": [0.0, 1.0]}))
    state, new = model.state, 3 * FEW
    state.users.extend([f"new{number}" for number in range(new)])
    users, of_users = state.users, state.users.collections()
    del model, state
    assert users.find(f"new{new - 1}") == len(users) - 1
    del users
    until = time.monotonic() + A_MINUTE
    while any(of_users) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(of_users)
