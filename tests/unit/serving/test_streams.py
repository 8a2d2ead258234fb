"""Answers that come piece by piece, to their end or not."""

import asyncio

import aiohttp
import pytest

from serving_layer.handlers import catalogue
from tests.support.polling import until
from tests.support.serving import ITEMS, FixedModels, Harness


def broken_off(harness, reason):
    return harness.metrics.registry.get_sample_value("oryx_serving_answers_broken_off_total", {"reason": reason})


async def test_a_stream_that_breaks_off_does_not_look_whole(model, monkeypatch, logged):
    """The first piece is out when the second one fails: the client must not take what it has for everything."""

    async def blocks(*_):
        yield ["a", "b"]
        raise RuntimeError("in the middle")

    monkeypatch.setattr(catalogue, "_blocks", blocks)
    harness = Harness(FixedModels(model))
    async with harness as client:
        async with client.get("/item/allIDs", headers={"Accept-Encoding": "identity"}) as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()
        async with client.get("/knownItems/ann") as response:
            assert response.status == 200, "the service goes on"
    assert broken_off(harness, "error") == 1
    assert broken_off(harness, "client") == 0
    assert '"broken_off":"error"' in logged.getvalue()


async def test_without_chunks_the_end_of_the_connection_says_that_it_broke_off(model, monkeypatch):
    """To a client of HTTP/1.0 the connection's ordinary end is the answer's."""
    go_on = asyncio.Event()

    async def blocks(*_):
        yield ["a", "b"]
        await go_on.wait()
        raise RuntimeError("in the middle")

    monkeypatch.setattr(catalogue, "_blocks", blocks)
    async with Harness(FixedModels(model)) as client:
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(b"GET /item/allIDs HTTP/1.0\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head
        assert b"chunked" not in head
        go_on.set()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_stream_that_fails_at_once_is_a_problem(model, monkeypatch):
    async def blocks(*_):
        raise RuntimeError("at once")
        yield []

    monkeypatch.setattr(catalogue, "_blocks", blocks)
    async with Harness(FixedModels(model)) as client, client.get("/item/allIDs") as response:
        assert response.status == 500
        assert response.content_type == "application/problem+json"


async def test_a_client_that_goes_away_leaves_nothing_behind(model, monkeypatch):
    ended = []

    async def blocks(*_):
        try:
            while True:
                yield ["x" * 1000] * 1000
                await asyncio.sleep(0)
        finally:
            ended.append(True)

    monkeypatch.setattr(catalogue, "_blocks", blocks)
    harness = Harness(FixedModels(model))
    async with harness as client:
        response = await client.get("/item/allIDs")
        await response.content.read(10)
        response.close()
        async with client.head("/item/allIDs") as head:
            assert head.status == 200
        await until(lambda: len(ended) == 2)
        await until(lambda: broken_off(harness, "client") == 1)
        assert broken_off(harness, "error") == 0


async def test_the_ids_are_those_of_the_model(client):
    async with client.get("/item/allIDs") as response:
        assert sorted(await response.json()) == sorted(ITEMS)
