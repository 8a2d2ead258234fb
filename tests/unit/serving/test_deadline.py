"""A time limit that is only set where something is waited for."""

import asyncio

import pytest

from serving_layer.event_loop.time_limit import within


async def test_what_waits_for_nothing_sets_no_timer(monkeypatch):
    async def work():
        return 7

    monkeypatch.setattr(asyncio.get_running_loop(), "call_at", lambda *_: pytest.fail("a timer"))
    assert await within(1, work()) == 7


async def test_what_waits_comes_to_its_end():
    async def work():
        found = []
        for number in range(3):
            await asyncio.sleep(0)
            future = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(future.set_result, number)
            found.append(await future)
        return found

    assert await within(10, work()) == [0, 1, 2]


async def test_what_takes_too_long_is_cancelled():
    ended = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        await within(0.01, work())
    assert ended == [True]


@pytest.mark.parametrize("first", [True, False])
async def test_what_it_raises_is_raised(first):
    async def work():
        if not first:
            await asyncio.sleep(0)
        raise KeyError("x")

    with pytest.raises(KeyError):
        await within(10, work())


async def test_what_it_catches_is_its_own():
    async def work():
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, OSError())
        try:
            await future
        except OSError:
            await asyncio.sleep(0)
            return "caught"

    assert await within(10, work()) == "caught"


async def test_cancelled_from_outside_it_is_no_timeout():
    begun = asyncio.Event()

    async def work():
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(within(10, work()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_limit_within_keeps_its_own():
    async def work():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        return "on"

    assert await within(10, work()) == "on"
