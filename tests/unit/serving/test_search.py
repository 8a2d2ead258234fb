"""Searching while updates come in: what moves in the middle of a search is neither lost nor served stale."""

from concurrent.futures import Executor, Future

import numpy as np
import pytest

from oryx_py.messages import ItemGone, ItemVector, UserVector
from serving_layer.event_loop import offload
from serving_layer.search.batch_search import Wish, best_of_each
from serving_layer.search.best_items import best_items
from tests.support.serving import EPOCH, PAIRS, USERS, model_at, write_world

ITEMS = {f"i{at:03}": [float(at), 1.0] for at in range(300)}
QUERY = np.array([1.0, 0.0])
NOTHING = np.empty(0, np.int64)


class Meanwhile(Executor):
    """Does something on the loop after each search has looked and before it is taken up."""

    def __init__(self, *changes):
        self.changes = list(changes)
        self.searches = 0

    def submit(self, function, *args, **kwargs):
        self.searches += 1
        future = Future()
        future.set_result(function(*args, **kwargs))
        if self.changes:
            self.changes.pop(0)()
        return future


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setattr(offload, "INLINE_COST", -1)
    items = {**ITEMS, **{item: [0.0, 0.0] for pairs in PAIRS.values() for item in pairs}}
    return model_at(write_world(tmp_path / "g", "g", PAIRS, USERS, items), EPOCH)


def change(model, *updates):
    return lambda: [model.state.apply(update) for update in updates]


async def best(model, pool, want=5):
    found = await best_items(model, QUERY, want, NOTHING, "dot", pool)
    return dict(zip(model.state.items.ids(found.handles), found.scores.tolist(), strict=True))


async def test_an_item_that_moves_meanwhile_has_its_new_score(model):
    pool = Meanwhile(change(model, ItemVector("i299", np.array([297.5, 0], np.float32), epoch=EPOCH)))
    assert await best(model, pool) == {"i298": 298, "i299": 297.5, "i297": 297, "i296": 296, "i295": 295}
    assert pool.searches == 1


async def test_an_item_that_goes_meanwhile_is_not_served(model):
    pool = Meanwhile(change(model, ItemGone("i299", epoch=EPOCH)))
    assert list(await best(model, pool)) == ["i298", "i297", "i296", "i295", "i294"]


async def test_a_new_item_that_goes_meanwhile_is_not_served(model):
    change(model, ItemVector("new", np.array([999, 0], np.float32), epoch=EPOCH))()
    pool = Meanwhile(change(model, ItemGone("new", epoch=EPOCH)))
    assert list(await best(model, pool, 2)) == ["i299", "i298"]


async def test_when_more_goes_than_was_spared_for_the_search_is_done_again(model):
    gone = [ItemGone(f"i{at:03}", epoch=EPOCH) for at in range(280, 300)]
    pool = Meanwhile(change(model, *gone))
    assert list(await best(model, pool)) == ["i279", "i278", "i277", "i276", "i275"]
    assert pool.searches == 2


async def test_however_much_moves_an_answer_comes(model):
    batches = [
        [ItemGone(f"i{at:03}", epoch=EPOCH) for at in range(start - 20, start)] for start in (300, 280, 260, 240)
    ]
    pool = Meanwhile(*(change(model, *batch) for batch in batches))
    found = await best(model, pool)
    assert len(found) == 5
    assert all(model.state.item_vector(model.state.items.find(item)) is not None for item in found)


async def test_an_item_that_comes_meanwhile_is_served(model):
    pool = Meanwhile(change(model, ItemVector("new", np.array([298.5, 0], np.float32), epoch=EPOCH)))
    assert await best(model, pool, 2) == {"i299": 299, "new": 298.5}
    assert pool.searches == 1


async def test_when_more_goes_than_was_spared_for_each_of_many_is_searched_by_itself(model):
    gone = [ItemGone(f"i{at:03}", epoch=EPOCH) for at in range(280, 300)]
    pool = Meanwhile(change(model, *gone))
    wishes = [Wish(QUERY, NOTHING), Wish(-QUERY, NOTHING)]
    (block,) = [block async for block in best_of_each(model, wishes, 5, pool)]
    assert model.state.items.ids(block[0].handles) == ["i279", "i278", "i277", "i276", "i275"]
    assert model.state.items.ids(block[1].handles) == ["a", "b", "c", "i000", "z/ä"]
    assert pool.searches == 2


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
    assert pool.searches == 1
    await popular.best(2000, pool)
    assert pool.searches == 2
