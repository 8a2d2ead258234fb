"""Sending interactions to the service in chunks, in their order, each once as far as can be known.

A chunk is stored whole (204), or not at all (400, 413), or up to a line (503, with the count). So:

1. post the chunk;
2. 204: it is done;
3. 400, 413: halve it and send both halves, the first one first; a single line is refused for good, with the reason;
4. 429, 503: leave out what is stored, wait, and go to 1, for as long as the patience lasts;
5. no answer: stop, since nobody knows what is stored, and say which lines are in doubt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from oryx_py.cli.service import Answer, NoAnswer, Service
from oryx_py.errors import NotReady

__all__ = ["Line", "Refused", "Sender"]

_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file: its number, and its interaction as CSV."""

    number: int
    csv: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that is not stored, and why."""

    number: int
    reason: str


class Sender:
    """Sends chunks to one service.

    Args:
        service: where to.
        on_refused: told of each line that the service refuses.
        sleep: waits between attempts, seconds.
        patience_s: how long attempts go on while the service says "not now".
    """

    def __init__(
        self,
        service: Service,
        on_refused: Callable[[Refused], None],
        sleep: Callable[[float], None],
        patience_s: float = 60.0,
    ) -> None:
        self._service, self._on_refused, self._sleep, self._patience_s = service, on_refused, sleep, patience_s
        self.accepted = 0
        self.stored_up_to = 0
        """Number of the last line of which it is certain that it, and all before it, are stored or refused."""
        self.offset = ""
        """The newest place in the input that the service named, for ``after=``."""

    def send(self, chunk: Sequence[Line]) -> None:
        """Send lines, ascending.

        Raises:
            NotReady: the service did not take more within the patience.
            NoAnswer: it did not answer; the message says which lines are in doubt.
            UserError: it takes no writes, or is not an oryx service.
        """
        waited_s = 0.0
        while chunk:
            answer = self._post(chunk)
            if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
                self._divide(chunk, answer)
                return
            if answer.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
                stored = min(answer.problem().accepted, len(chunk))
                self._count(chunk[:stored], answer)
                chunk = chunk[stored:]
                waited_s = self._wait(answer, 0.0 if stored else waited_s)
                continue
            answer.check()
            self._count(chunk, answer)
            return

    def _post(self, chunk: Sequence[Line]) -> Answer:
        try:
            return self._service.ingest(line.csv for line in chunk)
        except NoAnswer as lost:
            raise NoAnswer(
                f"{lost}: lines {chunk[0].number:,} to {chunk[-1].number:,} may be stored or not, "
                f"all before them are; look, then go on with --from-line"
            ) from lost

    def _divide(self, chunk: Sequence[Line], answer: Answer) -> None:
        if len(chunk) == 1:
            self._on_refused(Refused(chunk[0].number, answer.reason()))
            self.stored_up_to = chunk[0].number
            return
        middle = len(chunk) // 2
        self.send(chunk[:middle])
        self.send(chunk[middle:])

    def _count(self, stored: Sequence[Line], answer: Answer) -> None:
        if stored:
            self.accepted += len(stored)
            self.stored_up_to = stored[-1].number
            self.offset = answer.offset() or self.offset

    def _wait(self, answer: Answer, waited_s: float) -> float:
        pause_s = min(answer.retry_after_s(_RETRY_S), 10.0) or _RETRY_S
        if waited_s + pause_s > self._patience_s:
            raise NotReady(f"the service takes no more ({answer.reason()}); go on later with --from-line")
        self._sleep(pause_s)
        return waited_s + pause_s
