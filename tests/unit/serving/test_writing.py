"""Writes: stored whole and acknowledged, or refused with the reason and nothing stored."""

import asyncio
import gzip
import json
import zlib

import pytest
from msgspec.structs import replace

from oryx_py.adapters.clock import SystemClock
from oryx_py.config import Api
from oryx_py.errors import BrokerUnavailable, QueueFull
from oryx_py.messages import partition_of
from oryx_py.ports import Delivery
from serving_layer.bootstrap import delivery_timeout_s
from serving_layer.http_semantics.byte_budget import ByteBudget
from serving_layer.http_semantics.problems import Problem
from serving_layer.producing.write_progress import WriteProgress
from serving_layer.requests import app_keys
from tests.support.polling import until
from tests.support.serving import FixedModels, Harness, RecordingSender


class StoppedClock(SystemClock):
    def now_ms(self) -> int:
        return 1234


@pytest.fixture
def harness():
    return Harness(FixedModels(), clock=StoppedClock(), max_body_bytes=100_000, max_ingest_bytes=200_000)


async def post(client, body, status, content_type="text/csv", path="/ingest", **headers):
    headers = {"Content-Type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    async with client.post(path, data=body, headers=headers) as response:
        assert response.status == status, await response.text()
        return response.headers, await response.json(content_type=None) if status != 204 else None


def stored(harness):
    return [(r.key, r.value) for r in harness.sender.sent]


@pytest.mark.parametrize(
    ("body", "strength"), [(b"", b"1"), (b"2.5", b"2.5"), (b"-3\nignored", b"-3"), (b" 4 \r\n", b"4"), (b"\n", b"1")]
)
async def test_a_pref_is_stored_with_its_strength_under_the_users_key(harness, client, body, strength):
    response = await client.post("/pref/u%2F1/i,%22", data=body)
    assert response.status == 204
    assert await response.read() == b""
    assert stored(harness) == [(b"u/1", b'u/1,"i,""",' + strength + b",1234")]
    assert response.headers["X-Oryx-Offset"] in {"0:0", "1:0"}


async def test_deleting_a_pref_stores_an_empty_strength(harness, client):
    response = await client.delete("/pref/u/i")
    assert response.status == 204
    assert stored(harness) == [(b"u", b"u,i,,1234")]


@pytest.mark.parametrize("body", [b"nan", b"inf", b"1e999", b"x", b"1,2", b"\xff", b"1_0", b"-"])
async def test_a_strength_that_is_no_finite_number_is_refused(harness, client, body):
    response = await client.post("/pref/u/i", data=body)
    assert response.status == 400
    assert "strength must be a finite number" in (await response.json(content_type=None))["detail"]
    assert stored(harness) == []


@pytest.mark.parametrize(("body", "encoding"), [(b"1\n" + bytes(66_000), ""), (gzip.compress(bytes(66_000)), "gzip")])
async def test_a_strength_needs_no_large_body(harness, client, body, encoding):
    _, problem = await post(client, body, 413, "text/plain", "/pref/u/i", Content_Encoding=encoding)
    assert "more than 65536 bytes" in problem["detail"]
    assert stored(harness) == []


@pytest.mark.parametrize(("path", "what"), [("/pref//i", "user is empty"), ("/pref/u/", "item is empty")])
async def test_an_empty_id_forgets_nobody(harness, client, path, what):
    for method in ("POST", "DELETE"):
        response = await client.request(method, path)
        assert response.status == 400
        assert (await response.json(content_type=None))["detail"] == what
    assert stored(harness) == []


async def test_idempotency_keys_travel_with_the_records(harness, client):
    await post(client, b"u,i\n\nv,j\n", 204, Idempotency_Key="k-1")
    await post(client, b"", 204, path="/pref/u/i", Idempotency_Key="k-2")
    assert [dict(r.headers)["id"] for r in harness.sender.sent] == [b"k-1:1", b"k-1:3", b"k-2:1"]
    await post(client, b"u,i", 400, Idempotency_Key="has spaces")


LINES = b'u,i\nu,j,\n\n"u,2",k,2.5\r\nu,i,1,77\nu,i,1,77,buy\n["u","x",3]\n'
AS_STORED = [b"u,i,1,1234", b"u,j,,1234", b'"u,2",k,2.5,1234', b"u,i,1,77", b"u,i,1,77,buy", b"u,x,3,1234"]


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        (None, lambda body: body),
        ("gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:10]) + gzip.compress(body[10:])),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
    ],
)
async def test_all_lines_are_stored_in_their_order(harness, client, encoding, encode):
    headers = {"Content_Encoding": encoding} if encoding else {}
    got, _ = await post(client, encode(LINES), 204, **headers)
    assert [value for _, value in stored(harness)] == AS_STORED
    assert got["X-Oryx-Offset"]


async def test_the_last_offset_of_each_partition_is_told(harness, client):
    got, _ = await post(client, b"".join(b"user-%d,i\n" % n for n in range(50)), 204)
    offsets = dict(pair.split(":") for pair in got["X-Oryx-Offset"].split(","))
    assert set(offsets) == {"0", "1"}
    assert max(map(int, offsets.values())) == 49


OBJECTS = [
    {"user": "u", "item": "i"},
    {"user": "u", "item": "j", "strength": None},
    {"user": 'a"]},{', "item": "\\", "strength": 2.5, "timestamp": 77, "event": "buy"},
]
OBJECTS_STORED = [b"u,i,1,1234", b"u,j,,1234", b'"a""]},{",\\,2.5,77,buy']


@pytest.mark.parametrize("indent", [None, 2])
async def test_a_json_array_of_objects_is_stored(harness, client, indent):
    await post(client, json.dumps(OBJECTS, indent=indent).encode(), 204, "application/json; charset=UTF-8")
    assert [value for _, value in stored(harness)] == OBJECTS_STORED


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b'["u","i",2.5]\n["v","j"]\n', [b"u,i,2.5,1234", b"v,j,1,1234"]),
        (b"[ 7 ,8]", [b"7,8,1,1234"]),
        (b"\nu,i,2.5\r\nv,j\n", [b"u,i,2.5,1234", b"v,j,1,1234"]),
        (b' {"user":"u","item":"i"}\n["v","j",3]', [b"u,i,1,1234", b"v,j,3,1234"]),
    ],
)
async def test_lines_that_are_called_json_are_lines_as_oryx_2_reads_them(harness, client, body, values):
    await post(client, body, 204, "application/json")
    assert [value for _, value in stored(harness)] == values


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/jsonl"])
async def test_objects_a_line_each_are_stored(harness, client, content_type):
    await post(client, b"\n".join(json.dumps(obj).encode() for obj in OBJECTS), 204, content_type)
    assert [value for _, value in stored(harness)] == OBJECTS_STORED


@pytest.mark.parametrize(("body", "kind"), [(b"", "text/csv"), (b" [ ] ", "application/json"), (b"\n\n", "text/plain")])
async def test_nothing_is_stored_of_nothing(harness, client, body, kind):
    headers, _ = await post(client, body, 204, kind)
    assert "X-Oryx-Offset" not in headers
    assert stored(harness) == []


async def test_bad_lines_are_named_and_nothing_is_stored(harness, client):
    _, problem = await post(client, b"u,i\nonlyone\nu,i,x\n,i,\nu,,\nu,i,1,-5\n\xff,i\n", 400)
    assert problem["detail"] == (
        "nothing was stored. line 2: a single field, not user,item,strength,timestamp,kind; "
        "line 3: strength must be a finite number in the range of float32, not 'x'; "
        "line 4: user is empty; to forget a user or an item, DELETE /user/… or /item/…; "
        "line 5: item is empty; to forget a user or an item, DELETE /user/… or /item/…; "
        "line 6: timestamp must be epoch milliseconds, a whole number of 0 or above, not '-5'; "
        "line 7: not UTF-8 at byte 0"
    )
    assert stored(harness) == []


async def test_of_many_bad_lines_the_first_are_named(client):
    _, problem = await post(client, b"bad\n" * 1000, 400)
    assert problem["detail"].count("line ") == 20
    assert problem["detail"].endswith("; and 980 more")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"user":"u"}', "line 1: item is missing"),
        (b'{"user":"u","item":"i"}\n[{"user":"u","item":"i"}]', "line 2: "),
        (b" ", "object 1: the body is not a JSON array of objects"),
        (b"", "object 1: the body is not a JSON array of objects"),
        (b"null", "line 1: a single field"),
        (b"[1]", "line 1: "),
        (b"[null]", "object 1: not a flat JSON object"),
        (b'[{"user":"u","item":"i"},]', "object 2: not a flat JSON object"),
        (b'[{"user":"u","item":"i"}', "object 2: the JSON array is not closed: , or ] is missing"),
        (b'[{"user":"u","item":"i"}] x', "object 2: something follows the JSON array"),
        (b'[{"user":"u","item":{}}]', "object 1: not a flat JSON object"),
        (b'[{"user":"u","item":"i}]', "object 1: not a flat JSON object"),
        (b'[{"user":true,"item":"i"}]', "object 1: user must be text"),
        (b'[{"user":"u"}]', "object 1: item is missing"),
        (b'[{"user":"u","item":"i","strenght":1}]', "object 1: unknown key 'strenght'"),
        (b'[{"user":"u","item":"i","strength":NaN}]', "object 1: not JSON"),
        (b'[{"user":"u","item":"i","strength":1e999}]', "object 1: "),
        (b'[{"user":"u","item":"\xff"}]', "object 1: not JSON"),
        (b'[{"user":"\\ud800","item":"i"}]', "object 1: "),
        (b"[" * 100_000, "object 1: not a flat JSON object"),
        (b'[{"user":"' + b"\\" * 90_000, "object 1: not a flat JSON object"),
        (b'[{"a":' * 10_000, "object 1: not a flat JSON object"),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else "",
)
async def test_json_of_another_shape_is_refused(harness, client, body, detail):
    _, problem = await post(client, body, 400, "application/json")
    assert problem["detail"].startswith(f"nothing was stored. {detail}")
    assert stored(harness) == []


@pytest.mark.parametrize(
    ("content_type", "fragment"),
    [
        ("application/octet-stream", "Content-Type must be"),
        ("text/csv; charset=latin-1", "charset must be utf-8"),
        ("\u00ff", "Content-Type must be"),
    ],
)
async def test_other_content_types_are_refused(client, content_type, fragment):
    _, problem = await post(client, b"u,i", 415, content_type)
    assert fragment in problem["detail"]


async def test_without_a_content_type_a_body_is_lines(harness, client):
    response = await client.post("/ingest", data=b"u,i", skip_auto_headers=["Content-Type"])
    assert response.status == 204
    assert len(harness.sender.sent) == 1


async def test_curls_default_content_type_is_lines(harness, client):
    await post(client, b"u=1&v,i", 204, "application/x-www-form-urlencoded")
    assert stored(harness) == [(b"u=1&v", b"u=1&v,i,1,1234")]


async def test_an_unknown_content_encoding_is_refused(client):
    _, problem = await post(client, b"u,i", 415, Content_Encoding="br")
    assert "gzip or deflate" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "encoding", "status", "fragment"),
    [
        (b"u,i\n" * 60_000, None, 413, "more than 200000 bytes"),
        (gzip.compress(b"u,i\n" * 50_001), "gzip", 413, "more than 200000 bytes"),
        (gzip.compress(b"u,i\n" * 12_500_000), "gzip", 413, "more than 200000 bytes"),
        (zlib.compress(b"\n" * 50_000_000), "deflate", 413, "more than 200000 bytes"),
        (gzip.compress(LINES)[:-9], "gzip", 400, "not whole gzip: it ends too early"),
        (gzip.compress(LINES)[:5], "gzip", 400, "not whole gzip: it ends too early"),
        (gzip.compress(LINES) + b"tail", "gzip", 400, "not whole gzip"),
        (zlib.compress(LINES) + b"tail", "deflate", 400, "not whole deflate: something follows its end"),
        (b"u,i", "gzip", 400, "not whole gzip"),
        (b"\x00" * 100, "deflate", 400, "not whole deflate"),
    ],
    ids=[
        "too large",
        "bomb",
        "large bomb",
        "deflate bomb",
        "without its end",
        "hardly begun",
        "gzip and more",
        "deflate and more",
        "no gzip",
        "no deflate",
    ],
)
async def test_bodies_out_of_bounds_or_damaged_are_refused(harness, client, body, encoding, status, fragment):
    headers = {"Content_Encoding": encoding} if encoding else {}
    _, problem = await post(client, body, status, **headers)
    assert fragment in problem["detail"]
    assert stored(harness) == []
    await post(client, b"u,i", 204)


async def test_a_chunked_body_is_bounded_too(harness, client):
    async def chunks():
        for _ in range(100):
            yield b"u,i\n" * 1000

    response = await client.post("/ingest", data=chunks(), headers={"Content-Type": "text/csv"})
    assert response.status == 413
    assert stored(harness) == []


async def test_a_body_that_breaks_off_stores_nothing(harness, client):
    _, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(b"POST /ingest HTTP/1.1\r\nHost: x\r\nContent-Type: text/csv\r\nContent-Length: 100\r\n\r\nu,i\n")
    await writer.drain()
    writer.close()
    assert (await client.get("/healthz")).status == 200
    assert stored(harness) == []


async def test_a_body_framed_wrongly_is_a_400(harness, client):
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(
        b"POST /ingest HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: text/csv\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n4\r\nu,i\n\r\nzz\r\n"
    )
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.split()[1] == b"400"
    assert stored(harness) == []


async def test_when_the_broker_fails_midway_the_lines_acknowledged_are_told(harness, client):
    harness.sender.fail_after = 3
    headers, problem = await post(client, b"".join(b"u,i%d\n" % n for n in range(9)), 503)
    assert problem["accepted"] == 3
    assert "go on after line 3" in problem["detail"]
    assert headers["Retry-After"]
    assert headers["X-Oryx-Offset"].endswith(":2")


BLANKS = b"\n\nu,i0\n\nu,i1\n\n\nu,i2\nu,i3\n"


async def test_with_a_key_the_whole_body_is_sent_again_and_nothing_gets_a_second_name(harness, client):
    harness.sender.fail_after = 2
    _, problem = await post(client, BLANKS, 503, Idempotency_Key="k")
    assert "send the whole request again, unchanged, with the same Idempotency-Key" in problem["detail"]
    assert "go on" not in problem["detail"]
    harness.sender.fail_after = None
    await post(client, BLANKS, 204, Idempotency_Key="k")
    names = [(dict(record.headers)["id"], record.value[:4]) for record in harness.sender.sent]
    assert names[:2] == names[2:4] == [(b"k:3", b"u,i0"), (b"k:5", b"u,i1")]
    assert names[2:] == [(b"k:3", b"u,i0"), (b"k:5", b"u,i1"), (b"k:8", b"u,i2"), (b"k:9", b"u,i3")]


@pytest.mark.parametrize("users", [["ann"], ["ann", "bob", "cid", "dan", "eve", "fay"]])
async def test_under_a_key_no_partition_gets_more_than_is_known_again(harness, users):
    harness.app[app_keys.DEDUPE_RECORDS] = 600
    lines = [f"{users[n % len(users)]},i{n}" for n in range(1_200)]
    of_each = [partition_of(line.split(",")[0], 2) for line in lines]
    fits = next(n for n in range(1_200) if max(of_each[: n + 1].count(0), of_each[: n + 1].count(1)) > 600)
    async with harness as client:
        _, problem = await post(client, "\n".join(lines[: fits + 1]).encode(), 413, Idempotency_Key="k")
        assert "more than 600 lines" in problem["detail"]
        assert "send several requests, each with a key of its own, or this one without a key" in problem["detail"]
        assert stored(harness) == []
        await post(client, "\n".join(lines[:fits]).encode(), 204, Idempotency_Key="k")
        await post(client, "\n".join(lines).encode(), 204)
    assert len(stored(harness)) == fits + 1_200


async def test_as_long_as_the_partitions_are_not_known_a_body_that_needs_them_is_not_stored(harness):
    def unknown():
        raise BrokerUnavailable("Kafka has not answered yet")

    harness.app[app_keys.DEDUPE_RECORDS], harness.app[app_keys.INPUT_PARTITIONS] = 1, unknown
    async with harness as client:
        _, problem = await post(client, b"u,i\nu,j", 503, Idempotency_Key="k")
        assert (problem["accepted"], problem["detail"]) == (0, "Kafka has not answered yet; nothing was stored")
        await post(client, b"u,i", 204, Idempotency_Key="k")


@pytest.mark.parametrize(("fail_after", "line"), [(0, 0), (1, 3), (2, 5), (3, 8)])
async def test_without_a_key_the_lines_after_the_one_told_are_the_rest(harness, client, fail_after, line):
    harness.sender.fail_after = fail_after
    _, problem = await post(client, BLANKS, 503)
    assert (problem["accepted"], problem["line"]) == (fail_after, line)
    assert f"go on after line {line}" in problem["detail"]
    harness.sender.fail_after = None
    await post(client, b"".join(BLANKS.splitlines(keepends=True)[line:]), 204)
    assert [record.value[:4] for record in harness.sender.sent] == [b"u,i%d" % n for n in range(4)]


@pytest.mark.parametrize("path", ["/ingest", "/pref/u/i"])
async def test_when_the_broker_is_away_nothing_is_accepted(harness, client, path):
    harness.sender.refuse = BrokerUnavailable("no acknowledgement from Kafka")
    _, problem = await post(client, b"", 503, path="/pref/u/i")
    assert "no acknowledgement" in problem["detail"]
    _, problem = await post(client, b"u,i", 503)
    assert problem["accepted"] == 0


async def test_when_the_queue_is_full_a_write_is_told_to_come_back(harness, client):
    harness.sender.refuse = QueueFull("too many records wait")
    headers, _ = await post(client, b"", 429, path="/pref/u/i")
    assert headers["Retry-After"]


async def test_a_read_only_service_refuses_writes_and_answers_reads():
    async with Harness(FixedModels(), read_only=True) as client:
        for method, path in (("POST", "/pref/u/i"), ("DELETE", "/pref/u/i"), ("POST", "/ingest")):
            response = await client.request(method, path)
            assert response.status == 403
        assert (await client.get("/healthz")).status == 200


async def test_a_write_that_is_not_acknowledged_in_time_is_answered_with_503():
    async with Harness(FixedModels(), Silent(), request_timeout_ms=50) as client:
        response = await client.post("/pref/u/i")
        assert response.status == 503
        assert "may be stored all the same" in (await response.json(content_type=None))["detail"]


async def test_requests_beyond_the_bound_are_refused_at_once():
    released = asyncio.Event()

    class Slow(RecordingSender):
        async def send_many(self, records):
            await released.wait()
            return await super().send_many(records)

    harness = Harness(FixedModels(), Slow(), max_concurrent_requests=6)
    async with harness as client:
        waiting = [asyncio.create_task(client.post("/pref/u/i")) for _ in range(3)]
        await until(lambda: harness.app[app_keys.RUNNING].count == 3)
        refused = await client.post("/pref/u/i")
        assert refused.status == 429
        assert refused.headers["Retry-After"]
        assert (await client.get("/healthz")).status == 200, "probes are answered however busy it is"
        released.set()
        assert [(await task).status for task in waiting] == [204] * 3
        assert (await client.post("/pref/u/i")).status == 204


class Silent(RecordingSender):
    """Acknowledges only so many records."""

    def __init__(self, acknowledged=0):
        super().__init__()
        self.acknowledged = acknowledged

    async def send_many(self, records):
        if len(self.sent) + len(records) > self.acknowledged:
            await asyncio.Event().wait()
        return await super().send_many(records)


async def test_writes_that_wait_for_kafka_leave_room_for_reads(model):
    harness = Harness(FixedModels(model), Silent(), max_concurrent_requests=4)
    async with harness as client:
        waiting = [asyncio.create_task(client.post("/pref/u/i")) for _ in range(2)]
        await until(lambda: harness.app[app_keys.RUNNING].writes == 2)
        refused = await client.post("/ingest", data="u,i")
        assert refused.status == 429
        assert "writes wait for Kafka" in (await refused.json(content_type=None))["detail"]
        for _ in range(5):
            assert (await client.get("/recommend/ann")).status == 200
        for task in waiting:
            task.cancel()
        await until(lambda: not harness.app[app_keys.RUNNING].writes)


@pytest.mark.parametrize("path", ["/pref/u/i", "/ingest"])
async def test_a_write_is_answered_long_before_other_requests_would_be(path):
    harness = Harness(FixedModels(), Silent(), write_timeout_ms=50, request_timeout_ms=60_000)
    async with harness as client:
        headers, problem = await post(client, b"u,i" if path == "/ingest" else b"", 503, path=path)
    assert headers["Retry-After"]
    assert "no acknowledgement from Kafka within 50 ms" in problem["detail"]
    assert problem.get("accepted") == (0 if path == "/ingest" else None)


async def test_a_bulk_write_cut_off_tells_what_was_stored():
    harness = Harness(FixedModels(), Silent(acknowledged=1000), write_timeout_ms=2000)
    async with harness as client:
        headers, problem = await post(client, b"u,i\n" * 1200, 503)
    assert problem["accepted"] == 1000
    assert headers["X-Oryx-Offset"].endswith(":999")
    assert headers["Retry-After"]


async def test_offsets_that_the_broker_does_not_tell_are_left_out():
    class Forgetful(RecordingSender):
        async def send_many(self, records):
            return [replace(delivery, offset=-1) for delivery in await super().send_many(records)]

    async with Harness(FixedModels(), Forgetful()) as client:
        for path in ("/pref/u/i", "/ingest"):
            headers, _ = await post(client, b"u,i" if path == "/ingest" else b"", 204, path=path)
            assert "X-Oryx-Offset" not in headers
    stored = WriteProgress(repeatable=True)
    for delivery in (Delivery(0, 7), Delivery(1, -1), Delivery(0, -1), Delivery(-1, -1)):
        stored.add(delivery, line=1)
    assert stored.accepted == 4
    assert stored.headers() == {"X-Oryx-Offset": "0:7"}


def test_the_producer_gives_a_write_up_before_its_client_is_answered():
    api = Api()
    assert delivery_timeout_s(api) * 1000 + 1000 <= api.write_timeout_ms


def test_all_bodies_together_are_bounded():
    budget = ByteBudget(10)
    budget.take(6)
    with pytest.raises(Problem) as refused:
        budget.take(5)
    assert refused.value.status == 429
    budget.give(6)
    budget.take(10)


async def test_refused_bodies_give_their_share_back(harness, client):
    for _ in range(20):
        await post(client, gzip.compress(b"\n" * 300_000), 413, Content_Encoding="gzip")
        await post(client, b"bad", 400)
    await post(client, b"u,i", 204)
