"""Kinds, decay, threshold and age: the law one by one, in columns, and as the layers use it, to the same bits."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch_layer.folding.fold_stream import PAIRS_SCHEMA, fold_stream
from batch_layer.folding.input_rows import HISTORY_SCHEMA
from batch_layer.folding.weighing import weigh_stream
from oryx_py.events import FoldSettings, Interaction, KindSettings, time_of, weigh
from oryx_py.messages import partition_of
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from speed_layer.folding.exact_fold import ExactFold
from tests.support.batch import slow_fold
from tests.support.generations import Pairs, generation_of
from tests.support.interactions import strengths

HOUR_MS = 3_600_000
PARTITIONS = 2
OBJECTIVE = Objective.mllib_implicit(lambda_=0.1, alpha=1.0)
Row = dict[str, Any]

half_lives = st.sampled_from([0.0, 1.0, 3600.0, 86_400.0, 31_557_600.0]) | st.floats(0.1, 1e8)
kind_settings = st.builds(KindSettings, st.sampled_from([1.0, 5.0, 0.0, -1.0, 0.1]) | st.floats(-1e6, 1e6), half_lives)
folds = st.builds(
    FoldSettings,
    st.just("implicit"),
    half_life_s=half_lives,
    kinds=st.dictionaries(st.sampled_from(["buy", "view", "", "né 🦉"]), kind_settings, max_size=3),
    zero_threshold=st.sampled_from([0.0, 0.0, 1e-6, 0.5, 1.0]),
    max_age_s=st.sampled_from([0.0, 0.0, 3600.0, 7_200.5]),
)
kinds = st.sampled_from([None, "buy", "view", "né 🦉", "other"])
moderate = st.none() | st.sampled_from([1.0, 0.1, -0.3, 2.5, 0.0, 1 / 3])


# User, item, strength, kind, time since the record before, and how much older the client says that it is.
def events(of: st.SearchStrategy[float | None], most: int = 25) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    return st.lists(
        st.tuples(
            st.sampled_from(["ann", "bob", ""]),
            st.sampled_from(["a", "b", ""]),
            of,
            kinds,
            st.sampled_from([0, HOUR_MS]) | st.integers(0, 2 * HOUR_MS),
            st.none() | st.sampled_from([0, HOUR_MS]) | st.integers(-HOUR_MS, 40 * 24 * HOUR_MS),
        ),
        max_size=most,
    )


def rows_of(drawn: Sequence[tuple[Any, ...]]) -> list[Row]:
    """Lay events into partitions as the topic has them; the first is at hour 1,000, and an item's forget is in all."""
    rows: list[Row] = []
    ends, now_ms = [0] * PARTITIONS, 1_000 * HOUR_MS
    for user, item, strength, kind, later_ms, older_ms in drawn:
        if not user and not item:
            continue
        now_ms += later_ms
        told = strength if user and item else None
        time_ms = None if older_ms is None else max(0, now_ms - older_ms)
        for partition in [partition_of(user, PARTITIONS)] if user else range(PARTITIONS):
            rows.append(
                {
                    "partition": partition,
                    "offset": ends[partition],
                    "kafka_ms": now_ms,
                    "id": None,
                    "user": user,
                    "item": item,
                    "strength": told,
                    "timestamp_ms": time_ms,
                    "kind": kind,
                }
            )
            ends[partition] += 1
    return rows


def interaction_of(row: Row) -> Interaction:
    return Interaction(row["user"], row["item"], row["strength"], row["timestamp_ms"], row["kind"])


def weighed_in_batches(rows: Sequence[Row], fold: FoldSettings, as_of_ms: int, size: int = 7) -> list[Row]:
    batches = [
        pa.RecordBatch.from_pylist(list(rows[at : at + size]), HISTORY_SCHEMA) for at in range(0, len(rows), size)
    ]
    return pa.Table.from_batches(list(weigh_stream(batches, fold, as_of_ms)), HISTORY_SCHEMA).to_pylist()


def batch_fold(rows: Sequence[Row], fold: FoldSettings, as_of_ms: int) -> Pairs:
    """Fold as the batch layer does: weigh, leave out what items' forgets drop, sort, fold in columns."""
    forgotten: dict[tuple[int, str], int] = {}
    for row in rows:
        if not row["user"]:
            forgotten[row["partition"], row["item"]] = row["offset"]
    left = [
        {name: row[name] for name in ("user", "item", "partition", "offset", "strength")}
        for row in weighed_in_batches(rows, fold, as_of_ms)
        if row["user"] and row["offset"] > forgotten.get((row["partition"], row["item"]), -1)
    ]
    left.sort(key=lambda row: (row["user"], row["item"], row["partition"], row["offset"]))
    columns = pa.schema([HISTORY_SCHEMA.field(name) for name in ("user", "item", "partition", "offset", "strength")])
    batches = pa.Table.from_pylist(left, columns).to_batches(5)
    pairs: Pairs = {}
    for row in pa.Table.from_batches(list(fold_stream(batches, fold)), PAIRS_SCHEMA).to_pylist():
        pairs.setdefault(row["user"], {})[row["item"]] = row["strength"]
    return pairs


def state_of(state: ModelState) -> Pairs:
    found: Pairs = {}
    for user in range(len(state.users)):
        items, values = state.history(user)
        if len(items):
            found[state.users.id(user)] = dict(zip(state.items.ids(items.tolist()), values.tolist(), strict=True))
    return found


def bits(pairs: Pairs) -> dict[str, dict[str, str]]:
    return {user: {item: value.hex() for item, value in sorted(known.items())} for user, known in sorted(pairs.items())}


@settings(deadline=None, max_examples=200)
@given(
    strength=st.floats(-1e6, 1e6),
    kind=kinds,
    age_ms=st.integers(-HOUR_MS, 10**12),
    fold=folds,
)
def test_an_interaction_weighs_what_the_formula_says(
    strength: float, kind: str | None, age_ms: int, fold: FoldSettings
) -> None:
    as_of_ms = 2 * 10**12
    found = weigh(strength, kind, as_of_ms - age_ms, fold, as_of_ms)
    counts = fold.kinds.get(kind or "-", KindSettings(1.0, fold.half_life_s))
    age_s = max(0, age_ms) / 1000
    lives = age_s / counts.half_life_s if counts.half_life_s else 0.0
    wanted = strength * counts.weight * math.pow(2, -lives)
    rounding = 1e-15 * (5 + lives)  # what the last bit of the exponent comes to
    too_old = bool(fold.max_age_s) and age_s > fold.max_age_s
    if found is None:
        assert too_old or abs(wanted) <= fold.zero_threshold * (1 + rounding)
    else:
        assert not too_old
        assert abs(found) >= fold.zero_threshold
        assert found == pytest.approx(wanted, rel=rounding, abs=1e-300)


@settings(deadline=None, max_examples=60)
@given(drawn=events(moderate | strengths), fold=folds, behind_ms=st.integers(-HOUR_MS, HOUR_MS))
def test_columns_have_the_bits_of_one_by_one(drawn: list, fold: FoldSettings, behind_ms: int) -> None:
    rows = rows_of(drawn)
    as_of_ms = max((row["kafka_ms"] for row in rows), default=0) + behind_ms
    wanted = []
    for row in rows:
        if row["strength"] is None:
            wanted.append(row)
            continue
        time_ms = time_of(row["timestamp_ms"], row["kafka_ms"])
        weighed = weigh(row["strength"], row["kind"], time_ms, fold, as_of_ms)
        if weighed is not None:
            wanted.append(row | {"strength": weighed})
    found = weighed_in_batches(rows, fold, as_of_ms)
    assert [row["offset"] for row in found] == [row["offset"] for row in wanted]
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours["strength"] is theirs["strength"] is None or ours["strength"].hex() == theirs["strength"].hex()


@settings(deadline=None, max_examples=200)
@given(drawn=events(moderate), fold=folds, cut=st.integers(0, 25))
@example(
    drawn=[("ann", "a", 1.0, None, 0, None)] * 2, fold=FoldSettings("implicit", kinds={"": KindSettings(5.0)}), cut=1
)
def test_the_speed_layers_state_is_the_next_generations_at_the_same_time(
    drawn: list, fold: FoldSettings, cut: int
) -> None:
    """A generation of what came before, folded on live, is the batch layer's fold of all: to the bit."""
    rows = rows_of(drawn)
    before, after = rows[:cut], rows[cut:]
    as_of_ms = max((row["kafka_ms"] for row in before), default=0)
    base = batch_fold(before, fold, as_of_ms)
    ends = {partition: sum(row["partition"] == partition for row in before) for partition in range(PARTITIONS)}
    if not base:
        return  # an empty history makes no generation
    factors = {item: np.ones(2, np.float32) for known in base.values() for item in known}
    generation = generation_of(base, factors, OBJECTIVE, {p: (0, end) for p, end in ends.items()})
    manifest = msgspec.structs.replace(generation.manifest, fold=fold, as_of_ms=as_of_ms)
    generation = replace(generation, manifest=manifest)
    speed = ExactFold(ModelState(generation, epoch=1), PARTITIONS)
    for row in after:
        speed.add(interaction_of(row), row["partition"], row["offset"], row["kafka_ms"])
    speed.flush()
    wanted = batch_fold(rows, fold, as_of_ms)
    assert bits(state_of(speed.state)) == bits(wanted)
    assert bits(slow_fold(rows, fold, as_of_ms)) == bits(wanted)


@settings(deadline=None, max_examples=60)
@given(drawn=events(moderate), fold=folds)
def test_a_kind_that_the_settings_do_not_have_is_as_none(drawn: list, fold: FoldSettings) -> None:
    """One by one, in the batch layer's columns, and live: nobody's messages become invalid by what settings say."""
    rows = rows_of(drawn)
    without = [row | {"kind": row["kind"] if row["kind"] in fold.kinds else None} for row in rows]
    as_of_ms = max((row["kafka_ms"] for row in rows), default=0)
    assert bits(batch_fold(rows, fold, as_of_ms)) == bits(batch_fold(without, fold, as_of_ms))
    assert bits(slow_fold(rows, fold, as_of_ms)) == bits(slow_fold(without, fold, as_of_ms))
    for row, other in zip(rows, without, strict=True):
        if row["strength"] is not None:
            time_ms = time_of(row["timestamp_ms"], row["kafka_ms"])
            assert weigh(row["strength"], row["kind"], time_ms, fold, as_of_ms) == weigh(
                other["strength"], other["kind"], time_ms, fold, as_of_ms
            )


@settings(deadline=None, max_examples=40)
@given(drawn=events(moderate), fold=folds, passed_ms=st.integers(0, 100 * HOUR_MS))
def test_what_does_not_count_never_counts_again(drawn: list, fold: FoldSettings, passed_ms: int) -> None:
    """So a cache of folded history may leave it out for good."""
    rows = rows_of(drawn)
    as_of_ms = max((row["kafka_ms"] for row in rows), default=0)
    left = {row["offset"] * PARTITIONS + row["partition"] for row in weighed_in_batches(rows, fold, as_of_ms)}
    later = {
        row["offset"] * PARTITIONS + row["partition"] for row in weighed_in_batches(rows, fold, as_of_ms + passed_ms)
    }
    assert later <= left
