"""HTTP as bytes: what is sent need not be HTTP, and what comes back is taken at its word."""

import json
import re
import socket
from dataclasses import dataclass
from typing import Any

__all__ = ["RawAnswer", "answers_in", "check_problem", "exchange"]

_TELLTALES = (b"Traceback", b"aiohttp", b"Python/", b'File "', b"llhttp", b"Error(", b"Exception", b"site-packages")
"""What no answer says: a stack trace, or what it is made of."""


@dataclass(frozen=True)
class RawAnswer:
    """An answer: its status, its headers by lower-case name, its body without chunks."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(port: int, data: bytes, *, after: bytes = b"", then: bool = True, timeout_s: float = 10.0) -> bytes:
    """Send bytes on a new connection and return all that comes until its end.

    Args:
        port: of the loopback.
        data: what is sent.
        after: a GET that is sent before, and whose answer is waited for and left out: what comes on a connection that
            rests may be answered by another way than what comes first.
        then: whether to close the sending side afterwards, as an HTTP/1.0 client may.
        timeout_s: after which it fails.
    """
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        try:
            if after:
                connection.sendall(after)
                _pass_over_an_answer(connection)
            connection.sendall(data)
            if then:
                connection.shutdown(socket.SHUT_WR)
            while piece := connection.recv(65_536):
                received += piece
        except (ConnectionResetError, BrokenPipeError):
            pass  # it was ended while there was more to send
    return received


def _pass_over_an_answer(connection: socket.socket) -> None:
    received = b""
    while (end := received.find(b"\r\n\r\n")) < 0:
        received += _some(connection, 1)
    length = re.search(rb"(?i)content-length: (\d+)", received[:end])
    left = int(length[1]) if length else 0
    while left:
        left -= len(_some(connection, left))


def _some(connection: socket.socket, most: int) -> bytes:
    piece = connection.recv(most)
    assert piece, "the connection ended before it was asked anything"
    return piece


def answers_in(received: bytes, *, head: bool = False) -> list[RawAnswer]:
    """Read answers that follow each other; fails where they are not HTTP.

    Args:
        received: from the first to the last byte.
        head: whether they answer HEAD, and so have no bodies.
    """
    found = []
    while received:
        top, end, received = received.partition(b"\r\n\r\n")
        assert end, f"no whole answer: {top[:200]!r}"
        first, *lines = top.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ")
        assert version in {"HTTP/1.1", "HTTP/1.0"}, first
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if int(status) < 200:
            continue
        # What is no request is not known to be HEAD either: its refusal has a body.
        if (head and not received.startswith(b"{")) or int(status) in {204, 304}:
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body, received = _unchunked(received)
        else:
            length = int(headers["content-length"]) if "content-length" in headers else len(received)
            body, received = received[:length], received[length:]
            assert len(body) == length, "the answer broke off"
        found.append(RawAnswer(int(status), headers, body))
    return found


def check_problem(answer: RawAnswer, *, head: bool = False) -> None:
    """Fail unless an answer that is an error is a well-formed problem that says nothing of the inside.

    Args:
        answer: any.
        head: whether it answers HEAD, and may have no body.
    """
    assert answer.status < 500 or answer.status in {501, 503, 504, 505}, answer
    assert not any(telltale in answer.body for telltale in _TELLTALES), answer
    assert answer.headers.get("server", "oryx") == "oryx", answer
    if answer.status < 400:
        return
    assert answer.headers["content-type"] == "application/problem+json", answer
    if not answer.body and head:
        return
    document = answer.json()
    assert {"type", "title", "status", "detail", "request_id"} <= document.keys(), answer
    assert document["status"] == answer.status, answer
    assert document["request_id"] == answer.headers["x-request-id"], answer


def _unchunked(received: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, _, received = received.partition(b"\r\n")
        length = int(size, 16)
        body, received = body + received[:length], received[length + 2 :]
        if length == 0:
            return body, received
