"""When a call is repeated, and after which pause."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, TypeVar

from oryx_py.client.refusals import NoAnswer, Refusal, Unreachable
from oryx_py.errors import OryxError

__all__ = ["Retries", "repeated"]

T = TypeVar("T")

_PASSING: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


@dataclass(frozen=True, slots=True)
class Retries:
    """How stubborn the client is; of what ends first, attempts or time.

    Pauses double from the first to the longest one, each shortened by up to a half at random, so that clients that were
    refused together do not come back together. A ``Retry-After`` is waited for where there is time for it.

    Attributes:
        attempts: of one call, the first included.
        deadline_s: for one call, with all its attempts and pauses; of a streamed answer, up to its first part.
        first_pause_s: before the second attempt.
        longest_pause_s: before any later one.
        randomness: uniform in [0, 1).
        clock: monotonic, seconds.
        sleep: waits, seconds.
    """

    attempts: int = 5
    deadline_s: float = 30.0
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0
    randomness: Callable[[], float] = field(default=random.random, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    sleep: Callable[[float], Awaitable[object]] = field(default=asyncio.sleep, repr=False)

    def pause_s(self, error: OryxError, attempt: int, left_s: float) -> float | None:
        """Decide on what follows a failed attempt: the pause before the next one, or None to give up.

        Args:
            error: what the attempt ended with.
            attempt: its number, from 1.
            left_s: the time until the deadline.
        """
        passing = isinstance(error, (NoAnswer, Unreachable)) or (
            isinstance(error, Refusal) and error.status in _PASSING
        )
        if not passing or attempt >= self.attempts:
            return None
        # 2¹⁰ times the first pause is beyond any longest one that makes sense.
        pause_s = min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(attempt - 1, 10))
        pause_s *= 1.0 - self.randomness() / 2.0
        if isinstance(error, Refusal) and error.retry_after_s is not None:
            pause_s = max(pause_s, error.retry_after_s)
        return pause_s if pause_s < left_s else None


async def repeated(once: Callable[[], Awaitable[T]], retries: Retries, *, repeatable: bool) -> T:
    """Call until it succeeds, and no longer than the deadline.

    Args:
        once: one attempt.
        retries: how often and how long.
        repeatable: that it may be done twice.

    Raises:
        OryxError: that of the last attempt.
        NoAnswer: the time was up while an attempt was on its way.
    """
    ends = retries.clock() + retries.deadline_s
    attempt = 0
    while True:
        attempt += 1
        try:
            async with asyncio.timeout(ends - retries.clock()):
                return await once()
        except TimeoutError:
            raise NoAnswer(f"there was no answer within {retries.deadline_s:g} s") from None
        except OryxError as error:
            pause_s = retries.pause_s(error, attempt, ends - retries.clock()) if repeatable else None
            if pause_s is None:
                raise
        await retries.sleep(pause_s)
