"""Connections within bounds, on the whole layer in a process of its own: whatever bytes come, and however slowly."""

import json
import resource
import socket
from pathlib import Path

import pytest

from tests.support.raw_http import answers_in, check_problem, exchange
from tests.support.serving_process import ServingProcess
from tests.support.system import eventually

pytestmark = pytest.mark.xdist_group("connections")

BOUNDS = {
    "max": 20,
    # Above what a busy machine may lose between two lines of a test that is not meant to be cut off.
    "header_timeout_s": 2.0,
    "stall_s": 3.0,
    "keep_alive_s": 3.0,
    "max_url_bytes": 2048,
    "max_path_segments": 50,
    "max_headers": 20,
    "max_header_bytes": 4096,
}
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    with ServingProcess(tmp_path_factory.mktemp("serving"), {"connections": BOUNDS}) as serving:
        eventually(lambda: serving.status("/ready") == 200, 30)
        yield serving


def only(received):
    (answer,) = answers_in(received)
    check_problem(answer)
    return answer


def read_all(connection):
    received = b""
    try:
        while piece := connection.recv(65_536):
            received += piece
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        (b"nonsense\r\n\r\n", 400, "no HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "no HTTP request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "no HTTP request"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400, "no HTTP request"),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "more than 2048 bytes"),
        (b"GET /similarity" + b"/a" * 60 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "more than 50 segments"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 5000 + b"\r\n\r\n", 431, "headers"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"A: a\r\n" * 30 + b"\r\n", 431, "headers"),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: the worst\r\n\r\n", 417, ""),
        (b"POST /ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, ""),
        (
            b"POST /ingest HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            400,
            "",
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, ""),
    ],
)
def test_what_is_no_request_is_refused_as_everything_is(serving, sent, status, says):
    answer = only(exchange(serving.port, sent))
    assert answer.status == status
    assert says in answer.json()["detail"]
    assert answer.headers["server"] == "oryx"


@pytest.mark.parametrize(
    ("first", "more", "status"),
    [
        (b"GET /similarity" + b"/a" * 60 + b" HTTP/1.1", b"", 414),
        (b"GET /healthz HTTP/1.1", b"Expect: the worst\r\n", 417),
        (b"GET /healthz HTTP/2.0", b"", 505),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1", b"", 414),
        (b"nonsense", b"", 400),
    ],
    ids=["segments", "expectation", "version", "URL", "no HTTP"],
)
def test_what_is_refused_before_it_leads_anywhere_is_counted_and_logged_as_everything_is(serving, first, more, status):
    before = refused(serving, status)
    answer = only(exchange(serving.port, first + b"\r\nHost: x\r\nX-Request-Id: mine-%d\r\n" % status + more + b"\r\n"))
    assert answer.status == status
    if status != 400 and b"aaa" not in first:  # else there is no request that it could be of
        assert answer.headers["x-request-id"] == f"mine-{status}"
        assert answer.headers["x-oryx-generation"] == "gen-1"
    assert refused(serving, status) == before + 1

    def lines():
        entries = [json.loads(line) for line in serving.log.read_text().splitlines() if line.startswith("{")]
        return [entry for entry in entries if entry.get("request_id") == answer.headers["x-request-id"]]

    eventually(lambda: any(line["event"] == "request" for line in lines()), 10)
    (line,) = [line for line in lines() if line["event"] == "request"]
    assert (line["route"], line["status"]) == ("none", status)


def refused(serving, status):
    (answer,) = answers_in(exchange(serving.port, GET.replace(b"healthz", b"metrics")))
    rows = [row for row in answer.body.decode().splitlines() if row.startswith("oryx_serving_request_seconds_count{")]
    return sum(float(row.split(" ")[-1]) for row in rows if 'route="none"' in row and f'status="{status}"' in row)


def test_a_head_without_end_is_refused_before_it_fills_the_memory(serving):
    lines = b"".join(b"A%d: %s\r\n" % (number, b"a" * 2000) for number in range(19))
    assert only(exchange(serving.port, b"GET / HTTP/1.1\r\nHost: x\r\n" + lines, then=False)).status == 431


def test_whoever_ends_its_side_after_a_refusal_is_not_refused_again(serving):
    with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 4000 + b"\r\nB: " + b"b" * 4000)
        found = connection.recv(65_536)
        connection.shutdown(socket.SHUT_WR)
        found += read_all(connection)
    assert only(found).status == 431
    assert serving.status("/healthz") == 200
    assert "write_eof" not in serving.log.read_text()


@pytest.mark.parametrize("begun", [b"", b"GET /healthz HT"], ids=["nothing", "a part"])
def test_whoever_does_not_ask_is_told_and_cut_off(serving, begun):
    *_, last = answers_in(exchange(serving.port, begun, then=False))
    check_problem(last)
    assert last.status == 408
    assert "in time" in last.json()["detail"]


def test_whoever_does_not_send_the_body_is_told_and_cut_off(serving):
    before = serving.stored()
    head = b"POST /pref/u/i HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1"
    assert only(exchange(serving.port, head, then=False)).status == 408
    assert serving.stored() == before


def test_an_idle_connection_ends(serving):
    received = exchange(serving.port, GET, then=False)
    assert [answer.status for answer in answers_in(received)] == [200]


def test_whoever_does_not_take_the_answer_is_cut_off(serving):
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", serving.port))
        connection.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100)
        eventually(lambda: ended(serving, "slow_to_take") >= 1, 20)
        answers = read_all(connection).count(b"HTTP/1.1 200")
    assert answers < 100, "it answers no faster than answers are taken"


def ended(serving, reason):
    (answer,) = answers_in(exchange(serving.port, GET.replace(b"healthz", b"metrics")))
    line = f'oryx_serving_connections_ended_total{{reason="{reason}"}} '
    return next((float(row.split(" ")[1]) for row in answer.body.decode().splitlines() if row.startswith(line)), 0.0)


def test_beyond_the_cap_the_idle_make_room_and_else_the_new_are_refused(serving):
    held = [socket.create_connection(("127.0.0.1", serving.port), timeout=20) for _ in range(BOUNDS["max"])]
    try:
        for connection in held:
            connection.sendall(b"POST /pref/u/i HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1")
        eventually(lambda: is_refused(serving), 10)
        # One of them becomes idle, and makes room.
        held[0].sendall(b"    ")
        assert held[0].recv(65_536).startswith(b"HTTP/1.1 204")
        eventually(lambda: not is_refused(serving), 10)
    finally:
        for connection in held:
            connection.close()
    eventually(lambda: serving.status("/healthz") == 200, 10)


def is_refused(serving):
    answer = only(exchange(serving.port, GET))
    if answer.status == 503:
        assert answer.headers["retry-after"] == "1"
        assert "20 connections" in answer.json()["detail"]
    return answer.status == 503


def test_a_flood_of_requests_on_one_connection_is_answered_in_order(serving):
    received = exchange(serving.port, GET * 2000 + b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert [answer.status for answer in answers_in(received)] == [200] * 2000 + [404]


def test_out_of_open_files_it_goes_on_when_there_are_some_again(serving):
    files = Path(f"/proc/{serving.pid}/fd")
    limits = resource.prlimit(serving.pid, resource.RLIMIT_NOFILE)
    used = len(list(files.iterdir()))
    resource.prlimit(serving.pid, resource.RLIMIT_NOFILE, (used + 5, limits[1]))
    held = [socket.create_connection(("127.0.0.1", serving.port), timeout=20) for _ in range(15)]
    eventually(lambda: len(list(files.iterdir())) >= used + 4, 10)
    for connection in held:
        connection.close()
    resource.prlimit(serving.pid, resource.RLIMIT_NOFILE, limits)
    eventually(lambda: answers(serving), 20)


def answers(serving):
    try:
        return serving.status("/healthz") == 200
    except OSError:
        return False
