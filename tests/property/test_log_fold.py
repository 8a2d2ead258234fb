"""The vectorised fold has the bits of the incremental one, and both those of a fold written out for each pair."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oryx_py.events import FoldSettings, fold_columns, fold_pair
from tests.support.interactions import strengths

GROUPS = 5

feedbacks = st.sampled_from([FoldSettings(feedback="implicit"), FoldSettings(feedback="explicit")])
logs = st.lists(
    st.tuples(st.integers(0, GROUPS - 1), st.none() | strengths | st.sampled_from([0.0, -0.0, 0.1, -0.1])), max_size=60
)
Log = list[tuple[int, float | None]]


def slow_fold(log: Log, settings: FoldSettings, pair: int) -> float:
    """The strengths after the pair's last delete, added one by one, or the last of them; NaN for none."""
    alive: list[float] = []
    for group, strength in log:
        if group == pair and strength is None:
            alive = []
        elif group == pair and strength is not None:
            alive.append(strength)
    if not alive:
        return float("nan")
    total = 0.0
    for strength in alive:
        total = total + strength
    return total if settings.feedback == "implicit" else alive[-1]


def by_columns(log: Log, settings: FoldSettings) -> NDArray[np.float64]:
    pairs = np.array([group for group, _ in log], np.int64)
    column = np.array([np.nan if strength is None else strength for _, strength in log], np.float64)
    return fold_columns(pairs, column, settings, GROUPS)


def one_by_one(log: Log, settings: FoldSettings) -> NDArray[np.float64]:
    states: list[float | None] = [None] * GROUPS
    for group, strength in log:
        states[group] = fold_pair(states[group], strength, settings)
    return np.array([np.nan if state is None else state for state in states])


@settings(deadline=None, max_examples=300)
@given(logs, feedbacks)
def test_columns_pairs_and_the_written_out_fold_agree_bit_by_bit(log: Log, feedback: FoldSettings) -> None:
    oracle = np.array([slow_fold(log, feedback, pair) for pair in range(GROUPS)])
    assert by_columns(log, feedback).tobytes() == oracle.tobytes()
    assert one_by_one(log, feedback).tobytes() == oracle.tobytes()


@settings(deadline=None)
@given(logs, feedbacks)
def test_a_sum_of_any_log_is_finite_or_nothing(log: Log, feedback: FoldSettings) -> None:
    assert not np.isinf(by_columns(log, feedback)).any()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_long_columns_agree_too(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, GROUPS, 2_000)
    column = np.where(rng.random(2_000) < 0.01, np.nan, rng.standard_cauchy(2_000))
    log: Log = [
        (int(pair), None if np.isnan(value) else float(value)) for pair, value in zip(pairs, column, strict=True)
    ]
    for feedback in (FoldSettings(feedback="implicit"), FoldSettings(feedback="explicit")):
        assert fold_columns(pairs, column, feedback, GROUPS).tobytes() == one_by_one(log, feedback).tobytes()
