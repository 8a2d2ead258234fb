"""Whose turn it is among batch reads."""

import asyncio

import pytest

from serving_layer.http_semantics.problems import Problem
from serving_layer.requests.batch_read_turns import BatchReadTurns


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_what_has_begun_goes_before_those_that_wait_to_begin():
    turns = BatchReadTurns(1, most_waiting=10)
    order = []

    async def read(name, *, begun):
        async with turns.turn(begun=begun, limit_s=10):
            order.append(name)

    async with asyncio.TaskGroup() as group, turns.turn(begun=False, limit_s=10):
        for name, begun in (("new", False), ("begun", True), ("newer", False), ("begun too", True)):
            group.create_task(read(name, begun=begun))
        await settled()
        assert order == []
    assert order == ["begun", "begun too", "new", "newer"]


async def test_too_many_that_wait_to_begin_are_refused_and_what_has_begun_is_not():
    turns = BatchReadTurns(1, most_waiting=1)

    async def read(*, begun):
        async with turns.turn(begun=begun, limit_s=10):
            pass

    async with asyncio.TaskGroup() as group, turns.turn(begun=False, limit_s=10):
        group.create_task(read(begun=False))
        await settled()
        with pytest.raises(Problem) as refused:
            await read(begun=False)
        assert refused.value.status == 429
        group.create_task(read(begun=True))
        await settled()


async def test_nobody_waits_to_begin_for_ever_and_no_place_is_lost():
    turns = BatchReadTurns(1, most_waiting=1)
    async with turns.turn(begun=False, limit_s=10):
        with pytest.raises(Problem) as refused:
            async with turns.turn(begun=False, limit_s=0):
                pytest.fail("there was no place")
        assert refused.value.status == 503
        assert "write" not in refused.value.detail
        gone = asyncio.create_task(turns.turn(begun=True, limit_s=10).__aenter__())
        await settled()
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    async with asyncio.timeout(20), turns.turn(begun=False, limit_s=20):
        pass
