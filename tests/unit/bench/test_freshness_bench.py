"""What the freshness benchmark says of two measurements of the same thing, and how it asks."""

import asyncio
import math

import numpy as np
import pytest

from tests.bench import freshness
from tests.bench.freshness import Times, agrees, quantile
from tests.support.open_load import Answered, Connections, request_of
from tests.support.polling import until

BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, math.inf)


def counted(seconds: list[float]) -> dict[float, float]:
    return {bound: float(sum(value <= bound for value in seconds)) for bound in BOUNDS}


def times(visible: list[float]) -> Times:
    return Times(visible=visible, writes=[0.002] * 10, reads=[0.001] * 10)


def test_a_quantile_lies_in_the_bucket_of_the_true_one() -> None:
    values = np.random.default_rng(1).exponential(0.01, 500).tolist()
    for share in (0.01, 0.5, 0.9, 0.99):
        found, low, high = quantile(counted(values), share)
        true = sorted(values)[math.ceil(share * len(values)) - 1]
        assert low <= found <= high
        assert low < true <= high
    assert quantile(counted([1.0]), 0.5) == (0.1, 0.1, math.inf), "above all bounds nothing but that is known"


@pytest.mark.parametrize(
    ("outside", "same"),
    [(0.015, True), (0.022, True), (0.009, False), (0.030, False)],
    ids=["in", "http", "low", "high"],
)
def test_two_measurements_agree_where_only_the_requests_lie_between_them(outside: float, same: bool) -> None:
    assert agrees(times([outside] * 9), counted([0.015] * 100), 0.5) is same


async def test_answers_are_put_together_from_pieces_and_requests_wait_for_a_connection() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            heard.append(head.partition(b"\r\n")[0])
            if head.startswith(b"POST"):
                assert await reader.readexactly(3) == b"1.5"
                writer.write(b"HTTP/1.1 204 No Content\r\nX-Oryx-Offset: 0:1\r\n\r\n")
                continue
            for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 4\r\n\r\nab", b"cd"):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    connections = Connections(server.sockets[0].getsockname()[1], 1)
    await connections.connect()
    found: list[Answered] = []
    connections.ask(request_of("POST", "/pref/u/i", b"1.5"), 0.0, found.append)
    connections.ask(request_of("GET", "/recommend/u"), 0.0, found.append)
    await until(lambda: not connections.open)
    connections.close()
    server.close()
    assert [(answer.status, answer.body) for answer in found] == [(204, b""), (200, b"abcd")]
    assert heard == [b"POST /pref/u/i HTTP/1.1", b"GET /recommend/u HTTP/1.1"]
    assert connections.failures == []


async def test_requests_go_round_all_connections_so_that_none_is_ended_for_resting() -> None:
    asked: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            asked.append(writer.get_extra_info("peername")[1])
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    connections = Connections(server.sockets[0].getsockname()[1], 3)
    await connections.connect()
    for _ in range(6):
        connections.ask(request_of("GET", "/recommend/u"), 0.0, lambda _: None)
        await until(lambda: not connections.open)
    connections.close()
    server.close()
    assert asked[:3] == asked[3:]
    assert len(set(asked)) == 3


def test_rounds_are_put_together() -> None:
    one, other = Times(visible=[0.01], posted=3, refused=["503"]), Times(visible=[0.02, 0.03], posted=4, lost=1)
    together = Times.of_all([one, other])
    assert together == Times(visible=[0.01, 0.02, 0.03], posted=7, lost=1, refused=["503"])


async def test_what_is_known_and_then_not_any_more_is_counted_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "WATCHED_S", 1.5)
    monkeypatch.setattr(freshness, "LOOK_S", 0.01)
    looks = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal looks
        while head := await reader.readuntil(b"\r\n\r\n"):
            if head.startswith(b"POST"):
                await reader.readexactly(1)
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                continue
            looks += 1
            body = b'["i1"]' if 3 <= looks < 6 or looks >= 9 else b'["i11"]'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    connections = Connections(server.sockets[0].getsockname()[1], 1)
    await connections.connect()
    load = freshness.Load(connections, ["u"], ["u"], ["i1"], 1, np.random.default_rng(0))
    found = await load.run(0.05, 0, 0, 0, watches=10)
    connections.close()
    server.close()
    assert len(found.appeared) == len(found.gone) == 1
    assert 0.02 <= found.appeared[0] < found.gone[0] + 1
    assert found.gone[0] >= 0.03
    assert found.lost == 0
