"""Answers made by the connection itself are those of the long way, byte for byte, and nobody else can tell."""

import asyncio
import json
import re
import socket
import time
from types import SimpleNamespace

import pytest
from aiohttp.http_parser import HttpRequestParser

from serving_layer.connections.fast_reads import FAST_READS
from serving_layer.connections.plain_head import PlainHead
from serving_layer.event_loop import offload
from serving_layer.http_semantics.content_negotiation import Form
from serving_layer.rescoring.plugin_interface import RescorerProvider
from tests.support.raw_http import answers_in, exchange
from tests.support.serving import FixedModels, Harness
from tests.support.serving_process import ServingProcess
from tests.support.system import eventually

PLAIN = [
    "/estimate/ann/a",
    "/estimate/ann/a/b/nothing",
    "/estimate/u%2F%C3%B1%3D/a",
    "/estimate/ann/a/b/a/b/a/b",
    "/recommend/ann",
    "/recommend/u%2F%C3%B1%3D",
    "/recommend/ann?howMany=1",
    "/recommend/bob?offset=2&howMany=3",
    "/recommend/ann?considerKnownItems=True",
    "/recommend/ann?considerKnownItems=false&howMany=25",
    "/recommend/ann?offset=24&howMany=1",
]
LONG = [
    ("/estimate/ann/a?howMany=3", 200),
    ("/estimate/ann/a?after=never", 400),
    ("/estimate/nobody/a", 404),
    ("/estimate/ann/%zz", 400),
    ("/estimate/ann", 404),
    ("/estimate/ann/" + "/".join("ab" * 10), 200),
    ("/estimate/ann/" + "/".join("ab" * 300), 200),
    ("/recommend/nobody", 404),
    ("/recommend/ann?", 200),
    ("/recommend/ann?howMany=0", 400),
    ("/recommend/ann?howMany=1&howMany=2", 400),
    ("/recommend/ann?howMany=", 400),
    ("/recommend/ann?howMany=%31", 200),
    ("/recommend/ann?considerKnownItems=maybe", 400),
    ("/recommend/ann?howMany=26", 200),
    ("/recommend/ann?howMany=100000&offset=1", 400),
    ("/recommend/ann?howMany=3&unheardOf=4", 200),
    ("/recommend/ann?howMany=3;offset=1", 400),
    ("/recommend/ann?recall=exact", 200),
    ("/recommend/ann?recall=some", 400),
    ("/recommend/ann?rescorerParams=x", 200),
    ("/recommend/ann?after=2:0", 400),
    ("/recommend/ann?after=", 400),
    ("/recommend/ann/a", 404),
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    bounds = {"max": 3, "keep_alive_s": 4.0, "max_path_segments": 1000}
    with ServingProcess(tmp_path_factory.mktemp("at-once"), {"connections": bounds}) as serving:
        eventually(lambda: serving.status("/ready") == 200, 30)
        yield serving


def request(path, method="GET", version="1.1", **headers):
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *(f"{n.replace('_', '-')}: {v}" for n, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def second_answer(port, first, second):
    """What a connection answers to its second request: the first one may come before its task has begun."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        found = b""
        for sent in (first, second):
            connection.sendall(sent)
            found = one(connection)
    return found


def one(connection):
    """Read one answer, as it is."""
    found = b""
    while b"\r\n\r\n" not in found:
        found += piece_of(connection)
    head, _, body = found.partition(b"\r\n\r\n")
    said = re.search(rb"(?i)content-length: (\d+)", head)
    length = int(said[1]) if said else 0
    while len(body) < length:
        body += piece_of(connection)
    return head + b"\r\n\r\n" + body


def piece_of(connection):
    piece = connection.recv(65_536)
    assert piece, "the connection ended"
    return piece


def counted(serving):
    metrics = answers_in(exchange(serving.port, request("/metrics")))[0].body.decode()
    rows = [row for row in metrics.splitlines() if row.startswith("oryx_serving_request_seconds_count{")]
    return sum(float(row.split(" ")[-1]) for row in rows if 'route="/estimate/' in row and 'status="200"' in row)


@pytest.mark.parametrize("accept", [None, "text/csv", "application/json;q=0.5, text/csv", "*/*"])
@pytest.mark.parametrize("path", PLAIN)
def test_the_bytes_are_those_of_the_long_way(serving, path, accept):
    headers = {"X_Request_Id": "mine"} | ({} if accept is None else {"Accept": accept})
    short = second_answer(serving.port, request("/healthz"), request(path, **headers))
    apart = "&" if "?" in path else "?"
    long = second_answer(serving.port, request("/healthz"), request(path + apart, **headers))
    assert short.startswith(b"HTTP/1.1 200 OK\r\n")
    date = re.compile(rb"\r\nDate: [^\r]*")
    assert len(date.findall(short)) == 1
    assert date.sub(b"", short) == date.sub(b"", long)


def test_it_is_counted_and_logged_as_everything_is(serving):
    before = counted(serving)
    for path in ("/estimate/ann/a", "/estimate/ann/a?"):
        second_answer(serving.port, request("/healthz"), request(path, X_Request_Id="of" + path[-1]))
    assert counted(serving) == before + 2

    def lines():
        entries = [json.loads(line) for line in serving.log.read_text().splitlines() if line.startswith("{")]
        return {entry["request_id"]: entry for entry in entries if entry.get("request_id") in {"ofa", "of?"}}

    eventually(lambda: len(lines()) == 2, 10)
    same = [
        {name: value for name, value in line.items() if name not in {"timestamp", "ms", "request_id", "path"}}
        for line in lines().values()
    ]
    assert same[0] == same[1]
    assert same[0]["route"] == "/estimate/{user}/{items}"


@pytest.mark.parametrize(("path", "status"), LONG, ids=range(len(LONG)))
def test_what_is_not_plain_goes_the_long_way(serving, path, status):
    found = answers_in(second_answer(serving.port, request("/estimate/ann/a"), request(path)))
    assert [answer.status for answer in found] == [status]


@pytest.mark.parametrize(
    ("sent", "status", "ends"),
    [
        (request("/estimate/ann/a", "HEAD"), 200, False),
        (request("/estimate/ann/a", "PUT"), 405, False),
        (request("/estimate/ann/a", Connection="close"), 200, True),
        (request("/estimate/ann/a", version="1.0"), 200, True),
        (request("/estimate/ann/a", Accept="image/png"), 406, False),
        (request("/estimate/ann/a", Content_Length="3") + b"abc", 200, False),
        (request("/estimate/ann/a", Expect="100-continue"), 200, False),
    ],
    ids=["head", "put", "close", "old", "form", "body", "expects"],
)
def test_a_connection_is_left_as_the_long_way_leaves_it(serving, sent, status, ends):
    after = b"" if ends else request("/estimate/ann/b")
    found = exchange(serving.port, request("/estimate/ann/b") + sent + after)
    found = found.replace(b"HTTP/1.1 100 Continue\r\n\r\n", b"")
    assert [int(one) for one in re.findall(rb"HTTP/1\.[01] (\d{3}) ", found)] == [200, status] + [200] * (not ends)


async def test_what_goes_wrong_is_told_by_the_long_way(model):
    """Out of a protocol's callback it would end the connection without a word."""
    parser = HttpRequestParser(asyncio.Protocol(), asyncio.get_running_loop(), 65_536)
    ((message, _),), _, _ = parser.feed_data(request("/estimate/ann/a"))
    works, broken = (
        Harness(FixedModels(found)).app[FAST_READS] for found in (model, SimpleNamespace(generation="g", state=None))
    )
    assert works.answer(message.path, works.head_of(message)).startswith(b"HTTP/1.1 200 OK")
    assert broken.answer(message.path, broken.head_of(message)) is None


@pytest.mark.parametrize(
    "path", ["/a?", "/a?after=0:1", "/a#b", "/ä", "/a b", "/a|b", "", "/" + "/".join("ab" * 6)], ids=range(8)
)
def test_what_is_no_plain_path_is_left_to_the_long_way(model, path):
    at_once = Harness(FixedModels(model)).app[FAST_READS]
    assert at_once.answer("/estimate/ann" + path, HEAD) is None
    assert at_once.answer("/estimate/ann/a", HEAD) is not None


HEAD = PlainHead(Form("json", "application/json"), "")
HERE = "tests.unit.serving.test_at_once"


class ForSimilarity(RescorerProvider):
    """Has no say in recommendations."""

    def similarity(self, items, params):
        return None


class ForAll(ForSimilarity):
    """Has."""

    def recommend(self, users, params):
        return None


@pytest.mark.parametrize("path", PLAIN)
async def test_what_is_plain_is_answered_at_once(model, path):
    assert Harness(FixedModels(model)).app[FAST_READS].answer(path, HEAD).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("path", [path for path, _ in LONG], ids=range(len(LONG)))
async def test_what_is_not_plain_is_not(model, path):
    assert Harness(FixedModels(model)).app[FAST_READS].answer(path, HEAD) is None


async def test_a_long_search_is_left_to_another_thread(model, monkeypatch):
    at_once = Harness(FixedModels(model)).app[FAST_READS]
    monkeypatch.setattr(offload, "INLINE_COST", 1)
    assert at_once.answer("/recommend/ann", HEAD) is None
    assert at_once.answer("/estimate/ann/a", HEAD) is not None


@pytest.mark.parametrize(("provider", "at_once"), [("ForSimilarity", True), ("ForAll", False)], ids=["other", "this"])
async def test_what_a_plug_in_may_rescore_is_left_to_it(model, provider, at_once):
    app = Harness(FixedModels(model), rescorer=f"{HERE}:{provider}").app
    assert (app[FAST_READS].answer("/recommend/ann", HEAD) is not None) == at_once


def test_a_head_that_comes_again_is_read_as_the_first_time(serving):
    """Each piece comes alone: it is answered, or known to be read, before the next is sent."""
    plain, csv = request("/estimate/ann/a"), request("/estimate/bob/b", Accept="text/csv")
    named = request("/estimate/bob/c", X_Request_Id="mine")
    in_json, in_csv, of_named = ("new", b"[1.0]"), ("new", b"2.0\n"), ("mine", b"[1.0]")
    begun = b"GET /estimate/ann/a HTTP/1.1\r\nX-Request-Id: theirs\r\nX: "
    body = request("/ingest", "POST", Content_Length=str(len(plain)), Content_Type="text/csv")
    sent = [
        *[(plain, [in_json])] * 3,
        *[(csv, [in_csv])] * 3,
        *[(named, [of_named])] * 3,
        *[(plain, [in_json])] * 3,
        (begun, []),
        (plain, [("theirs", b"[1.0]")]),
        *[(plain, [in_json])] * 3,
        (body, []),
        (plain, [("new", None)]),
        *[(plain, [in_json])] * 3,
        (plain + csv, [in_json, in_csv]),
        *[(plain, [in_json])] * 3,
        (plain + begun, [in_json]),
        (plain, [("theirs", b"[1.0]")]),
    ]
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        for piece, expected in sent:
            connection.sendall(piece)
            if not expected:
                time.sleep(0.1)
            found = b""
            while len(re.findall(rb"HTTP/1.1 \d{3}", found)) < len(expected):
                found += one(connection)
            answers = answers_in(found)
            said = [(answer.headers["x-request-id"], answer.body) for answer in answers]
            wanted = [
                (said[at][0] if name == "new" else name, said[at][1] if body is None else body)
                for at, (name, body) in enumerate(expected)
            ]
            assert said == wanted, piece
            assert {name for name, _ in said if name in {"mine", "theirs"}} == {name for name, _ in expected} - {"new"}


def test_requests_in_one_piece_or_in_many_are_answered_in_order(serving):
    asked = ["/estimate/ann/a", "/knownItems/ann", "/estimate/bob/a", "/estimate/nobody/a", "/estimate/ann/b"] * 3
    sent = b"".join(request(path, X_Request_Id=str(at)) for at, path in enumerate(asked))
    whole = answers_in(exchange(serving.port, sent))
    assert [answer.headers["x-request-id"] for answer in whole] == [str(at) for at in range(len(asked))]
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pieces = b""
        for at, path in enumerate(asked):
            sent = request(path, X_Request_Id=str(at))
            for piece in (sent[:7], sent[7:40], sent[40:]):
                connection.sendall(piece)
            pieces += one(connection)
    assert [answer.body for answer in answers_in(pieces)] == [answer.body for answer in whole]


def test_a_client_that_ends_its_side_has_its_answer_before_the_end(serving):
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        connection.sendall(request("/healthz"))
        one(connection)
        connection.sendall(request("/estimate/ann/a"))
        connection.shutdown(socket.SHUT_WR)
        assert one(connection).startswith(b"HTTP/1.1 200")
        assert connection.recv(1) == b""


def test_an_idle_connection_ends_and_a_busy_one_is_not_taken_for_idle(serving):
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        for _ in range(2):
            connection.sendall(request("/estimate/ann/a"))
            assert one(connection).startswith(b"HTTP/1.1 200")
        assert connection.recv(1) == b"", "ended after serving.connections.keep_alive_s"
    open_ = [socket.create_connection(("127.0.0.1", serving.port), timeout=10) for _ in range(3)]
    try:
        for connection in [*open_, open_[1], open_[2], open_[0]]:  # the one asked longest ago is the second
            time.sleep(0.02)  # the loop's time goes by milliseconds
            connection.sendall(request("/estimate/ann/a"))
            assert one(connection).startswith(b"HTTP/1.1 200")
        with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as further:
            further.sendall(request("/estimate/ann/a"))
            assert one(further).startswith(b"HTTP/1.1 200")
            assert open_[1].recv(1) == b"", "it made room"
            for connection in (open_[0], open_[2]):
                connection.sendall(request("/estimate/ann/a"))
                assert one(connection).startswith(b"HTTP/1.1 200")
    finally:
        for connection in open_:
            connection.close()
