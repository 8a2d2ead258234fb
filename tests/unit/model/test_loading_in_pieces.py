"""No step of loading a state has to do with more than a piece of it, since other threads wait for the step's end."""

import gc
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from oryx_py.model.ids.traces import Traces, hashes_of
from oryx_py.model.pieces import PIECE, pieces
from oryx_py.model.state.changed_rows import ChangedRows
from oryx_py.model.state.changes import StateChanges, VectorChanges
from oryx_py.model.state.histories import HistoryChanges
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from tests.support.generations import generation_of

NEW = 2 * PIECE + 1
NONE = np.empty(0, np.int64)


class Names(Sequence[str]):
    """Names that are had only one by one, or a piece at a time."""

    def __init__(self, count: int) -> None:
        self._names = [f"n{number}" for number in range(count)]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, at: Any) -> Any:
        found = self._names[at]
        assert isinstance(found, str) or len(found) <= PIECE
        return found

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("all at once")


class Column(np.ndarray):
    """Numbers that become Python's no more than a piece at a time."""

    def tolist(self) -> Any:
        assert len(self) <= PIECE
        return super().tolist()


def column(array: np.ndarray) -> np.ndarray:
    return array.view(Column)


@pytest.mark.parametrize("count", [0, 1, PIECE, PIECE + 1, NEW])
def test_pieces_are_all_in_order(count: int) -> None:
    assert [number for part in pieces(count) for number in range(part.start, part.stop)] == list(range(count))
    assert all(part.stop - part.start <= PIECE for part in pieces(count))


def loaded(names: Sequence[str]) -> ModelState:
    """A state that has these new users, and traces of as many others."""
    factors = {"p": np.ones(2, np.float32)}
    generation = generation_of(
        {"ann": {"p": 1.0}}, factors, Objective.mllib_implicit(lambda_=0.1, alpha=2.0), {0: (0, 0)}
    )
    handles = 1 + np.arange(NEW)
    traces = Traces(
        column(hashes_of([f"gone{number}" for number in range(NEW)])),
        column(np.arange(NEW)),
        column(np.zeros(NEW, np.int32)),
        column(np.zeros(NEW, np.bool_)),
    )
    state = ModelState(generation, 1)
    state.load(
        StateChanges(
            new_users=names,
            new_items=(),
            user_vectors=VectorChanges(handles, np.ones((NEW, 2), np.float32), np.ones(NEW, np.bool_)),
            item_vectors=VectorChanges(NONE, np.empty((0, 2), np.float32), np.empty(0, np.bool_)),
            histories=HistoryChanges(
                ChangedRows(NONE, np.zeros(1, np.int64), NONE.astype(np.int32), np.empty(0)), NONE
            ),
            forgotten_items=NONE,
            user_inputs=(column(handles), column(7 * handles)),
            item_inputs=(NONE, NONE),
            user_traces=traces,
        ),
        {0: 5},
        [0],
    )
    return state


def test_new_users_their_offsets_and_traces_are_loaded_in_pieces() -> None:
    names = Names(NEW)
    state = loaded(names)
    assert [state.users.find(names[at]) for at in (0, PIECE, NEW - 1)] == [1, 1 + PIECE, NEW]
    assert state.users.since() == [names[at] for at in range(NEW)]
    assert [state.user_input(handle) for handle in (0, 1, PIECE + 1, NEW)] == [None, 7, 7 * (PIECE + 1), 7 * NEW]
    assert len(state.dump().user_traces) == NEW
    back = state.users.intern(f"gone{NEW - 1}")
    assert state.user_input(back) == NEW - 1


def test_a_loaded_state_goes_with_its_last_reference() -> None:
    state = loaded(Names(NEW))
    ref = weakref.ref(state)
    gc.disable()
    try:
        del state
        assert ref() is None
    finally:
        gc.enable()
