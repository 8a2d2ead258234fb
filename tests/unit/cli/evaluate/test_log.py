"""A log has interactions in the order of time, under numbers that nothing else changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.cli.evaluate.known import Known
from oryx_py.cli.evaluate.log import Log, LogBuilder
from oryx_py.cli.evaluate.training import folded
from oryx_py.events import FoldSettings, Interaction, KindSettings
from tests.support.prequential import known_pairs, log_of

PLAIN = FoldSettings("implicit")


def told(log: Log) -> list[Interaction]:
    return [log.interaction(at) for at in range(len(log))]


rows = st.lists(
    st.builds(
        Interaction,
        st.sampled_from(["u", "ü", "v", "𝄞"]),
        st.sampled_from(["a", "b", "ß", "c"]),
        st.one_of(st.none(), st.sampled_from([1.0, -2.0, 0.5])),
        st.integers(0, 5),
        st.sampled_from([None, "view", "buy"]),
    ),
    max_size=30,
)


@given(rows)
def test_what_goes_in_comes_out_by_time_and_then_as_it_came(given_rows: list[Interaction]) -> None:
    assert told(log_of(given_rows)) == sorted(given_rows, key=lambda row: row.timestamp_ms or 0)


@given(rows)
def test_ids_ascend_bytewise(given_rows: list[Interaction]) -> None:
    log = log_of(given_rows)
    for ids in (log.user_ids, log.item_ids):
        assert [name.encode() for name in ids] == sorted(name.encode() for name in ids)


def test_without_a_time_in_one_the_order_is_that_of_the_file() -> None:
    given_rows = [Interaction("u", "a", 1.0, 9), Interaction("u", "b", 1.0), Interaction("u", "c", 1.0, 3)]
    assert told(log_of(given_rows)) == given_rows


def test_a_forget_takes_out_what_stands_before_it() -> None:
    builder = LogBuilder()
    for row in (
        Interaction("u", "a", 1.0, 1),
        Interaction("v", "a", 1.0, 2),
        Interaction("u", "", None, 3),
        Interaction("u", "b", 1.0, 4),
        Interaction("", "b", None, 5),
        Interaction("w", "b", 1.0, 6),
    ):
        builder.add(row)
    assert told(builder.log()) == [Interaction("v", "a", 1.0, 2), Interaction("w", "b", 1.0, 6)]


def test_parts_keep_their_numbers() -> None:
    log = log_of([Interaction("u", item, 1.0, at) for at, item in enumerate("zyxw")])
    assert [row.item for row in told(log.first(2))] == ["z", "y"]
    assert [row.item for row in told(log.newest(3))] == ["y", "x", "w"]
    assert told(log.newest(9)) == told(log)


@given(rows)
def test_it_folds_as_one_interaction_after_the_other(given_rows: list[Interaction]) -> None:
    log = log_of(given_rows)
    users, items, strengths = folded(log, PLAIN)
    found: dict[str, dict[str, float]] = {}
    for user, item, strength in zip(users.tolist(), items.tolist(), strengths.tolist(), strict=True):
        found.setdefault(log.user_ids[user], {})[log.item_ids[item]] = strength
    assert found == {user: pairs for user, pairs in known_pairs(told(log)).items() if pairs}
    assert (np.diff(users) >= 0).all()


def test_kinds_and_ages_weigh_as_in_the_history() -> None:
    fold = FoldSettings("implicit", half_life_s=1.0, kinds={"buy": KindSettings(5.0)}, max_age_s=100.0)
    log = log_of(
        [
            Interaction("u", "a", 1.0, 0),
            Interaction("u", "b", 1.0, 199_000, "view"),
            Interaction("u", "b", 1.0, 200_000, "buy"),
        ]
    )
    _, items, strengths = folded(log, fold)
    assert [log.item_ids[item] for item in items] == ["b"]
    assert strengths.tolist() == [5.5]


@given(rows, st.integers(0, 30))
def test_what_users_know_is_what_the_fold_has(given_rows: list[Interaction], trained: int) -> None:
    log = log_of(given_rows)
    trained = min(trained, len(log))
    known = Known(log, trained, PLAIN)
    for at in range(trained, len(log)):
        known.learn(at)
    pairs = known_pairs(told(log))
    for number, user in enumerate(log.user_ids):
        assert {log.item_ids[item] for item in known.items(number).tolist()} == set(pairs.get(user, {}))
    counts = [sum(item in mine for mine in pairs.values()) for item in log.item_ids]
    assert known.counts.tolist() == counts


def test_who_has_met_something_knows_it_at_any_age() -> None:
    log = log_of([Interaction("u", "a", 1.0, 0), Interaction("u", "b", 1.0, 10**9)])
    known = Known(log, 2, FoldSettings("implicit", max_age_s=1.0, half_life_s=1.0))
    assert known.items(0).tolist() == [0, 1]


def test_what_is_too_little_to_count_is_not_learned() -> None:
    log = log_of([Interaction("u", "a", 1.0, 0), Interaction("u", "b", 0.1, 1), Interaction("u", "c", 0.9, 2)])
    known = Known(log, 1, FoldSettings("implicit", zero_threshold=0.5))
    assert (known.added(1), known.added(2)) == (None, 0.9)
    known.learn(1)
    known.learn(2)
    assert known.items(0).tolist() == [0, 2]
