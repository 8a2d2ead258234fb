"""From a pair's interactions to its strength."""

import numpy as np
import pytest

from oryx_py.events import FoldSettings, KindSettings, fold_columns, fold_pair, time_of, weigh

IMPLICIT, EXPLICIT = FoldSettings(feedback="implicit"), FoldSettings(feedback="explicit")
NOTHING = float("nan")


@pytest.mark.parametrize(
    ("settings", "strengths", "state"),
    [
        (IMPLICIT, [], None),
        (IMPLICIT, [1.0, 2.0], 3.0),
        (IMPLICIT, [1.0, -1.0], 0.0),
        (IMPLICIT, [5.0, None, 2.0], 2.0),
        (IMPLICIT, [5.0, None], None),
        (EXPLICIT, [5.0, 2.0], 2.0),
        (EXPLICIT, [5.0, None], None),
        (EXPLICIT, [5.0, None, 0.0], 0.0),
    ],
)
def test_a_pair_folds_by_its_feedback(
    settings: FoldSettings, strengths: list[float | None], state: float | None
) -> None:
    folded: float | None = None
    for strength in strengths:
        folded = fold_pair(folded, strength, settings)
    assert folded == state


def test_columns_fold_each_group_in_the_order_of_its_rows() -> None:
    pairs = np.array([0, 2, 0, 1, 2, 2])
    strengths = np.array([1.0, 4.0, 2.0, NOTHING, NOTHING, 7.0])
    np.testing.assert_array_equal(fold_columns(pairs, strengths, IMPLICIT, 4), [3.0, NOTHING, 7.0, NOTHING])
    np.testing.assert_array_equal(fold_columns(pairs, strengths, EXPLICIT, 4), [2.0, NOTHING, 7.0, NOTHING])


@pytest.mark.parametrize("settings", [IMPLICIT, EXPLICIT])
def test_no_rows_fold_to_nothing(settings: FoldSettings) -> None:
    empty = fold_columns(np.empty(0, np.int64), np.empty(0), settings, 2)
    np.testing.assert_array_equal(empty, [NOTHING, NOTHING])
    assert fold_columns(np.empty(0, np.int64), np.empty(0), settings, 0).shape == (0,)


HOUR_MS = 3_600_000
DAY = FoldSettings(
    feedback="implicit",
    half_life_s=86_400.0,
    kinds={"buy": KindSettings(weight=5.0), "view": KindSettings(0.5, half_life_s=3_600.0)},
    zero_threshold=0.1,
    max_age_s=30 * 86_400.0,
)


@pytest.mark.parametrize(
    ("strength", "kind", "age_h", "weighed"),
    [
        (3.0, None, 0, 3.0),
        (3.0, None, 24, 1.5),
        (3.0, "unheard of", 48, 0.75),
        (3.0, "buy", 48, 15.0),
        (1.0, "view", 1, 0.25),
        (-1.0, "view", 2, -0.125),
        (-1.0, "view", 3, None),
        (1.0, None, -5, 1.0),
        (1e9, "buy", 30 * 24, 5e9),
        (1e9, "buy", 30 * 24 + 1, None),
        (0.0, None, 0, None),
    ],
)
def test_an_interaction_counts_by_its_kind_and_age(
    strength: float, kind: str | None, age_h: int, weighed: float | None
) -> None:
    as_of_ms = 1_000 * HOUR_MS
    assert weigh(strength, kind, as_of_ms - age_h * HOUR_MS, DAY, as_of_ms) == weighed


def test_an_interaction_without_any_time_is_new() -> None:
    assert weigh(1.0, None, time_of(None, -1), DAY, 10**12) == 1.0


@pytest.mark.parametrize(
    ("timestamp_ms", "kafka_ms", "time_ms"), [(None, 7, 7), (3, 7, 3), (9, 7, 7), (9, -1, 9), (None, -1, -1)]
)
def test_a_time_in_the_future_is_the_records_own(timestamp_ms: int | None, kafka_ms: int, time_ms: int) -> None:
    assert time_of(timestamp_ms, kafka_ms) == time_ms


def test_at_defaults_strengths_are_as_they_are() -> None:
    assert IMPLICIT.is_plain
    assert not IMPLICIT.reads_time
    assert not DAY.is_plain
    assert DAY.reads_time
    assert not FoldSettings(feedback="implicit", kinds={"buy": KindSettings(2.0)}).reads_time
    assert weigh(0.1, "buy", 0, IMPLICIT, 10**15) == 0.1


def test_explicit_feedback_has_an_age_limit_and_no_decay() -> None:
    ratings = FoldSettings(feedback="explicit", max_age_s=1.0)
    assert (weigh(4.0, None, 1_000, ratings, 2_000), weigh(4.0, None, 999, ratings, 2_000)) == (4.0, None)
    with pytest.raises(ValueError, match="explicit feedback has no decay"):
        FoldSettings(feedback="explicit", half_life_s=1.0)
