"""From a pair's interactions to its strength."""

import numpy as np
import pytest

from oryx_py.events import FoldSettings, fold_columns, fold_pair

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
