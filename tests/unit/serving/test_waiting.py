"""``after``: a client reads its own write, from whatever is served when it is there."""

import asyncio

import numpy as np
import pytest

from oryx_py.messages import ItemGone, Progress, UserVector, partition_of
from serving_layer.requests import app_keys
from tests.support.polling import until
from tests.support.serving import (
    EPOCH,
    ITEMS,
    PAIRS,
    USERS,
    FixedModels,
    Harness,
    RecordingSender,
    model_at,
    write_world,
)


@pytest.fixture
def models(model):
    return FixedModels(model)


@pytest.fixture
def harness(models):
    return Harness(models, read_after_write_timeout_ms=10_000)


def progress(offset, partition=0, epoch=EPOCH):
    return Progress({partition: offset}, {partition: True}, epoch)


async def waiting(client, path):
    """Ask, and return once the request waits for a change."""
    task = asyncio.create_task(client.get(path))
    models = client.app[app_keys.MODELS]
    await until(lambda: models._broadcast._waiters)
    return task


async def test_what_is_covered_already_is_answered_at_once(client):
    assert (await client.get("/recommend/ann?after=0:9,1:19")).status == 200


@pytest.mark.parametrize("path", ["/recommend/ann", "/mostPopularItems", "/estimate/ann/a", "/because/ann/a"])
async def test_a_read_waits_until_progress_covers_the_write(model, models, client, path):
    task = await waiting(client, f"{path}?after=0:10")
    model.state.apply(UserVector("ann", np.array([5, 5], np.float32), ("c",), (1.0,), epoch=EPOCH, input=10))
    models.notify()
    await asyncio.sleep(0)
    assert not task.done(), "the vector is there, but only PROGRESS says that it is all"
    model.state.apply(progress(10))
    models.notify()
    await asyncio.sleep(0)
    assert not task.done(), "below 10 is not yet 10 itself"
    model.state.apply(progress(11))
    models.notify()
    assert (await asyncio.wait_for(task, 10)).status == 200


async def test_the_answer_includes_the_write(model, models, client):
    task = await waiting(client, "/knownItems/ann?after=0:10")
    model.state.apply(UserVector("ann", np.array([5, 5], np.float32), ("c",), (1.0,), epoch=EPOCH, input=10))
    model.state.apply(progress(11))
    models.notify()
    assert await (await asyncio.wait_for(task, 10)).json() == ["a", "b", "c"]


async def test_of_several_offsets_all_are_waited_for(model, models, client):
    task = await waiting(client, "/knownItems/ann?after=0:10,1:5&after=1:25,0:3")
    model.state.apply(progress(11))
    models.notify()
    await asyncio.sleep(0)
    assert not task.done()
    model.state.apply(progress(26, partition=1))
    models.notify()
    assert (await asyncio.wait_for(task, 10)).status == 200


async def test_what_does_not_come_in_time_is_a_504(model):
    async with Harness(FixedModels(model), read_after_write_timeout_ms=20) as client:
        response = await client.get("/recommend/ann?after=0:10")
        assert response.status == 504
        assert response.headers["X-Oryx-Generation"] == "gen-1"
        assert "not in the model after 0.02 s" in (await response.json(content_type=None))["detail"]


async def test_a_user_needs_only_its_own_update_partition(tmp_path):
    path = write_world(tmp_path / "g", "g", PAIRS, USERS, ITEMS, covers={0: 10, 1: 20})
    model = model_at(path, EPOCH, update_partitions=2)
    home = partition_of("ann", 2)
    model.state.apply(progress(11), home)
    async with Harness(FixedModels(model), read_after_write_timeout_ms=20) as client:
        assert (await client.get("/knownItems/ann?after=0:10")).status == 200
        assert (await client.get("/mostPopularItems?after=0:10")).status == 504
        model.state.apply(progress(11), 1 - home)
        assert (await client.get("/mostPopularItems?after=0:10")).status == 200


async def test_when_another_epoch_is_served_meanwhile_its_progress_counts(tmp_path, models, client):
    task = await waiting(client, "/estimate/ann/a?after=0:10")
    other = {user: [vector[0] * 100, vector[1]] for user, vector in USERS.items()}
    newer = model_at(write_world(tmp_path / "newer", "gen-2", PAIRS, other, ITEMS, covers={0: 5, 1: 20}), EPOCH + 1)
    models.model = newer
    models.notify()
    await asyncio.sleep(0)
    assert not task.done()
    newer.state.apply(progress(11, epoch=EPOCH + 1))
    models.notify()
    response = await asyncio.wait_for(task, 10)
    assert response.headers["X-Oryx-Generation"] == "gen-2"
    assert await response.json() == [100.0]


async def test_a_swap_to_what_covers_it_already_ends_the_wait(tmp_path, models, client):
    task = await waiting(client, "/estimate/ann/a?after=0:10")
    models.model = model_at(write_world(tmp_path / "newer", "gen-2", PAIRS, USERS, ITEMS, covers={0: 11, 1: 20}), 4)
    models.notify()
    assert (await asyncio.wait_for(task, 10)).headers["X-Oryx-Generation"] == "gen-2"


NEVER = "/recommend/ann?after=0:999999999"


async def test_reads_that_wait_leave_room_for_all_others(model):
    harness = Harness(FixedModels(model), max_concurrent_requests=4, read_after_write_timeout_ms=9_000)
    async with harness as client:
        running = harness.app[app_keys.RUNNING]
        asked = [asyncio.create_task(client.get(NEVER)) for _ in range(2)]
        await until(lambda: running.waiting == 2)
        assert running.count == 0, "who waits has given its place to others"
        assert (await client.get("/recommend/ann")).status == 200
        assert (await client.get("/mostPopularItems?after=0:9")).status == 200, "what is there already need not wait"
        assert (await client.post("/pref/ann/a")).status == 204
        refused = await client.get(NEVER)
        assert refused.status == 429
        assert refused.headers["Retry-After"]
        assert "2 reads wait for what was written" in (await refused.json(content_type=None))["detail"]
        for task in asked:
            task.cancel()
        await until(lambda: not running.waiting)
        assert running.count == 0


async def test_who_has_waited_is_answered_however_busy_it_is_by_then(model, models):
    class Slow(RecordingSender):
        async def send_many(self, records):
            await released.wait()
            return await super().send_many(records)

    released = asyncio.Event()
    harness = Harness(models, Slow(), max_concurrent_requests=2, read_after_write_timeout_ms=9_000)
    async with harness as client:
        running = harness.app[app_keys.RUNNING]
        read = await waiting(client, "/knownItems/ann?after=0:10")
        write = asyncio.create_task(client.post("/pref/u/i"))
        await until(lambda: running.writes)
        model.state.apply(progress(11))
        models.notify()
        assert (await asyncio.wait_for(read, 10)).status == 200
        released.set()
        assert (await write).status == 204
    assert (running.count, running.waiting) == (0, 0)


async def test_a_wait_that_ends_in_vain_leaves_no_place_taken(model):
    harness = Harness(FixedModels(model), max_concurrent_requests=1, read_after_write_timeout_ms=20)
    async with harness as client:
        for _ in range(3):
            assert (await client.get(NEVER)).status == 504
        assert (await client.get("/recommend/ann")).status == 200
    running = harness.app[app_keys.RUNNING]
    assert (running.count, running.waiting) == (0, 0)


@pytest.fixture
def two_partitions(tmp_path):
    """A model of two update partitions."""
    return model_at(write_world(tmp_path / "two", "g", PAIRS, USERS, ITEMS, covers={0: 10, 1: 20}), EPOCH, 2)


async def test_a_user_is_recommended_no_item_whose_forgetting_was_waited_for(two_partitions):
    state, home = two_partitions.state, partition_of("bob", 2)
    gone = next(item for item in ("a", "b", "d") if partition_of(item, 2) != home)
    models = FixedModels(two_partitions)
    async with Harness(models, read_after_write_timeout_ms=9_000) as client:
        assert gone in [found["id"] for found in await (await client.get("/recommend/bob")).json()]
        # As `DELETE /item` is answered: with a place in every partition of the input.
        task = await waiting(client, "/recommend/bob?after=0:10,1:20")
        both = Progress({0: 11, 1: 21}, {0: True, 1: True}, EPOCH)
        state.apply(both, home)
        models.notify()
        await asyncio.sleep(0)
        assert not task.done(), "the item lives in the other update partition, of which nothing was heard"
        state.apply(ItemGone(gone, EPOCH), 1 - home)
        state.apply(both, 1 - home)
        models.notify()
        found = await (await asyncio.wait_for(task, 10)).json()
        assert gone not in [entry["id"] for entry in found]
