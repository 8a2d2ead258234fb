"""Clients that send or read a byte a second: the others are answered, and they themselves are cut off."""

import asyncio

import pytest

from tests.support.load import ask_for
from tests.support.serving_process import ServingProcess
from tests.support.slow_clients import SlowClients
from tests.support.system import eventually


async def test_two_hundred_slow_senders_and_readers_leave_the_others_their_answers(tmp_path):
    bounds = {"header_timeout_s": 3.0, "stall_s": 3.0}
    with ServingProcess(tmp_path, {"connections": bounds}) as serving:
        eventually(lambda: serving.status("/ready") == 200, 60)
        async with SlowClients(serving.port, senders=200, readers=200, byte_s=1.0) as slow:
            load = await ask_for(1, serving.port, ["/recommend/ann", "/estimate/ann/a/b"], 4)
            assert not load.failures
            assert len(load.latencies) > 20
            async with asyncio.timeout(60):
                while slow.cut_off < 400:  # noqa: ASYNC110 - counted by all of them
                    await asyncio.sleep(0.05)
            assert await asyncio.to_thread(serving.status, "/recommend/ann") == 200
        assert serving.stored() == 0


pytestmark = [pytest.mark.timeout(120)]
