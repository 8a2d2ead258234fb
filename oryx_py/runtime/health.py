"""A small HTTP endpoint for processes that have no other: is it alive, is it ready, what has it counted."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer
from typing import Protocol
from urllib.parse import urlsplit

import orjson
import structlog
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder

from oryx_py.errors import ConfigError

__all__ = ["Health", "HealthServer", "Ready", "serve_health"]

log = structlog.get_logger("health")

_THREADS = 4
_CONNECTIONS = 32  # at work or waiting for a thread; more are closed at once
_REQUEST_S = 10.0  # from accepted to answered; then the connection is cut, however busy it looks
_TICK_S = 0.25

Ready = Callable[[], Sequence[str]]
"""What readiness waits for, in words; empty means ready. Called from the endpoint's threads; it should not block."""


class Health(Protocol):
    """A running endpoint."""

    @property
    def port(self) -> int:
        """The port it listens on; 0 where there is none."""

    def close(self) -> None:
        """Stop answering and wait for the threads."""


def serve_health(
    layer: str, host: str, port: int, *, ready: Ready, registry: CollectorRegistry, optional: bool = False
) -> Health:
    """Answer, until closed, ``GET`` and ``HEAD`` of three paths; port 0 means no endpoint.

    - ``/healthz``: 200 as long as the process can answer.
    - ``/ready``: 200, or 503 with ``{"ready": false, "waiting_for": ["..."]}``.
    - ``/metrics``: ``registry`` in Prometheus' format, and this process's memory and CPU time.

    Args:
        layer: whose settings the address is from.
        host, port: the address.
        ready: what readiness waits for.
        registry: what is counted.
        optional: whether to go without where this cannot be listened on, as beside a process that has the address.

    Raises:
        ConfigError: this cannot be listened on.
    """
    if not port:
        return _Nothing()
    try:
        server = HealthServer(host, port, ready=ready, registry=registry)
    except OSError as error:
        where = f"{layer}.metrics_host = {host!r}, {layer}.metrics_port = {port}: {error.strerror or error}"
        if optional:
            log.info("without_metrics", reason=where)
            return _Nothing()
        raise ConfigError(f"{where}; choose another port, or 0 for none") from error
    ProcessCollector(registry=registry)
    return server


class HealthServer:
    """See ``serve_health``; here port 0 means any free port."""

    def __init__(self, host: str, port: int, *, ready: Ready, registry: CollectorRegistry) -> None:
        self._server = _Server((host, port), ready, registry)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_TICK_S,), name="health", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop answering and wait for the threads."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Nothing:
    port = 0

    def close(self) -> None:
        pass


class _Server(HTTPServer):
    """Hands connections to a fixed number of threads and cuts those that take too long."""

    request_queue_size = 16

    def __init__(self, address: tuple[str, int], ready: Ready, registry: CollectorRegistry) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.ready = ready
        self.registry = registry
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="health")
        self._open: dict[socket.socket, float] = {}
        self._lock = threading.Lock()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's own: it also looks up the host's name, which can take seconds and is not used.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        with self._lock:
            full = len(self._open) >= _CONNECTIONS
            if not full:
                self._open[request] = time.monotonic() + _REQUEST_S
        if full:
            self.shutdown_request(request)
        else:
            self._pool.submit(self._answer, request, client_address)

    def _answer(self, request: socket.socket, client_address: object) -> None:
        try:
            with suppress(OSError):  # the client has gone
                self.finish_request(request, client_address)
        except Exception:  # whatever a client sends, the process goes on
            log.exception("health_request_failed")
        finally:
            with self._lock:
                self._open.pop(request, None)
            self.shutdown_request(request)

    def service_actions(self) -> None:
        self._cut(time.monotonic())

    def server_close(self) -> None:
        super().server_close()
        self._cut(float("inf"))
        self._pool.shutdown()

    def _cut(self, now: float) -> None:
        """Wake the threads that wait for a client whose time is over."""
        with self._lock:
            for request, deadline in self._open.items():
                if now >= deadline:
                    with suppress(OSError):  # it is already cut
                        request.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "oryx"
    sys_version = ""
    error_content_type = "application/json"
    error_message_format = '{"error": "%(message)s"}\n'

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/healthz":
            self._json(HTTPStatus.OK, {"status": "ok"})
        elif path == "/ready":
            waiting_for = self._waiting_for()
            status = HTTPStatus.SERVICE_UNAVAILABLE if waiting_for else HTTPStatus.OK
            self._json(status, {"ready": not waiting_for, "waiting_for": waiting_for})
        elif path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept", ""))
            self._send(HTTPStatus.OK, content_type, encode(self.server.registry))
        else:
            self._json(HTTPStatus.NOT_FOUND, {"error": "there are /healthz, /ready and /metrics"})

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def _waiting_for(self) -> list[str]:
        try:
            return list(self.server.ready())
        except Exception as error:
            log.exception("readiness_failed")
            return [f"readiness could not be determined: {error}"]

    def _json(self, status: HTTPStatus, body: dict[str, object]) -> None:
        self._send(status, "application/json", orjson.dumps(body) + b"\n")

    def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: probes come every few seconds."""
