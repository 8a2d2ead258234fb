"""The laws of the item search: index and delta together are a slow sort of all items."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.model.state.vectors import VectorTable
from oryx_py.numerics.ranking.shortlist import shortlist
from serving_layer.index import Delta, ExactIndex, exact, ranking
from serving_layer.index.ranking import Ranked, in_order, largest_counts, merged
from serving_layer.index.scoring import exact_score, exact_scores, margin
from tests.support.factors import KINDS, factors_of


def score(query, vector, metric):
    """One score, term by term."""
    total = np.float64(0)
    vector = vector[: len(query)]
    terms = [np.float64(a) * np.float64(b) for a, b in zip(query, vector, strict=True)]
    total = np.array([terms]).sum(axis=1)[0]
    if metric == "cosine":
        y = np.array([[np.float64(b) ** 2 for b in vector]]).sum(axis=1)[0]
        x = np.array([np.float64(a) ** 2 for a in query]).sum()
        norms = np.sqrt(y) * np.sqrt(x)
        total = min(1.0, max(-1.0, total / norms)) if norms > 0 else 0.0
    return np.float32(np.clip(total, np.finfo(np.float32).min, np.finfo(np.float32).max)) + np.float32(0)


def slow_sort(query, vectors: dict[str, np.ndarray], metric, left_out):
    """Every item's score, sorted by it and by the ID's bytes."""
    scored = [(score(query, v, metric), item) for item, v in vectors.items() if item not in left_out]
    return sorted(scored, key=lambda pair: (-pair[0], pair[1].encode()))


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=KINDS,
    query_kind=KINDS,
    n=st.integers(1, 700),
    k=st.sampled_from([1, 2, 7, 32]),
    changed=st.integers(0, 60),
    want=st.sampled_from([1, 2, 10, 50, 600, 5000]),
    excluded_share=st.sampled_from([0.0, 0.05, 0.9, 1.0]),
    metric=st.sampled_from(["dot", "cosine"]),
    beside=st.sampled_from([0, 0, 2]),
    in_the_cache=st.booleans(),
)
def test_index_and_delta_give_what_a_slow_sort_of_the_live_vectors_gives(
    seed, kind, query_kind, n, k, changed, want, excluded_share, metric, beside, in_the_cache
):
    """Cosines leave the last columns, ``beside``, out; factors that fit into the cache are not left to faiss."""
    rng = np.random.default_rng(seed)
    names = sorted((f"i{number}" for number in range(n)), key=str.encode)
    base = factors_of(kind, rng, n, k)
    table = VectorTable(base)
    new_names: dict[int, str] = {}
    for vector in factors_of(kind, rng, changed, k):
        handle = int(rng.integers(0, n + 30))
        if handle >= n:
            new_names.setdefault(handle, f"i{rng.integers(0, 10**6)}{'ßé🦉'[int(rng.integers(3))]}-{handle}")
        table.set(handle, None if rng.random() < 0.2 else vector)

    def name(handle: int) -> str:
        return names[handle] if handle < n else new_names[handle]

    live = {name(h): v for h in [*range(n), *new_names] if (v := table.get(h)) is not None}
    compared = max(k - beside, 1)
    query = factors_of(query_kind, rng, 1, k)[0].astype(np.float64)[: compared if metric == "cosine" else k]
    handles = np.array([*range(n), *new_names], np.int64)
    excluded = np.unique(handles[rng.random(len(handles)) < excluded_share])

    delta = Delta.of(table)
    skip = np.unique(np.concatenate([excluded[excluded < n], delta.masked(n)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact, "_IN_THE_CACHE", base.size if in_the_cache else 0)
        rows = ExactIndex(base, compared).best(query, want, skip, metric)
    best = merged(rows, delta.candidates(query, want, excluded, metric), want, n, name)

    expected = slow_sort(query, live, metric, {name(int(h)) for h in excluded})[:want]
    assert [name(int(h)) for h in best.handles] == [item for _, item in expected]
    assert best.scores.tolist() == [value for value, _ in expected]


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 300), cut=st.integers(1, 300))
def test_the_score_of_a_vector_does_not_depend_on_the_others(seed, n, cut):
    rng = np.random.default_rng(seed)
    Y = rng.normal(size=(n, 33)).astype(np.float32)
    query = rng.normal(size=33)
    for metric in ("dot", "cosine"):
        whole = exact_scores(query, Y, metric)
        assert whole[:cut].tolist() == exact_scores(query, Y[:cut], metric).tolist()
        assert whole[-1] == exact_scores(query, Y[-1:], metric)[0]


def test_a_cosine_with_a_zero_vector_is_zero_not_nan():
    Y = np.array([[0, 0], [1, 0]], np.float32)
    assert exact_scores(np.array([1.0, 0.0]), Y, "cosine").tolist() == [0.0, 1.0]
    assert exact_scores(np.zeros(2), Y, "cosine").tolist() == [0.0, 0.0]


def test_a_score_of_zero_has_no_sign():
    scores = exact_scores(np.array([-1.0]), np.zeros((1, 1), np.float32), "dot")
    assert not np.signbit(scores[0])


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 60),
    new=st.integers(0, 20),
    want=st.integers(0, 90),
    most=st.integers(1, 4),
)
def test_the_largest_counts_are_those_of_a_slow_sort(seed, rows, new, want, most):
    rng = np.random.default_rng(seed)
    names = sorted((f"r{rng.integers(10**6)}-{at}" for at in range(rows)), key=str.encode)
    names += [f"r{rng.integers(10**6)}n{at}" for at in range(new)]
    counts = rng.integers(0, most, size=rows + new)
    found = largest_counts(counts, want, rows, names.__getitem__)
    expected = sorted((h for h in range(rows + new) if counts[h]), key=lambda h: (-counts[h], names[h].encode()))
    assert found.tolist() == expected[:want]


def test_ties_are_in_the_order_of_the_bytes_of_the_ids_also_across_old_and_new_items():
    names = ["a", "c", "é", "b", "z", "🦉"]
    order = in_order(np.array([5, 2, 0, 4, 1, 3]), np.ones(6, np.float32), 3, names.__getitem__)
    assert [names[[5, 2, 0, 4, 1, 3][at]] for at in order] == ["a", "b", "c", "z", "é", "🦉"]


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(0, 300),
    of_rows=st.integers(0, 300),
    others=st.integers(0, 120),
    want=st.sampled_from([0, 1, 2, 10, 100, 1000]),
    levels=st.sampled_from([1, 2, 5, 10**6]),
    many=st.sampled_from([0, 20, 256]),
    at_once=st.sampled_from([1, 3, 4096]),
)
def test_two_lists_are_merged_as_a_slow_sort_has_them_however_many_are_tied(
    seed, rows, of_rows, others, want, levels, many, at_once
):
    """Of the first list are some rows; of the other moved rows and new items, in any order."""
    rng = np.random.default_rng(seed)
    names = sorted((f"r{rng.integers(10**6)}{'ßé🦉'[at % 3]}{at}" for at in range(rows)), key=str.encode)
    names += [f"r{rng.integers(10**6)}{'🦉zß'[at % 3]}n{at}" for at in range(others)]
    handles = rng.permutation(len(names))
    scores = (rng.integers(0, levels, len(names)) / levels).astype(np.float32)
    first = np.sort(handles[handles < rows][:of_rows])
    first = first[np.lexsort((first, -scores[first]))]
    second = handles[~np.isin(handles, first)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_MANY", many)
        patch.setattr(ranking, "_AT_ONCE", at_once)
        best = merged(Ranked(first, scores[first]), Ranked(second, scores[second]), want, rows, names.__getitem__)
    expected = sorted(handles.tolist(), key=lambda handle: (-scores[handle], names[handle].encode()))[:want]
    assert best.handles.tolist() == expected
    assert best.scores.tolist() == scores[expected].tolist()


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 400),
    want=st.sampled_from([0, 1, 2, 10, 256, 257, 400, 1000]),
    levels=st.sampled_from([1, 2, 5, 10**6]),
    left_out=st.sampled_from([0.0, 0.3, 1.0]),
    slack=st.sampled_from([0.0, 0.001, 0.4]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_a_shortlist_is_all_that_is_no_lower_than_the_last_wanted_by_more_than_the_margin(
    seed, n, want, levels, left_out, slack, dtype
):
    rng = np.random.default_rng(seed)
    scores = (rng.integers(-levels, levels, n, endpoint=True) / levels).astype(dtype)
    scores[rng.random(n) < left_out] = -np.inf
    best = sorted(scores.tolist(), reverse=True)[:want]
    lowest = best[-1] if len(best) == want and want else -np.inf
    expected = [at for at, score in enumerate(scores.tolist()) if want and lowest - slack <= score > -np.inf]
    assert shortlist(scores, want, slack).tolist() == expected


def test_a_shortlist_keeps_whatever_the_margin_cannot_tell_apart():
    scores = np.array([1.0, 0.5, 0.9999, -np.inf, 0.0], np.float32)
    assert shortlist(scores, 1, 0.001).tolist() == [0, 2]
    assert shortlist(scores, 1, 0.0).tolist() == [0]
    assert shortlist(scores, 9, 0.0).tolist() == [0, 1, 2, 4]


@pytest.mark.parametrize(("largest", "scale"), [(1e38, 1.0), (1.0, 1e38), (np.inf, 1.0), (np.nan, 1.0)])
def test_where_float32_overflows_nothing_is_certain(largest, scale):
    assert margin(8, largest, scale) == np.inf


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), kind=KINDS, k=st.one_of(st.integers(1, 300), st.sampled_from([1024, 9000])))
def test_one_score_is_the_one_among_many(seed, kind, k):
    rng = np.random.default_rng(seed)
    vectors, query = factors_of(kind, rng, 5, k), factors_of(kind, rng, 1, k)[0].astype(np.float64)
    alone = np.array([exact_score(query, vector) for vector in vectors], np.float32)
    assert alone.tobytes() == exact_scores(query, vectors, "dot").tobytes()
