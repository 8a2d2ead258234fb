"""BulkWriteTurns of the loop among bulk writes."""

import asyncio
from collections import Counter

import pytest

from serving_layer.event_loop.bulk_write_turns import PASS_US, BulkWriteTurns


class Passes:
    """Counts the passes of the loop while it is entered."""

    def __init__(self) -> None:
        self.now = 0

    async def __aenter__(self):
        self._task = asyncio.create_task(self._count())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()

    async def _count(self):
        while True:
            self.now += 1
            await asyncio.sleep(0)


async def work_of(writes, pieces, cost_us):
    """Return what was done in each pass, by bulk writes of so many pieces."""
    turns, done = BulkWriteTurns(), Counter()
    async with Passes() as passes:

        async def write():
            for _ in range(pieces):
                await turns.next(cost_us)
                done[passes.now] += cost_us
                await asyncio.sleep(0)

        async with asyncio.timeout(10):
            await asyncio.gather(*(write() for _ in range(writes)))
    return done


@pytest.mark.parametrize("cost_us", [PASS_US, 2 * PASS_US])
async def test_of_many_large_ones_one_works_in_a_pass(cost_us):
    done = await work_of(5, 10, cost_us)
    assert set(done.values()) == {cost_us}
    assert len(done) == 50


async def test_small_ones_share_a_pass_and_fill_it():
    done = await work_of(100, 3, PASS_US // 10)
    assert max(done.values()) <= 2 * PASS_US, "what is over of one pass, and the next"
    assert len(done) <= 40, "of 300 pieces, ten a pass"


async def test_who_has_room_waits_for_nothing():
    turns = BulkWriteTurns()
    for _ in range(5):
        with pytest.raises(StopIteration):
            turns.next(PASS_US // 10).send(None)
    await asyncio.sleep(0)


async def test_each_waits_for_those_before_it():
    turns, order = BulkWriteTurns(), []

    async def write(name, cost_us):
        await turns.next(cost_us)
        order.append(name)

    names = [(f"{n}", PASS_US if n % 3 == 0 else 1) for n in range(20)]
    await asyncio.gather(*(write(*each) for each in names))
    assert order == [name for name, _ in names]


async def test_one_that_is_cut_off_keeps_nobody_from_his_turn():
    turns, done = BulkWriteTurns(), []

    async def write(name):
        await turns.next()
        done.append(name)

    tasks = [asyncio.create_task(write(n)) for n in range(6)]
    await asyncio.sleep(0)
    for gone in (2, 3):
        tasks[gone].cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks, return_exceptions=True)
    assert done == [0, 1, 4, 5]


async def test_after_a_rest_there_is_a_whole_pass():
    turns = BulkWriteTurns()
    await turns.next()
    for _ in range(5):
        await asyncio.sleep(0)
    with pytest.raises(StopIteration):
        turns.next().send(None)
    await asyncio.sleep(0)
