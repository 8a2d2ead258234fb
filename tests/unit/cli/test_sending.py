"""Chunks of lines count once each, in their order, whatever the service answers in between."""

import asyncio
import json
from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.cli.sending import Line, Refused, Sender
from oryx_py.client import Client, NoAnswer, Retries, Written
from oryx_py.client.refusals import refusal_of
from oryx_py.client.retries import repeated
from oryx_py.errors import NotReady, UserError
from tests.unit.cli.scripted_service import Asked, Reply, scripted


async def at_once(_: float) -> None:
    """Pause for no time."""


QUICK = Retries(attempts=10, sleep=at_once)


class Store:
    """A service in memory: refuses bodies with a line in ``bad``, and stores a part when told to break.

    As with the real one, a line counts once for each key.
    """

    def __init__(self, bad: set[bytes] = frozenset(), breaks: Sequence[int | None] = (), limit: int = 1 << 30) -> None:  # type: ignore[assignment]
        self.bad, self.breaks, self.limit = bad, list(breaks), limit
        self.stored: list[bytes] = []
        self.names: dict[tuple[str, int], bytes] = {}
        self.posts = 0

    def answer(self, lines: list[bytes], key: str) -> tuple[int, dict[str, object]]:
        self.posts += 1
        if sum(map(bool, lines)) > self.limit:
            return 413, {"detail": "too large"}
        if found := self.bad & set(lines):
            return 400, {"detail": f"bad: {sorted(found)[0].decode()}"}
        breaks = self.breaks.pop(0) if self.breaks else None
        accepted = 0
        for number, line in enumerate(lines, 1):
            if line and accepted != breaks:
                accepted += 1
                if (key, number) not in self.names:
                    self.stored.append(line)
                self.names.setdefault((key, number), line)
        if breaks is not None:
            return 503, {"detail": "the broker is away", "accepted": accepted}
        return 204, {}

    def script(self, asked: Asked) -> Reply:
        assert asked.path == "/ingest"
        assert asked.headers["content-type"] == "text/csv"
        lines = asked.body.removesuffix(b"\n").split(b"\n")
        status, problem = self.answer(lines, asked.headers["idempotency-key"])
        return Reply(status, problem or None, {"X-Oryx-Offset": f"0:{len(self.stored)}"})


def lines_of(count: int) -> list[Line]:
    return [Line(number + 10, b"u%d,i" % number) for number in range(count)]


def sent(store: Store, lines: list[Line]) -> tuple[Sender, list[Refused]]:
    refused: list[Refused] = []
    with scripted(store.script) as there, Client(there.url, retries=QUICK) as service:
        sender = Sender(service, "file", refused.append)
        sender.send(lines)
    return sender, refused


def test_a_chunk_is_one_request() -> None:
    store = Store()
    sender, refused = sent(store, lines_of(1000))
    assert (store.posts, sender.accepted, refused) == (1, 1000, [])
    assert (sender.stored_up_to, sender.written) == (1009, Written({0: 1000}))


def test_the_lines_that_the_service_refuses_are_found_and_all_others_stored_in_order() -> None:
    lines = lines_of(100)
    store = Store(bad={lines[17].csv, lines[63].csv})
    sender, refused = sent(store, lines)
    assert refused == [Refused(27, "bad: u17,i"), Refused(73, "bad: u63,i")]
    assert store.stored == [line.csv for place, line in enumerate(lines) if place not in {17, 63}]
    assert sender.accepted == 98
    assert store.posts < 40


def test_a_body_that_is_too_large_is_sent_in_parts() -> None:
    store = Store(limit=7)
    _, refused = sent(store, lines_of(50))
    assert (refused, store.stored) == ([], [line.csv for line in lines_of(50)])


def test_what_was_stored_before_the_broker_went_away_is_not_counted_again() -> None:
    store = Store(breaks=[3, 0, 0, 4])
    sender, _ = sent(store, lines_of(20))
    assert store.stored == [line.csv for line in lines_of(20)]
    assert (sender.accepted, store.posts) == (20, 5)


def test_a_service_that_stays_away_ends_it_with_the_way_to_go_on() -> None:
    with scripted(Store(breaks=[0] * 5 + [2] * 100).script) as there, Client(there.url, retries=QUICK) as service:
        sender = Sender(service, "file", lambda _: None, "run it again")
        with pytest.raises(NotReady, match=r"takes no more \(the broker is away\); run it again"):
            sender.send(lines_of(20))
    assert (sender.accepted, sender.stored_up_to) == (2, 11)
    assert len(there.asked) == 10


def test_without_an_answer_the_lines_in_doubt_are_named() -> None:
    with scripted(lambda _: None) as there, Client(there.url, retries=QUICK) as service:
        sender = Sender(service, "file", lambda _: None, "run it again")
        with pytest.raises(NoAnswer, match="lines 10 to 14 may be stored or not; run it again"):
            sender.send(lines_of(5))
    assert len({asked.headers["idempotency-key"] for asked in there.asked}) == 1


def test_a_service_that_takes_no_writes_ends_it_at_once() -> None:
    with scripted(lambda _: Reply(403, {"detail": "read only"})) as there, Client(there.url, retries=QUICK) as service:
        sender = Sender(service, "file", lambda _: None, "run it again")
        with pytest.raises(UserError, match="read only"):
            sender.send(lines_of(5))
    assert len(there.asked) == 1


class Direct:
    """The same service without a network, which would cost most of the time."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def ingest(self, values: Iterable[bytes], *, idempotency_key: str) -> Written:
        lines = list(values)

        async def once() -> Written:
            status, problem = self.store.answer(lines, idempotency_key)
            if status != 204:
                raise refusal_of(status, {}, json.dumps(problem).encode())
            return Written()

        return asyncio.run(repeated(once, QUICK, repeatable=True))


def name_of(number: int) -> tuple[str, int]:
    """What the service calls a line of the file named "file"."""
    first = (number - 1) // 5_000 * 5_000 + 1
    return f"file-{first}", number - first + 1


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    first=st.sampled_from([1, 4_980, 4_999, 5_001]),
    bad=st.sets(st.integers(0, 59), max_size=5),
    breaks=st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=6),
    limit=st.integers(1, 70),
)
def test_every_line_is_stored_once_under_its_own_name_or_refused_once(
    count: int, first: int, bad: set[int], breaks: list[int | None], limit: int
) -> None:
    lines = [Line(first + number, b"u%d,i" % number) for number in range(count)]
    refused: list[Refused] = []
    store = Store({lines[place].csv for place in bad if place < count}, breaks, limit)
    sender = Sender(Direct(store), "file", refused.append)  # type: ignore[arg-type]
    sender.send(lines)
    assert store.stored == [line.csv for line in lines if line.csv not in store.bad]
    assert store.names == {name_of(line.number): line.csv for line in lines if line.csv not in store.bad}
    assert [line.number for line in refused] == [line.number for line in lines if line.csv in store.bad]
    assert sender.accepted == len(store.stored)
    assert sender.stored_up_to == lines[-1].number


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.booleans(), min_size=1, max_size=60),
    st.sampled_from([1, 4_980]),
    st.lists(st.lists(st.integers(1, 40), min_size=1), min_size=2, max_size=3),
)
def test_sent_again_in_other_chunks_from_elsewhere_nothing_counts_twice(
    there: list[bool], first: int, runs: list[list[int]]
) -> None:
    """Some lines of the file are blank; each run takes other chunks, and ends somewhere but for the last."""
    lines = [Line(first + number, b"u%d,i" % number) for number, used in enumerate(there) if used]
    store = Store()
    for run in [*runs, [len(lines) or 1]]:
        sender, at = Sender(Direct(store), "file", lambda _: None), 0  # type: ignore[arg-type]
        for size in run:
            sender.send(lines[at : at + size])
            at += size
    assert sorted(store.stored) == sorted(line.csv for line in lines)
