"""The small HTTP endpoint of speed and batch."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from oryx_py.errors import ConfigError
from oryx_py.local.ports import choose
from oryx_py.runtime import health
from oryx_py.runtime.health import HealthServer, serve_health


@pytest.fixture
def reasons() -> list[str]:
    return []


@pytest.fixture
def server(reasons: list[str]) -> Iterator[HealthServer]:
    registry = CollectorRegistry()
    Counter("oryx_things", "Things.", registry=registry).inc(3)
    server = HealthServer("127.0.0.1", 0, ready=lambda: reasons, registry=registry)
    yield server
    server.close()


def get(server: HealthServer, path: str, method: str = "GET") -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_a_process_that_answers_is_alive(server: HealthServer) -> None:
    assert get(server, "/healthz") == (200, "application/json", b'{"status":"ok"}\n')


def test_ready_says_what_it_waits_for(server: HealthServer, reasons: list[str]) -> None:
    assert get(server, "/ready?verbose=1")[0] == 200
    reasons.append("loading generation 7")
    status, _, body = get(server, "/ready")
    assert status == 503
    assert json.loads(body) == {"ready": False, "waiting_for": ["loading generation 7"]}


def test_a_readiness_that_fails_is_not_ready(server: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[str]:
        raise RuntimeError("no state")

    monkeypatch.setattr(server._server, "ready", broken)
    status, _, body = get(server, "/ready")
    assert status == 503
    assert json.loads(body)["waiting_for"] == ["readiness could not be determined: no state"]


def test_metrics_are_in_prometheus_format(server: HealthServer) -> None:
    status, content_type, body = get(server, "/metrics")
    assert status == 200
    assert content_type.startswith("text/plain")
    assert b"\noryx_things_total 3.0\n" in body


def test_head_has_no_body_and_the_rest_is_not_found_or_not_allowed(server: HealthServer) -> None:
    assert get(server, "/healthz", "HEAD")[::2] == (200, b"")
    assert get(server, "/nothing")[0] == 404
    status, content_type, body = get(server, "/ready", "DELETE")
    assert (status, content_type) == (501, "application/json")
    assert "DELETE" in json.loads(body)["error"]


def is_cut(client: socket.socket) -> bool:
    """Wait for the end of the connection; a reset is one, too."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "garbage", [b"\x00\xff\x16\x03\r\n\r\n", b"GET " + b"x" * 70_000, b"GET / HTTP/9.9\r\n\r\n", b""]
)
def test_no_garbage_stops_it(server: HealthServer, garbage: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(garbage)
        client.shutdown(socket.SHUT_WR)
    assert get(server, "/healthz")[0] == 200


def test_clients_that_say_nothing_are_cut_off_and_do_not_add_threads(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_REQUEST_S", 0.2)
    silent = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(40)]
    try:
        assert all(is_cut(client) for client in silent)
        monkeypatch.undo()  # who does say something is to have the time for it, however busy the machine is
        assert get(server, "/healthz")[0] == 200
        assert sum(thread.name.startswith("health_") for thread in threading.enumerate()) <= 4
    finally:
        for client in silent:
            client.close()


def test_closing_cuts_those_still_connected_and_frees_the_port() -> None:
    server = HealthServer("127.0.0.1", 0, ready=list, registry=CollectorRegistry())
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as silent:
        server.close()
        assert is_cut(silent)
    HealthServer("127.0.0.1", server.port, ready=list, registry=CollectorRegistry()).close()


def test_port_0_of_the_settings_means_no_endpoint() -> None:
    nothing = serve_health("speed", "127.0.0.1", 0, ready=list, registry=CollectorRegistry())
    assert nothing.port == 0
    nothing.close()


def test_a_port_that_is_taken_is_one_line_with_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"speed\.metrics_port = {port}: Address already in use; choose another"):
            serve_health("speed", "127.0.0.1", port, ready=list, registry=CollectorRegistry())
        without = serve_health("batch", "127.0.0.1", port, ready=list, registry=CollectorRegistry(), optional=True)
        assert without.port == 0


def test_the_metrics_have_the_processs_memory() -> None:
    server = serve_health("speed", "127.0.0.1", choose(()), ready=list, registry=CollectorRegistry())
    assert isinstance(server, HealthServer)
    assert b"process_resident_memory_bytes" in get(server, "/metrics")[2]
    server.close()
