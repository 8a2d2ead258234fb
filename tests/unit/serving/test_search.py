"""Searching while updates come in: what moves in the middle of a search is neither lost nor served stale."""

import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from oryx_py.messages import ItemGone, ItemVector, UserVector
from serving_layer.event_loop import offload
from serving_layer.handlers.recommend import recommended
from serving_layer.index import Delta, ExactIndex, delta
from serving_layer.model.representatives import Representatives
from serving_layer.search import best_items as searching
from serving_layer.search import changes as changing
from serving_layer.search.batch_search import Wish, best_of_each
from serving_layer.search.best_items import best_items
from tests.support.serving import EPOCH, PAIRS, USERS, model_at, write_world

ITEMS = {f"i{at:03}": [float(at), 1.0] for at in range(300)}
QUERY = np.array([1.0, 0.0])
NOTHING = np.empty(0, np.int64)


class Meanwhile(Executor):
    """Does something on the loop after each piece of work has looked and before it is taken up."""

    def __init__(self, *changes):
        self.changes = list(changes)
        self.pieces = 0
        self.working = False

    def submit(self, function, *args, **kwargs):
        self.pieces += 1
        self.working = True
        future = Future()
        future.set_result(function(*args, **kwargs))
        self.working = False
        if self.changes:
            self.changes.pop(0)()
        return future


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setattr(offload, "INLINE_COST", -1)
    items = {**ITEMS, **{item: [0.0, 0.0] for pairs in PAIRS.values() for item in pairs}}
    return model_at(write_world(tmp_path / "g", "g", PAIRS, USERS, items), EPOCH)


@pytest.fixture
def searches(monkeypatch):
    """How many rows each search of the index wanted."""
    wanted, best = [], ExactIndex.best
    monkeypatch.setattr(ExactIndex, "best", lambda self, *args: (wanted.append(args[1]), best(self, *args))[1])
    return wanted


def change(model, *updates):
    return lambda: [model.state.apply(update) for update in updates]


async def best(model, pool, want=5):
    found = await best_items(model, QUERY, want, NOTHING, "dot", pool)
    return dict(zip(model.state.items.ids(found.handles), found.scores.tolist(), strict=True))


async def test_an_item_that_moves_meanwhile_has_its_new_score(model, searches):
    pool = Meanwhile(change(model, ItemVector("i299", np.array([297.5, 0], np.float32), epoch=EPOCH)))
    assert await best(model, pool) == {"i298": 298, "i299": 297.5, "i297": 297, "i296": 296, "i295": 295}
    assert len(searches) == 1


async def test_an_item_that_goes_meanwhile_is_not_served(model):
    pool = Meanwhile(change(model, ItemGone("i299", epoch=EPOCH)))
    assert list(await best(model, pool)) == ["i298", "i297", "i296", "i295", "i294"]


async def test_a_new_item_that_goes_meanwhile_is_not_served(model):
    change(model, ItemVector("new", np.array([999, 0], np.float32), epoch=EPOCH))()
    pool = Meanwhile(change(model, ItemGone("new", epoch=EPOCH)))
    assert list(await best(model, pool, 2)) == ["i299", "i298"]


async def test_when_more_goes_than_was_spared_for_the_search_is_done_again(model, searches):
    gone = [ItemGone(f"i{at:03}", epoch=EPOCH) for at in range(280, 300)]
    pool = Meanwhile(change(model, *gone))
    assert list(await best(model, pool)) == ["i279", "i278", "i277", "i276", "i275"]
    assert len(searches) == 2


async def test_as_much_may_go_during_the_second_search_as_during_the_first(model, searches):
    batches = [[ItemGone(f"i{at:03}", epoch=EPOCH) for at in range(start - 20, start)] for start in (300, 280)]
    pool = Meanwhile(*(change(model, *batch) for batch in batches))
    assert list(await best(model, pool)) == ["i259", "i258", "i257", "i256", "i255"]
    assert len(searches) == 2, "none is on the loop"


async def test_however_much_moves_an_answer_comes(model, searches):
    ends = (300, 280, 150, 0)
    batches = [[ItemGone(f"i{at:03}", epoch=EPOCH) for at in range(after, before)] for before, after in pairwise(ends)]
    pool = Meanwhile(*(change(model, *batch) for batch in batches))
    assert list(await best(model, pool)) == ["i149", "i148", "i147", "i146", "i145"]
    assert len(searches) == 3
    assert pool.pieces == 3, "what the loop itself has searched is put in order elsewhere"


async def test_an_item_that_comes_meanwhile_is_served(model, searches):
    pool = Meanwhile(change(model, ItemVector("new", np.array([298.5, 0], np.float32), epoch=EPOCH)))
    assert await best(model, pool, 2) == {"i299": 299, "new": 298.5}
    assert len(searches) == 1


@pytest.mark.parametrize("query", [QUERY, np.zeros(2)])
async def test_what_is_large_is_scored_and_put_in_order_in_another_thread(model, monkeypatch, query):
    for at in range(500):
        change(model, ItemVector(f"new{at}", np.array([at, 1], np.float32), epoch=EPOCH))()
    pool = Meanwhile(change(model, *(ItemVector(f"new{at}", np.ones(2, np.float32), epoch=EPOCH) for at in range(700))))
    places = []
    for module, names in ((searching, ["merged"]), (delta, ["exact_scores"]), (changing, ["exact_scores", "merged"])):
        for name in names:
            original = getattr(module, name)

            def watched(*args, original=original):
                places.append(pool.working)
                return original(*args)

            monkeypatch.setattr(module, name, watched)
    monkeypatch.setattr(offload, "INLINE_COST", 200_000)
    found = await best_items(model, query, 900, NOTHING, "dot", pool)
    assert len(found.handles) == 900
    assert len(places) >= 3
    assert all(places)


async def test_few_are_put_in_order_at_once_and_many_that_may_be_tied_in_another_thread(model, monkeypatch):
    """An answer from the connection itself is small, unless thousands of items share the one place."""
    monkeypatch.undo()
    change(model, UserVector("zero", np.zeros(2, np.float32), (), (), epoch=EPOCH, input=1))()
    threads = set()
    merged = searching.merged
    monkeypatch.setattr(searching, "merged", lambda *args: (threads.add(threading.get_ident()), merged(*args))[1])
    here, counts = threading.get_ident(), []
    with ThreadPoolExecutor(1) as pool:
        for come in (0, 50, 3_000):
            for at in range(come):
                change(model, ItemVector(f"a{at:04}", np.array([at, 1], np.float32), epoch=EPOCH))()
            for query in (QUERY, np.zeros(2)):
                threads.clear()
                found = await best_items(model, query, 10, NOTHING, "dot", pool)
                assert len(found.handles) == 10
                counts.append((come, bool(query.any()), threads <= {here}))
            assert (recommended(model, "zero") is None) == (come == 3_000)
    assert counts == [
        (0, True, True),
        (0, False, True),
        (50, True, True),
        (50, False, True),
        (3_000, True, True),
        (3_000, False, False),
    ]


async def test_whoever_has_the_zero_vector_has_the_first_items_by_id_and_nothing_is_scored_for_it(model, monkeypatch):
    for item in ("i0000", "i000x", "zz", "i005"):
        change(model, ItemVector(item, np.ones(2, np.float32), epoch=EPOCH))()
    change(model, ItemGone("i001", epoch=EPOCH))()
    monkeypatch.setattr(delta, "exact_scores", None)
    found = await best_items(model, np.zeros(2), 8, NOTHING, "dot", Meanwhile())
    assert model.state.items.ids(found.handles) == ["a", "b", "c", "i000", "i0000", "i000x", "i002", "i003"]
    assert not found.scores.any()


async def test_representatives_are_looked_for_in_another_thread_and_are_of_one_moment(model, monkeypatch):
    for at in range(40):
        change(model, ItemVector(f"n{at % 30}", np.array([500 - at, at % 3], np.float32), epoch=EPOCH))()
    pool = Meanwhile()
    names = model.state.items.ids(await model.representatives.now(pool))
    assert names == ["n10", "n11"]
    places, largest = [], Representatives._largest_of

    def watched(self, looked: Delta):
        places.append((len(looked.handles), pool.working))
        return largest(self, looked)

    monkeypatch.setattr(Representatives, "_largest_of", watched)
    moves = change(
        model,
        ItemVector("later", np.array([1, 2], np.float32), epoch=EPOCH),
        ItemVector("n10", np.array([1, 0], np.float32), epoch=EPOCH),
    )
    arrives = change(model, ItemVector("aa", np.array([490, 2], np.float32), epoch=EPOCH))
    pool = Meanwhile(moves, arrives)
    assert model.state.items.ids(await model.representatives.now(pool)) == ["aa", "aa"]
    assert places == [(30, True), (31, True), (1, False)]
    # Whatever goes in the middle, somebody is found.
    pool = Meanwhile(*(change(model, ItemGone(item, epoch=EPOCH)) for item in ("aa", "n11", "n12")))
    assert model.state.items.ids(await model.representatives.now(pool)) == ["n12", "later"]


async def test_when_more_goes_than_was_spared_for_each_of_many_is_searched_by_itself(model):
    gone = [ItemGone(f"i{at:03}", epoch=EPOCH) for at in range(280, 300)]
    pool = Meanwhile(change(model, *gone))
    wishes = [Wish(QUERY, NOTHING), Wish(-QUERY, NOTHING)]
    (block,) = [block async for block in best_of_each(model, wishes, 5, pool)]
    assert model.state.items.ids(block[0].handles) == ["i279", "i278", "i277", "i276", "i275"]
    assert model.state.items.ids(block[1].handles) == ["a", "b", "c", "i000", "z/ä"]
    assert pool.pieces == 3, "two searches, and both answers put right"


async def test_counts_and_their_order_are_of_one_moment(model):
    popular = model.popular
    busy = UserVector("x", None, ("b", "new"), (1.0, 1.0), epoch=EPOCH, input=1)
    counted = await popular.best(10, Meanwhile(change(model, busy)))
    assert dict(zip(model.state.items.ids(counted.handles), counted.counts.tolist(), strict=True))["b"] == 1
    counted = await popular.best(10, Meanwhile())
    found = dict(zip(model.state.items.ids(counted.handles), counted.counts.tolist(), strict=True))
    assert found["b"] == 2
    assert found["new"] == 1


async def test_popularity_is_ranked_once_as_long_as_nothing_changes(model):
    popular, pool = model.popular, Meanwhile()
    for want in (1, 10, 1000, 5):
        await popular.best(want, pool)
    assert pool.pieces == 1
    await popular.best(2000, pool)
    assert pool.pieces == 2
