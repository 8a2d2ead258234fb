"""The law of batch reads: many queries at once give what each gives by itself, bit for bit."""

import asyncio
from concurrent.futures import Executor, Future
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.model.state.vectors import VectorTable
from serving_layer.event_loop import offload
from serving_layer.index import BatchScan, ExactIndex, batch_scan, ranking, shortlists
from serving_layer.index.delta import Delta
from serving_layer.index.scoring import exact_scores, margin
from serving_layer.search import batch_search
from serving_layer.search.batch_search import Wish, best_of_each
from serving_layer.search.best_items import best_items
from tests.support.factors import KINDS, factors_of


class Between(Executor):
    """Runs each piece at once, and changes something after it."""

    def __init__(self, change=lambda: None):
        self.change = change
        self.pieces = 0

    def submit(self, function, *args, **kwargs):
        self.pieces += 1
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        self.change()
        return future


class Moments(Between):
    """Notes what the vectors were at the moment of which an answer is.

    That is when the last search ended, and what came while this was put right or in order came later.
    """

    def __init__(self, model, patch, change):
        super().__init__(change)
        self.model = model
        self.moment = deepcopy(model.state.item_vectors)
        self._searched = False
        for kind, method in ((ExactIndex, "best"), (BatchScan, "step")):
            patch.setattr(kind, method, self._noticed(getattr(kind, method)))

    def _noticed(self, search):
        def noticed(*args):
            self._searched = True
            return search(*args)

        return noticed

    def submit(self, function, *args, **kwargs):
        before, self._searched = deepcopy(self.model.state.item_vectors), False
        future = super().submit(function, *args, **kwargs)
        self.moment = deepcopy(self.model.state.item_vectors) if self._searched else before
        return future

    def then(self):
        """Return the model as it was."""
        state = SimpleNamespace(item_vectors=self.moment, items=self.model.state.items)
        return SimpleNamespace(state=state, index=self.model.index)


@pytest.fixture
def small_pieces(monkeypatch):
    """Many tiles, pieces and blocks, also of a small world."""
    monkeypatch.setattr(offload, "INLINE_COST", -1)
    monkeypatch.setattr(shortlists, "TILE_ROWS", 64)
    monkeypatch.setattr(batch_scan, "TILE_ROWS", 64)
    monkeypatch.setattr(batch_scan, "PIECE_COST", 20_000)
    monkeypatch.setattr(batch_search, "_QUERIES", 7)
    monkeypatch.setattr(batch_search, "_ROWS", 5_000)


def world(rng, kind, n, k, changed):
    base = factors_of(kind, rng, n, k)
    table = VectorTable(base)
    names = {handle: f"i{handle:06}" for handle in range(n)}
    for vector in factors_of(kind, rng, changed, k):
        handle = int(rng.integers(0, n + 30))
        names.setdefault(handle, f"i{rng.integers(0, 10**6):06}{'ßé🦉'[int(rng.integers(3))]}-{handle}")
        table.set(handle, None if rng.random() < 0.2 else vector)
    items = SimpleNamespace(id=names.__getitem__, base=n)
    state = SimpleNamespace(item_vectors=table, items=items)
    return SimpleNamespace(state=state, index=ExactIndex(base)), names


def moving_world(rng, kind, n, at_once):
    """A world, all handles that items may get, and a change of a few of them, old and new ones."""
    model, names = world(rng, kind, n, 5, 20)
    for handle in range(n, n + 60):
        names.setdefault(handle, f"i{handle}-{rng.integers(10**6)}")

    def change():
        for vector in factors_of(kind, rng, at_once, 5):
            model.state.item_vectors.set(int(rng.integers(0, n + 60)), None if rng.random() < 0.3 else vector)

    return model, np.array(list(names), np.int64), change


async def nothing(*_):
    return None


async def every(model, wishes, want, pool):
    return [answer async for block in best_of_each(model, iter(wishes), want, pool) for answer in block]


@pytest.mark.usefixtures("small_pieces")
class TestManyAtOnce:
    @settings(max_examples=120, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        kind=KINDS,
        query_kind=KINDS,
        n=st.integers(1, 400),
        k=st.sampled_from([1, 2, 7, 32]),
        changed=st.integers(0, 60),
        want=st.sampled_from([1, 2, 10, 50, 300, 1000]),
        queries=st.integers(0, 20),
        excluded_share=st.sampled_from([0.0, 0.05, 0.9, 1.0]),
    )
    def test_give_what_each_gives_by_itself(self, seed, kind, query_kind, n, k, changed, want, queries, excluded_share):
        rng = np.random.default_rng(seed)
        model, names = world(rng, kind, n, k, changed)
        handles = np.array(list(names), np.int64)
        wishes = [
            None if rng.random() < 0.1 else Wish(vector.astype(np.float64), handles[rng.random(len(handles)) < share])
            for vector in factors_of(query_kind, rng, queries, k)
            for share in [excluded_share * rng.random()]
        ]
        found = asyncio.run(every(model, wishes, want, Between()))
        assert len(found) == len(wishes)
        for wish, answer in zip(wishes, found, strict=True):
            if wish is None:
                assert answer is None
                continue
            single = asyncio.run(best_items(model, wish.query, want, wish.excluded, "dot", Between()))
            assert answer.handles.tolist() == single.handles.tolist()
            assert answer.scores.tobytes() == single.scores.tobytes()

    @settings(max_examples=100, deadline=None)
    @given(
        seed=st.integers(0, 2**32 - 1),
        kind=KINDS,
        n=st.integers(1, 300),
        want=st.sampled_from([1, 10, 40]),
        at_once=st.integers(0, 3),
    )
    def test_are_exact_for_the_vectors_at_the_end_whatever_moves_comes_or_goes_meanwhile(
        self, seed, kind, n, want, at_once
    ):
        rng = np.random.default_rng(seed)
        model, handles, change = moving_world(rng, kind, n, at_once)
        wishes = [
            Wish(vector.astype(np.float64), handles[rng.random(len(handles)) < 0.1])
            for vector in factors_of(kind, rng, 5, 5)
        ]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batch_search, "best_items", nothing)  # it would search while more moves
            pool = Moments(model, patch, change)
            found = asyncio.run(every(model, wishes, want, pool))
        if at_once == 0 and kind == "normal":
            assert None not in found
        for wish, answer in zip(wishes, found, strict=True):
            still = asyncio.run(best_items(pool.then(), wish.query, want, wish.excluded, "dot", Between()))
            assert answer is None or answer.handles.tolist() == still.handles.tolist()
            assert answer is None or answer.scores.tobytes() == still.scores.tobytes()


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=KINDS,
    is_zero=st.booleans(),
    n=st.integers(1, 300),
    want=st.sampled_from([1, 10, 40, 250, 1000]),
    at_once=st.integers(0, 30),
    metric=st.sampled_from(["dot", "cosine"]),
    many=st.sampled_from([0, 256]),
)
@pytest.mark.usefixtures("small_pieces")
def test_one_search_is_exact_for_the_vectors_at_its_end_whatever_moves_comes_or_goes_meanwhile(
    seed, kind, is_zero, n, want, at_once, metric, many
):
    """Each is compared with a sort of all; with a query of zeros all are tied."""
    rng = np.random.default_rng(seed)
    model, handles, change = moving_world(rng, kind, n, at_once)
    query = np.zeros(5) if is_zero else factors_of(kind, rng, 1, 5)[0].astype(np.float64)
    excluded = handles[rng.random(len(handles)) < 0.1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_MANY", many)
        pool = Moments(model, patch, change)
        found = asyncio.run(best_items(model, query, want, excluded, metric, pool))
    kept = handles[pool.moment.has(handles) & ~np.isin(handles, excluded)]
    scores = exact_scores(query, pool.moment.gather(kept), metric)
    names = [model.state.items.id(handle).encode() for handle in kept.tolist()]
    order = sorted(range(len(kept)), key=lambda at: (-scores[at], names[at]))[:want]
    assert found.handles.tolist() == kept[order].tolist()
    assert found.scores.tobytes() == scores[order].tobytes()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), want=st.sampled_from([1, 3, 20]), tile=st.sampled_from([16, 100, 1000]))
def test_no_row_is_missed_whose_score_the_product_cannot_tell_from_another(seed, want, tile):
    rng = np.random.default_rng(seed)
    rows = (rng.normal(size=33) * (1 + rng.integers(-3, 4, size=(500, 33)) * 2.0**-23)).astype(np.float32)
    queries = rng.normal(size=(4, 33))
    norms = np.sqrt((queries * queries).sum(axis=1))
    slack = np.array([margin(33, ExactIndex(rows).largest_norm, float(norm)) for norm in norms])
    units = (queries / norms[:, None]).astype(np.float32)
    lists = shortlists.Shortlists(units, want, slack, shortlists.Pairs.none())
    for start in range(0, len(rows), tile):
        lists.scan(rows[start : start + tile], start, np.empty(0, np.int64), np.arange(4))
    numbers, found = lists.pairs()
    for number, query in enumerate(queries):
        scores = exact_scores(query, rows, "dot")
        best = np.lexsort((np.arange(len(rows)), -scores))[:want]
        assert set(best.tolist()) <= set(found[numbers == number].tolist())


def test_a_block_s_memory_does_not_grow_with_the_items():
    """Of every row only a tile's scores are held, and few pairs."""
    rng = np.random.default_rng(1)
    units = rng.normal(size=(20, 8)).astype(np.float32)
    lists = shortlists.Shortlists(units, 10, np.zeros(20), shortlists.Pairs.none())
    tile, most = rng.normal(size=(4000, 8)).astype(np.float32), 0
    for start in range(0, 400_000, 4000):
        lists.scan(tile[rng.permutation(4000)] + np.float32(start / 1e6), start, np.empty(0, np.int64), np.arange(20))
        most = max(most, sum(len(rows) for _, rows, _ in lists._kept))
    assert len(lists._scores) == 20 * 4000
    assert most < 20 * 10 * 12
    assert len(lists.pairs().rows) < 20 * 12


async def test_of_short_vectors_most_are_never_looked_at(monkeypatch):
    rng = np.random.default_rng(1)
    model, _ = world(rng, "normal", 50_000, 64, 0)
    base = model.state.item_vectors.base
    base *= rng.lognormal(sigma=1.0, size=(len(base), 1)).astype(np.float32)
    model.index = ExactIndex(base)
    looked = []
    scan = shortlists.Shortlists.scan
    monkeypatch.setattr(
        shortlists.Shortlists,
        "scan",
        lambda self, tile, *args: (looked.append(len(args[-1]) * len(tile)), scan(self, tile, *args)),
    )
    wishes = [Wish(rng.normal(size=64), np.arange(0, 50_000, 7)) for _ in range(20)]
    found = await every(model, wishes, 10, Between())
    assert sum(looked) < 0.5 * 20 * len(base)
    for wish, answer in zip(wishes, found, strict=True):
        alone = await best_items(model, wish.query, 10, wish.excluded, "dot", Between())
        assert answer.handles.tolist() == alone.handles.tolist()


async def test_a_long_search_is_cut_into_pieces(monkeypatch):
    monkeypatch.setattr(offload, "INLINE_COST", -1)
    monkeypatch.setattr(batch_scan, "PIECE_COST", 8_000_000)
    rng = np.random.default_rng(1)
    model, _ = world(rng, "normal", 20_000, 64, 10)
    pool = Between()
    wishes = [Wish(rng.normal(size=64), np.empty(0, np.int64)) for _ in range(20)]
    await every(model, wishes, 5, pool)
    assert 3 <= pool.pieces <= 5


def test_a_query_is_open_to_rows_as_long_as_its_floor_and_to_none_that_are_shorter():
    lists = shortlists.Shortlists(np.ones((2, 1), np.float32), 2, np.array([0.0, 0.5]), shortlists.Pairs.none())
    lists.scan(np.array([[3.0], [1.0], [1.0]], np.float32), 0, np.empty(0, np.int64), np.arange(2))
    assert lists.open_to(np.inf).tolist() == [0, 1]
    assert lists.open_to(1.0).tolist() == [0, 1]
    assert lists.open_to(0.99).tolist() == [1]
    assert lists.open_to(0.49).tolist() == []


def test_where_a_norm_is_no_number_nothing_is_proven() -> None:
    """As while a vector is being written; the search is done again one by one."""
    factors = np.eye(2, dtype=np.float32)
    delta = Delta(np.array([5]), np.array([[np.nan, 1.0]], np.float32), np.ones(1, np.bool_))
    none = [np.empty(0, np.int64)]
    scan = BatchScan(factors, 1.0, None, delta, np.ones((1, 2)), 1, none)
    while not scan.step():
        pass
    assert scan.found() == [None]
