"""What is repeated, after which pause, and when it is given up."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.client import Busy, Failed, NoAnswer, NotFound, NotVisibleYet, Retries, Unavailable, Unreachable
from oryx_py.client.refusals import refusal_of
from oryx_py.client.retries import repeated
from oryx_py.errors import OryxError, UserError


def refusal(status: int, **headers: str) -> OryxError:
    return refusal_of(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


@pytest.mark.parametrize("error", [NoAnswer("x"), Unreachable("x"), *map(refusal, (429, 502, 503, 504))], ids=repr)
def test_what_passes_is_repeated(error: OryxError) -> None:
    assert Retries().pause_s(error, 1, 30.0) is not None


@pytest.mark.parametrize("error", [UserError("x"), *map(refusal, (301, 400, 403, 404, 413, 500, 501))], ids=repr)
def test_what_does_not_pass_is_not(error: OryxError) -> None:
    assert Retries().pause_s(error, 1, 30.0) is None


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_pauses_double_up_to_the_longest_shortened_by_half_at_most(attempt: int, chance: float) -> None:
    retries = Retries(attempts=1000, first_pause_s=0.1, longest_pause_s=5.0, randomness=lambda: chance)
    full = min(5.0, 0.1 * 2 ** min(attempt - 1, 100))
    pause_s = retries.pause_s(NoAnswer("x"), attempt, 1e9)
    assert pause_s is not None
    assert full / 2 <= pause_s <= full
    assert pause_s == pytest.approx(full * (1 - chance / 2))


def test_what_the_service_asks_for_is_waited_if_there_is_time() -> None:
    retries = Retries(randomness=lambda: 0.0)
    assert retries.pause_s(refusal(503, Retry_After="7"), 1, 30.0) == 7.0
    assert retries.pause_s(refusal(503, Retry_After="0"), 1, 30.0) == 0.1
    assert retries.pause_s(refusal(503, Retry_After="31"), 1, 30.0) is None
    dated = refusal(429, Retry_After="Wed, 21 Oct 2026 07:28:09 GMT", Date="Wed, 21 Oct 2026 07:28:00 GMT")
    assert retries.pause_s(dated, 1, 30.0) == 9.0
    for odd in ("soon", "-1", "", "1e9", "٣"):
        assert retries.pause_s(refusal(503, Retry_After=odd), 1, 30.0) == 0.1


def test_the_last_attempt_is_the_last() -> None:
    retries = Retries(attempts=3)
    assert [retries.pause_s(NoAnswer("x"), n, 30.0) is None for n in (1, 2, 3, 4)] == [False, False, True, True]


class Time:
    """A clock that goes on by sleeping alone."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


async def attempts_of(error: OryxError, retries: Retries, *, repeatable: bool = True) -> int:
    count = 0

    async def once() -> None:
        nonlocal count
        count += 1
        raise error

    with pytest.raises(type(error)):
        await repeated(once, retries, repeatable=repeatable)
    return count


async def test_attempts_end_with_their_number_or_with_the_time() -> None:
    time = Time()
    retries = Retries(attempts=5, deadline_s=30, randomness=lambda: 0.0, clock=lambda: time.now, sleep=time.sleep)
    assert await attempts_of(NoAnswer("x"), retries) == 5
    assert time.pauses == pytest.approx([0.1, 0.2, 0.4, 0.8])
    time.pauses.clear()
    assert await attempts_of(refusal(503, Retry_After="14"), retries) == 3
    assert time.pauses == [14.0, 14.0]


async def test_what_may_not_be_done_twice_is_done_once() -> None:
    assert await attempts_of(NoAnswer("x"), Retries(), repeatable=False) == 1


async def test_an_attempt_that_hangs_ends_with_the_deadline() -> None:
    with pytest.raises(NoAnswer, match=r"within 0\.05 s"):
        await repeated(lambda: asyncio.sleep(60), Retries(deadline_s=0.05), repeatable=True)


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (404, NotFound, "^no ann$"),
        (429, Busy, "too much to do: no ann"),
        (503, Unavailable, "the service is not ready: no ann"),
        (504, NotVisibleYet, "^no ann$"),
        (500, Failed, "answered 500: no ann"),
        (501, Failed, "answered 501: no ann"),
        (302, Failed, "answered 302: no ann"),
    ],
)
def test_a_status_is_an_error_of_its_kind_with_the_services_reason(
    status: int, kind: type[OryxError], text: str
) -> None:
    error = refusal_of(
        status, {"X-Request-Id": "r1"}, b'{"title":"No","detail":"no\\nann","accepted":3,"request_id":"r1"}'
    )
    assert type(error) is kind
    with pytest.raises(kind, match=text):
        raise error
    assert (error.status, error.detail, error.request_id, error.accepted) == (status, "no ann", "r1", 3)
    assert error.members["title"] == "No"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"detail":5}', b"[" * 100_000, b"\xff"])
def test_what_is_no_problem_still_says_its_status(body: bytes) -> None:
    error = refusal_of(418, {}, body)
    assert str(error) == "HTTP status 418"
    assert isinstance(error, UserError)
    assert error.accepted == 0
