"""Sending interactions to the service in chunks, in their order, each counting once.

Every line has a name of its own, whatever request it is in: requests have keys, and the service names their lines by
key and number. So lines are sent in blocks of fixed numbers, each with one key, and those of a block that are not sent,
or not sent again, are left blank. A chunk of a block is stored whole (204), or not at all (400, 413), or up to a line
(503, with the count):

1. post the chunk, again and again while the service says "not now" or nothing at all: whatever of it is stored already
   is not counted twice;
2. 204: it is done;
3. 400, 413: halve it and send both halves, the first one first; a single line is refused for good, with the reason;
4. when the client's patience is at its end: stop. The same lines under the same name may be sent again at any time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import groupby
from typing import Final

from oryx_py.client import Busy, Client, NoAnswer, Rejected, Unavailable, Written
from oryx_py.errors import NotReady

__all__ = ["BLOCK_LINES", "Line", "Refused", "Sender", "block_of"]

BLOCK_LINES: Final = 5_000
"""Lines under one key, and so the most in a request. Part of their names: with another number, what an earlier version
sent would count again."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file: its number, from 1, and its interaction as CSV."""

    number: int
    csv: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is not stored, and why."""

    number: int
    reason: str


def block_of(number: int) -> int:
    """Return the number of the first line of a line's block."""
    return number - (number - 1) % BLOCK_LINES


class Sender:
    """Sends chunks to one service.

    Args:
        service: where to; its retries are how long the service may say "not now".
        name: of what the lines are numbered in: of no other lines ever, and of these each time; visible ASCII.
        on_refused: told of each line that the service refuses.
        remedy: what to do after it has stopped, for messages.
    """

    def __init__(self, service: Client, name: str, on_refused: Callable[[Refused], None], remedy: str = "") -> None:
        self._service, self._name, self._on_refused = service, name, on_refused
        self._remedy = f"; {remedy}" if remedy else ""
        self.accepted = 0
        self.stored_up_to = 0
        """Number of the last line of which it is certain that it, and all before it, are stored or refused."""
        self.written = Written()
        """The newest places in the input that the service named, for ``after=``."""

    def send(self, lines: Sequence[Line]) -> None:
        """Send lines, ascending.

        Raises:
            NotReady: the service did not take more within the patience.
            NoAnswer: it did not answer; the message says which lines are in doubt.
            UserError: it takes no writes, or is not an oryx service.
        """
        for first, block in groupby(lines, lambda line: block_of(line.number)):
            self._send(first, list(block))

    def _send(self, first: int, chunk: Sequence[Line]) -> None:
        """Send some of a block, of which ``first`` is the first line."""
        try:
            written = self._service.ingest(_numbered(first, chunk), idempotency_key=f"{self._name}-{first}")
        except Rejected as refusal:
            if refusal.status not in {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
                raise
            self._divide(first, chunk, refusal)
        except (Unavailable, Busy) as refusal:
            self._count(chunk[: refusal.accepted], refusal.written)
            raise NotReady(f"the service takes no more ({refusal.detail}){self._remedy}") from refusal
        except NoAnswer as lost:
            raise NoAnswer(
                f"{lost}: lines {chunk[0].number:,} to {chunk[-1].number:,} may be stored or not{self._remedy}"
            ) from lost
        else:
            self._count(chunk, written)

    def _divide(self, first: int, chunk: Sequence[Line], refusal: Rejected) -> None:
        if len(chunk) == 1:
            self._on_refused(Refused(chunk[0].number, refusal.detail))
            self.stored_up_to = chunk[0].number
            return
        middle = len(chunk) // 2
        self._send(first, chunk[:middle])
        self._send(first, chunk[middle:])

    def _count(self, stored: Sequence[Line], written: Written) -> None:
        if stored:
            self.accepted += len(stored)
            self.stored_up_to = stored[-1].number
            self.written |= written


def _numbered(first: int, chunk: Sequence[Line]) -> Iterator[bytes]:
    """Yield the lines, each as far behind the first one of its block as it is in the file."""
    number = first
    for line in chunk:
        yield from [b""] * (line.number - number)
        yield line.csv
        number = line.number + 1
