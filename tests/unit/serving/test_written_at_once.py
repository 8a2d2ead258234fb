"""Single writes that the connection itself answers are those of the long way, byte for byte, and wait as all do."""

import asyncio
import json
import re
import socket

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from oryx_py.config import Connections
from serving_layer.connections.fast_writes import FAST_WRITES
from serving_layer.connections.listener import listen
from serving_layer.connections.open_connections import OpenConnections
from serving_layer.requests import app_keys
from tests.support.polling import until
from tests.support.raw_http import answers_in, exchange
from tests.support.serving import FixedModels, Harness, RecordingSender
from tests.support.serving_process import ServingProcess
from tests.support.system import eventually
from tests.unit.serving.test_at_once import one, request, second_answer

PLAIN = [
    ("/pref/ann/a", b"", 204),
    ("/pref/ann/a", b"2.5", 204),
    ("/pref/u%2F%C3%B1%3D/a=2", b"-1\nignored", 204),
    ("/pref/ann/a", b"much", 400),
    ("/pref/ann/a", b"\xff", 400),
    ("/pref/ann/%zz", b"1", 400),
    ("/pref//a", b"1", 400),
]
LONG = [
    ("/pref/ann/a", b"1" + b" " * 300, {}, 204),
    ("/pref/ann/a?x=1", b"1", {}, 204),
    ("/pref/ann/a/b", b"1", {}, 404),
    ("/pref/ann", b"1", {}, 404),
    ("/pref/ann/a", b"1", {"Idempotency_Key": "k"}, 204),
    ("/pref/ann/a", b"1", {"Origin": "http://elsewhere"}, 403),
    ("/pref/ann/a", b"1", {"Sec_Fetch_Site": "cross-site"}, 403),
    ("/pref/ann/a", b"1", {"Content_Encoding": "gzip"}, 400),
    ("/pref/ann/a", b"1", {"Connection": "close"}, 204),
    ("/ingest", b"ann,a", {"Content_Type": "text/csv"}, 204),
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    with ServingProcess(tmp_path_factory.mktemp("written"), {"connections": {"max": 50}}) as serving:
        eventually(lambda: serving.status("/ready") == 200, 30)
        yield serving


def post(path, body, **headers):
    return request(path, "POST", Content_Length=str(len(body)), **headers) + body


def in_another_light(answer):
    """Without what differs from one write to the next."""
    return re.sub(rb"(Date|X-Oryx-Offset): [^\r]*|made-up-\w+", b"", answer)


@pytest.mark.parametrize(("path", "body", "status"), PLAIN, ids=range(len(PLAIN)))
def test_the_bytes_are_those_of_the_long_way(serving, path, body, status):
    first, before = request("/healthz"), serving.stored()
    short = second_answer(serving.port, first, post(path, body, X_Request_Id="mine"))
    long = second_answer(serving.port, first, post(path, body, X_Request_Id="mine", Sec_Fetch_Site="same-origin"))
    assert short.startswith(b"HTTP/1.1 %d " % status)
    assert in_another_light(short) == in_another_light(long)
    assert serving.stored() == before + (2 if status == 204 else 0)


@pytest.mark.parametrize(("path", "body", "headers", "status"), LONG, ids=range(len(LONG)))
def test_what_is_not_plain_goes_the_long_way(serving, path, body, headers, status):
    found = answers_in(exchange(serving.port, request("/healthz") + post(path, body, **headers)))
    assert [answer.status for answer in found] == [200, status]


def test_both_ways_are_counted_and_logged_alike(serving):
    for name, more in (("short", {}), ("long", {"Sec_Fetch_Site": "same-origin"})):
        second_answer(serving.port, request("/healthz"), post("/pref/ann/a", b"1", X_Request_Id=name, **more))

    def lines():
        entries = [json.loads(line) for line in serving.log.read_text().splitlines() if line.startswith("{")]
        return {entry["request_id"]: entry for entry in entries if entry.get("request_id") in {"short", "long"}}

    eventually(lambda: len(lines()) == 2, 10)
    short, long = (
        {name: value for name, value in lines()[way].items() if name not in {"timestamp", "ms", "request_id"}}
        for way in ("short", "long")
    )
    assert short == long
    assert short["route"] == "/pref/{user}/{item}"
    metrics = answers_in(exchange(serving.port, request("/metrics")))[0].body.decode()
    assert re.search(r'count\{method="POST",route="/pref/\{user\}/\{item\}",status="204"\} (\d+)', metrics)


def test_what_comes_behind_a_write_is_answered_after_it(serving):
    asked = [
        post("/pref/ann/a", b"1"),
        request("/estimate/ann/a"),
        post("/pref/ann/a", b"x"),
        request("/knownItems/ann"),
        post("/pref/ann/a", b"2"),
        post("/pref/bob/a", b"3"),
        request("/recommend/bob"),
        post("/ingest", b"ann,a", Content_Type="text/csv"),
    ]
    numbered = [
        sent.replace(b"Host: x\r\n", b"Host: x\r\nX-Request-Id: %d\r\n" % at, 1) for at, sent in enumerate(asked * 5)
    ]
    statuses = [204, 200, 400, 200, 204, 204, 200, 204] * 5
    whole = answers_in(exchange(serving.port, b"".join(numbered)))
    assert [(answer.headers["x-request-id"], answer.status) for answer in whole] == [
        (str(at), status) for at, status in enumerate(statuses)
    ]
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request("/healthz"))
        one(connection)
        for sent in numbered:
            connection.sendall(sent)  # one piece each, without a wait for its answer
        found = b""
        while len(re.findall(rb"HTTP/1.1 \d{3}", found)) < len(numbered):
            found += one_of_any(connection)
    assert [int(status) for status in re.findall(rb"HTTP/1.1 (\d{3})", found)] == statuses


def one_of_any(connection):
    piece = connection.recv(65_536)
    assert piece, "the connection ended"
    return piece


def test_a_body_in_pieces_is_waited_for(serving):
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent = post("/pref/ann/a", b"1.25")
        for piece in (request("/healthz"), sent[:30], sent[30:-3], sent[-3:-1], sent[-1:]):
            connection.sendall(piece)
            if piece.startswith(b"GET"):
                one(connection)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 204 ")


def test_a_client_that_ends_its_side_has_its_answer_before_the_end(serving):
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        connection.sendall(request("/healthz"))
        one(connection)
        connection.sendall(post("/pref/ann/a", b"1"))
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    assert received.startswith(b"HTTP/1.1 204 ")


class Waiting(RecordingSender):
    """Acknowledges when it is told to."""

    def __init__(self):
        super().__init__()
        self.acknowledged = asyncio.Event()

    async def send_many(self, records):
        await self.acknowledged.wait()
        return await super().send_many(records)


class Listening:
    """The application behind its own connections, on this loop; counts what they take."""

    def __init__(self, model, sender):
        self.harness = Harness(FixedModels(model), sender)
        self.taken = []

    async def __aenter__(self):
        self.runner = web.AppRunner(self.harness.app, access_log=None, shutdown_timeout=5.0)
        registered = OpenConnections(Connections(), CollectorRegistry(), lambda: "made-up")
        self.port = await listen(self.runner, registered, "127.0.0.1", 0)
        writes = registered.fast_writes

        def write(message, body, answered):
            self.taken.append(body)
            writes.write(message, body, answered)

        registered.fast_writes = writes._replace(write=write)
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request("/healthz"))
        await self.answer()
        return self

    async def answer(self):
        head = await self.reader.readuntil(b"\r\n\r\n")
        said = re.search(rb"(?i)content-length: (\d+)", head)
        return head + await self.reader.readexactly(int(said[1]) if said else 0)

    async def __aexit__(self, *_):
        self.writer.close()
        await self.runner.cleanup()


async def test_the_connection_takes_them_and_keeps_the_order_of_what_comes_meanwhile(model):
    sender = Waiting()
    async with Listening(model, sender) as listening:
        listening.writer.write(post("/pref/ann/a", b"7"))
        await until(lambda: listening.taken == [b"7"])
        listening.writer.write(request("/estimate/ann/a"))
        listening.writer.write(post("/pref/ann/b", b"8"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(listening.reader.readexactly(1), 0.1)
        sender.acknowledged.set()
        found = [await listening.answer() for _ in range(3)]
        assert [int(answer[9:12]) for answer in found] == [204, 200, 204]
        assert [record.value[:8] for record in sender.sent] == [b"ann,a,7,", b"ann,b,8,"]
        listening.writer.write(request("/estimate/ann/a"))
        assert (await listening.answer()).startswith(b"HTTP/1.1 200 ")
        listening.writer.write(post("/pref/ann/b", b"9"))
        assert (await listening.answer()).startswith(b"HTTP/1.1 204 ")
        assert listening.taken[-1] == b"9"


async def test_not_even_a_head_that_is_known_by_its_bytes_overtakes_a_write(model):
    sender = Waiting()
    async with Listening(model, sender) as listening:
        for _ in range(3):
            listening.writer.write(request("/estimate/ann/a"))
            await listening.answer()
        listening.writer.write(request("/pref/ann/a", "POST"))
        await until(lambda: listening.taken == [b""])
        listening.writer.write(request("/estimate/ann/a"))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(listening.reader.readexactly(1), 0.1)
        sender.acknowledged.set()
        assert [int((await listening.answer())[9:12]) for _ in range(2)] == [204, 200]


async def test_a_shutdown_waits_for_the_acknowledgement_and_its_answer(model):
    sender = Waiting()
    async with Listening(model, sender) as listening:
        listening.writer.write(post("/pref/ann/a", b"7"))
        await until(lambda: listening.taken)
        ending = asyncio.create_task(listening.runner.cleanup())
        await asyncio.sleep(0.05)
        assert not ending.done()
        sender.acknowledged.set()
        assert (await listening.answer()).startswith(b"HTTP/1.1 204 ")
        await ending
        assert await listening.reader.read() == b""


async def test_the_write_of_a_client_that_goes_away_is_stored_all_the_same(model):
    sender = Waiting()
    async with Listening(model, sender) as listening:
        listening.writer.write(post("/pref/ann/a", b"7"))
        await until(lambda: listening.taken)
        listening.writer.transport.abort()
        await asyncio.sleep(0.05)
        sender.acknowledged.set()
        await until(lambda: len(sender.sent) == 1 and not listening.harness.app[app_keys.RUNNING].writes)


class Message:
    """A head as the parser gives it, of a plain write."""

    def __init__(self, path="/pref/ann/a", **headers):
        self.path, self.headers = path, headers
        self.method, self.version = "POST", (1, 1)
        self.should_close = self.upgrade = self.chunked = False


async def test_writes_that_wait_for_kafka_leave_room_for_reads(model):
    sender = Waiting()
    harness = Harness(FixedModels(model), sender, max_concurrent_requests=4)
    writes, answers = harness.app[FAST_WRITES], []
    for _ in range(2):
        assert writes.takes(Message(), 1)
        writes.write(Message(), b"1", answers.append)
    assert not writes.takes(Message(), 1)
    assert harness.app[app_keys.RUNNING].count == 2
    sender.acknowledged.set()
    await until(lambda: len(answers) == 2)
    assert harness.app[app_keys.RUNNING].count == harness.app[app_keys.RUNNING].writes == 0
    assert all(answer.startswith(b"HTTP/1.1 204 ") for answer in answers)
    assert writes.takes(Message(), 1)


async def test_what_is_not_acknowledged_in_time_is_a_503(model):
    harness = Harness(FixedModels(model), Waiting(), write_timeout_ms=20)
    answers = []
    harness.app[FAST_WRITES].write(Message(), b"1", answers.append)
    await until(lambda: answers)
    head, _, body = answers[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in head
    assert "within 20 ms" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    "settings", [{"read_only": True}, {"request_timeout_ms": 10, "write_timeout_ms": 20}], ids=["read", "short"]
)
async def test_where_writes_are_otherwise_refused_none_is_taken(model, settings):
    assert not Harness(FixedModels(model), **settings).app[FAST_WRITES].takes(Message(), 1)
