"""TCP ports of this machine's loopback interface."""

import random
import socket
from collections.abc import Container, Iterable

__all__ = ["HOST", "choose", "is_free"]

HOST = "127.0.0.1"

_QUIET = range(20_000, 30_000)
"""Below what systems give to connections that go out, which could hold a port again before its server binds it."""
_TRIES = 200


def is_free(port: int) -> bool:
    """Return whether a server could listen on ``port`` now (0 is never a port)."""
    if port <= 0:
        return False
    with socket.socket() as probe:
        # As Java's servers do: connections of a former server that still linger don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError):
            return False
    return True


def choose(wishes: Iterable[int], taken: Container[int] = ()) -> int:
    """Return the first of ``wishes`` that is free and not in ``taken``, else any free port, above the usual ones."""
    for port in (*wishes, *random.SystemRandom().sample(_QUIET, _TRIES)):
        if port not in taken and is_free(port):
            return port
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in taken:
            return port
