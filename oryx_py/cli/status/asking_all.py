"""Questions that are asked at once, and never waited for longer than they are worth."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from oryx_py.cli.status.scrape import Scrape
from oryx_py.errors import OryxError, Transient

__all__ = ["Heard", "NoAnswerInTime", "Outcome", "ask_all", "hear"]

T = TypeVar("T")

_MOST_BYTES = 16 * 1024 * 1024


class NoAnswerInTime(Transient):
    """Somebody did not answer while it was worth waiting."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """An answer, or why there is none."""

    answer: T | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What a process says: whether it is ready (its ``/ready`` document), its metrics, and when they were read."""

    ready: bool
    document: Mapping[str, Any]
    scrape: Scrape
    at: float


def ask_all(questions: Mapping[str, Callable[[], T]], within_s: float) -> dict[str, Outcome[T]]:
    """Ask all at the same time; who has not answered by then gets a `NoAnswerInTime`, and is left to itself.

    Errors of ours and of the system are answers too; whatever else is raised is raised here.
    """
    outcomes: dict[str, Outcome[T]] = {}

    def ask(name: str, question: Callable[[], T]) -> None:
        try:
            outcomes[name] = Outcome(question())
        except Exception as error:  # noqa: BLE001 - it belongs to who asks
            outcomes[name] = Outcome(error=error)

    # Daemons: one that waits for ever, as for an HDFS that is away, must not keep the program from ending.
    threads = {
        name: threading.Thread(target=ask, args=(name, question), name=name, daemon=True)
        for name, question in questions.items()
    }
    for thread in threads.values():
        thread.start()
    deadline = time.monotonic() + within_s
    for thread in threads.values():
        thread.join(max(0.0, deadline - time.monotonic()))
    late = NoAnswerInTime(f"no answer within {within_s:g} s")
    found = {name: outcomes.get(name, Outcome(error=late)) for name in questions}
    for outcome in found.values():
        if outcome.error is not None and not isinstance(outcome.error, OryxError | OSError):
            raise outcome.error
    return found


def hear(address: str, timeout_s: float) -> Heard:
    """Ask one process whether it is ready and what it counts.

    Args:
        address: ``host:port``, with the path that its paths begin with, if any.
        timeout_s: for each answer of its.

    Raises:
        Transient: what answers is none of ours.
        OSError: nobody answers.
    """
    host, slash, path = address.partition("/")
    connection = http.client.HTTPConnection(host, timeout=timeout_s)
    try:
        status, body = _get(connection, f"{slash}{path}/ready")
        document = json.loads(body)
        if not isinstance(document, dict) or not {"ready", "detail"} & document.keys():
            raise ValueError("it does not say whether it is ready")
        at = time.monotonic()
        scrape = Scrape(_get(connection, f"{slash}{path}/metrics")[1].decode())
        return Heard(status == http.HTTPStatus.OK, document, scrape, at)
    except (ValueError, http.client.HTTPException) as error:
        raise Transient(f"what answers at {address} is no layer: {error}") from error
    finally:
        connection.close()


def _get(connection: http.client.HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read(_MOST_BYTES)
