"""The constants mean what the papers and MLlib's source say."""

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.numerics.biases import Biases
from oryx_py.numerics.objective import STRENGTH_LIMIT, Objective
from tests.support.ridge import CONSTANTS, objective, pair


@pytest.mark.parametrize("kind", sorted(CONSTANTS))
@given(strength=st.one_of(st.floats(-1e6, 1e6), st.just(math.nan)))
def test_each_pair_weighs_what_its_definition_says(kind: str, strength: float) -> None:
    w, t, counted = objective(kind).weights(np.array([strength]))
    assert (w[0], t[0], int(counted[0])) == pytest.approx(pair(kind, strength), rel=1e-14, abs=0)


def test_a_strength_of_0_is_unobserved_unless_it_is_a_rating() -> None:
    zero = np.zeros(1)
    for implicit in (Objective.mllib_implicit(0.1, 40), Objective.ials(0.1, 0.01)):
        assert [float(a[0]) for a in implicit.weights(zero)] == [0, 0, 0]
    assert [float(a[0]) for a in Objective.mllib_explicit(0.1).weights(zero)] == [1, 0, 1]


def test_negative_strengths_pull_towards_0_and_count_only_as_observed() -> None:
    s = np.array([-2.0])
    assert [float(a[0]) for a in Objective.mllib_implicit(0.1, 3.0).weights(s)] == [6, 0, 0]
    assert [float(a[0]) for a in Objective.ials(0.1, 0.01).weights(s)] == [2, 0, 1]


def test_regularisation_is_scaled_by_counts_and_by_the_other_sides_rows() -> None:
    assert Objective.mllib_implicit(0.5, 1.0).ridge(7, 1000) == pytest.approx(3.5)
    assert Objective.mllib_explicit(0.5).ridge(0, 1000) == 0
    assert Objective.ials(0.1, 0.003).ridge(20, 500) == pytest.approx(0.003 * (20 + 0.1 * 500))
    assert Objective.ials(0.1, 0.003, nu=0.5).ridge(20, 500) == pytest.approx(0.003 * math.sqrt(70))


def test_many_ridges_are_each_the_one() -> None:
    chosen, n = Objective.ials(0.3, 0.007, nu=0.9), np.arange(500)
    assert chosen.ridges(n, 77).tolist() == [chosen.ridge(int(i), 77) for i in n]


def test_strengths_beyond_the_limit_count_as_the_limit() -> None:
    for chosen in (Objective.mllib_implicit(0.1, 40), Objective.mllib_explicit(0.1), Objective.ials(0.1, 0.01)):
        for sign in (1, -1):
            for a, b in zip(
                chosen.weights(np.array([sign * math.inf])),
                chosen.weights(np.array([sign * STRENGTH_LIMIT])),
                strict=True,
            ):
                assert a.tolist() == b.tolist()


@pytest.mark.parametrize("kind", sorted(CONSTANTS))
def test_a_manifest_gives_back_the_same_objective(kind: str) -> None:
    written = msgspec.json.encode(objective(kind))
    assert b'"lambda":' in written
    assert msgspec.json.decode(written, type=Objective) == objective(kind)


@pytest.mark.parametrize("wrong", [{"lambda": -1}, {"epsilon": 0}, {"alpha": -0.1}, {"counts": "all"}])
def test_constants_without_meaning_are_refused(wrong: dict[str, object]) -> None:
    raw = msgspec.to_builtins(Objective.mllib_implicit(0.1, 40)) | wrong
    with pytest.raises(msgspec.ValidationError, match=next(iter(wrong))):
        msgspec.convert(raw, Objective)


def test_what_was_written_before_there_were_biases_has_none() -> None:
    told = msgspec.to_builtins(Objective.mllib_explicit(0.1))
    del told["biases"]
    assert msgspec.convert(told, Objective) == Objective.mllib_explicit(0.1)


def test_biases_are_told_with_their_mean_and_columns() -> None:
    biased = Objective.biased_explicit(0.1, Biases.last(10, 3.5))
    assert msgspec.to_builtins(biased)["biases"] == {"mean": 3.5, "user": 8, "item": 9}
    assert msgspec.json.decode(msgspec.json.encode(biased), type=Objective) == biased


def test_the_settings_of_an_objective_are_all_but_what_the_data_tell() -> None:
    biased, plain = Objective.biased_explicit(0.1, Biases.last(10)), Objective.mllib_explicit(0.1)
    assert biased.centred(3.5).biases == Biases(mean=3.5, user=8, item=9)
    assert biased.centred(3.5).settings == biased
    assert plain.centred(3.5) is plain


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Biases(math.nan, 8, 9),
        lambda: Biases(0.0, 8, 8),
        lambda: Biases.last(1),
        lambda: msgspec.structs.replace(Objective.ials(0.1, 0.01), biases=Biases.last(10)),
    ],
    ids=["mean", "columns", "too short", "implicit"],
)
def test_biases_that_mean_nothing_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match=r"bias|mean"):
        wrong()
