"""Sends raw requests one after the other, and holds the service to what must be true after each of them."""

from collections import Counter
from itertools import islice

from tests.support.raw_http import answers_in, check_problem, exchange
from tests.support.raw_requests import raw_requests
from tests.support.serving_process import ServingProcess

__all__ = ["SERVING", "fuzz"]

SERVING = {
    "api": {"max_inflated_bytes": 1_000_000, "max_body_bytes": 1_000_000},
    "connections": {"header_timeout_s": 2.0, "stall_s": 2.0},
}
"""Small bounds: what breaks them is small, too."""


_BEFORE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def fuzz(serving: ServingProcess, seed: int, requests: int) -> Counter[str]:
    """Send so many requests, half of them on connections that rest; returns how many had which status, or no answer.

    Fails where an answer is no HTTP, is a 500, tells of the inside, or is an error without being a problem; where a
    record was stored and nothing was accepted; and where the process has ended.
    """
    outcomes: Counter[str] = Counter()
    stored = serving.stored()
    for number, (kind, data) in enumerate(islice(raw_requests(seed), requests)):
        shown = f"seed {seed}, request {number}, {kind}: {data[:300]!r}"
        try:
            head = data.startswith(b"HEAD ")
            answers = answers_in(exchange(serving.port, data, after=_BEFORE if number % 2 else b""), head=head)
            for answer in answers:
                check_problem(answer, head=head)
                outcomes[str(answer.status)] += 1
        except (AssertionError, ValueError, KeyError) as error:
            raise AssertionError(f"{shown}\n{error}") from error
        if not answers:
            outcomes["no answer"] += 1
        now = serving.stored()
        assert now == stored or any(answer.status == 204 for answer in answers), f"stored though refused: {shown}"
        stored = now
    assert serving.alive
    assert serving.status("/ready") == 200
    return outcomes
