"""Where the test set begins, and what a model is worth for it: against sorting, and against loops."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from batch_layer.evaluation import time_split
from batch_layer.evaluation.ranking import K, Targets, most_users, new_to_their_users, of_rankings, rank
from batch_layer.evaluation.rating import of_ratings
from batch_layer.spark.evaluation import evaluating
from batch_layer.telemetry.metrics import Metrics
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.data_files import write_data
from oryx_py.model.generations.history_files import map_histories
from tests.support.training import recipe

USERS, ITEMS, FEATURES = 12, 40, 3


@settings(deadline=None, max_examples=200)
@given(
    times=st.lists(st.integers(0, 60) | st.integers(0, 2**41), min_size=1, max_size=60),
    share=st.floats(0.01, 0.5),
    buckets=st.integers(2, 9),
)
def test_the_cut_leaves_at_most_the_share_and_as_much_as_it_can(times: list[int], share: float, buckets: int) -> None:
    """However coarse the buckets: the smallest time at or after which there are not too many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time_split, "BUCKETS", buckets)
        search, passes = time_split.begin(min(times), max(times), len(times), share), 0
        while search is not None and search.cut_ms is None:
            inside = [time for time in times if search.start_ms <= time < search.stop_ms]
            counts = Counter((time - search.start_ms) // search.width_ms for time in inside)
            assert len(counts) <= buckets
            search, passes = time_split.narrowed(search, counts), passes + 1
    assert passes <= 2 + math.ceil(41 / math.log2(buckets))
    if search is None:
        assert len(set(times)) == 1
        return
    allowed = int(share * len(times))
    wanted = min(cut for cut in {time + 1 for time in times} if sum(time >= cut for time in times) <= allowed)
    assert search.cut_ms == wanted
    assert search.newer == sum(time >= wanted for time in times)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with factors at random, and histories of two to nine items; some items are known to nobody."""
    rng = np.random.default_rng(5)
    known = [np.sort(rng.choice(ITEMS - 5, rng.integers(2, 10), replace=False)) for _ in range(USERS)]
    write_data(
        tmp_path,
        user_ids=[f"u{row:02d}" for row in range(USERS)],
        item_ids=[f"i{row:02d}" for row in range(ITEMS)],
        user_factors=rng.normal(size=(USERS, FEATURES)),
        item_factors=rng.normal(size=(ITEMS, FEATURES)),
        user_histories=Csr(
            np.concatenate([[0], np.cumsum([len(items) for items in known])]),
            np.concatenate(known).astype(np.int32),
            rng.uniform(1, 5, sum(len(items) for items in known)),
        ),
    )
    return tmp_path


def targets_of(seed: int, most: int = 12) -> Targets:
    rng = np.random.default_rng(seed)
    pairs = {(int(rng.integers(USERS - 2)), int(rng.integers(ITEMS))) for _ in range(most * 5)}
    users, items = np.array(sorted(pairs, key=lambda pair: pair[1]), np.int64).T
    return Targets.of(users, items, rng.uniform(1, 5, len(users)))


def slow_figures(ranked: list[int], wanted: set[int]) -> list[float]:
    """The nDCG, recall, hit rate and average precision of ten, as they are defined."""
    hits = [item in wanted for item in ranked[:K]]
    most = min(K, len(wanted))
    ideal = sum(1 / math.log2(place + 2) for place in range(most))
    return [
        sum(hit / math.log2(place + 2) for place, hit in enumerate(hits)) / ideal,
        sum(hits) / most,
        float(any(hits)),
        sum(sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits) if hit) / most,
    ]


def test_rankings_are_of_all_items_but_those_known_before(model: Path) -> None:
    histories = map_histories(model, "users")
    targets = new_to_their_users(targets_of(1), histories)
    users, items = np.load(model / "users.npy").astype(float), np.load(model / "items.npy").astype(float)
    holders = [sum(item in histories.row(user)[0] for user in range(USERS)) for item in range(ITEMS)]
    found = rank(targets, model)
    assert found.shape == (len(targets), 2, 4)
    for at, user in enumerate(targets.users.tolist()):
        known = set(histories.row(user)[0].tolist())
        wanted = set(targets.items[targets.indptr[at] : targets.indptr[at + 1]].tolist())
        assert wanted
        assert not wanted & known
        able = [item for item in range(ITEMS) if item not in known]
        by_score = sorted(able, key=lambda item: -users[user] @ items[item])
        by_popularity = sorted(able, key=lambda item: (-holders[item], item))
        np.testing.assert_allclose(found[at, 0], slow_figures(by_score, wanted))
        np.testing.assert_allclose(found[at, 1], slow_figures(by_popularity, wanted))
    means = of_rankings(found)
    assert list(means) == ["model", "popularity"]
    assert means["model"]["ndcg@10"] == pytest.approx(found[:, 0, 0].mean())
    assert means["popularity"]["map@10"] == pytest.approx(found[:, 1, 3].mean())


def test_parts_of_the_users_are_ranked_as_all_of_them(model: Path) -> None:
    targets = targets_of(2)
    parts = [rank(targets.part(first, last), model) for first, last in ((0, 3), (3, 3), (3, len(targets)))]
    np.testing.assert_allclose(np.concatenate(parts), rank(targets, model))


def test_ratings_are_held_against_the_products_and_the_items_means(model: Path) -> None:
    targets = targets_of(3)
    counted = np.isin(targets.items, np.unique(map_histories(model, "users").indices))
    users = np.repeat(targets.users, np.diff(targets.indptr))
    targets = Targets.of(users[counted], targets.items[counted], targets.strengths[counted])
    X, Y, histories = np.load(model / "users.npy"), np.load(model / "items.npy"), map_histories(model, "items")
    errors = [
        (float(X[user] @ Y[item]) - rating, histories.row(item)[1].mean() - rating)
        for at, user in enumerate(targets.users.tolist())
        for item, rating in zip(
            targets.items[targets.indptr[at] : targets.indptr[at + 1]].tolist(),
            targets.strengths[targets.indptr[at] : targets.indptr[at + 1]].tolist(),
            strict=True,
        )
    ]
    model_rmse, mean_rmse = np.sqrt(np.mean(np.square(errors), axis=0))
    found = of_ratings(targets, model)
    assert found["model"]["rmse"] == pytest.approx(model_rmse, rel=1e-6)
    assert found["item_mean"]["rmse"] == pytest.approx(mean_rmse)


def test_that_nothing_could_be_evaluated_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where all rows were imported without a timestamp: there were no figures, and no word of why."""
    monkeypatch.setattr(evaluating, "cut_of", lambda _rows, _share: None)
    nothing: Any = None
    how = msgspec.structs.replace(recipe(), test_fraction=0.1)
    with capture_logs() as told:
        assert evaluating.evaluate(nothing, nothing, how, tmp_path / "work", nothing, parts=1) is None
    assert [(each["event"], each["log_level"]) for each in told] == [("not_evaluated", "warning")]


def test_without_anybody_to_ask_there_are_no_figures(model: Path) -> None:
    nobody = Targets.of(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    assert of_rankings(rank(nobody, model)) == {}
    assert of_ratings(nobody, model) == {}


def test_fewer_users_are_asked_for_where_there_are_many_items() -> None:
    assert [most_users(items) for items in (0, 1_000, 200_000, 1_000_000, 10**9)] == [
        10_000,
        10_000,
        10_000,
        2_000,
        500,
    ]


def test_the_metrics_have_the_last_evaluation_alone() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.trained(repeats=0, evaluation={"protocol": "…", "users": 3, "model": {"ndcg@10": 0.25}})
    assert registry.get_sample_value("oryx_batch_evaluation", {"of": "model", "metric": "ndcg@10"}) == 0.25
    metrics.trained(repeats=0, evaluation={})
    assert registry.get_sample_value("oryx_batch_evaluation", {"of": "model", "metric": "ndcg@10"}) is None
