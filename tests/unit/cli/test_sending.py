"""Chunks of lines reach the service once each, in their order, whatever it answers in between."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.cli.sending import Line, Refused, Sender
from oryx_py.cli.service import Answer, NoAnswer, Service
from oryx_py.errors import NotReady, UserError
from tests.unit.cli.scripted_service import Asked, Reply, scripted


class Store:
    """A service in memory: refuses bodies with a line in ``bad``, and stores a part when told to break."""

    def __init__(self, bad: set[bytes] = frozenset(), breaks: Sequence[int | None] = (), limit: int = 1 << 30) -> None:  # type: ignore[assignment]
        self.bad, self.breaks, self.limit = bad, list(breaks), limit
        self.stored: list[bytes] = []
        self.posts = 0

    def answer(self, lines: list[bytes]) -> tuple[int, dict[str, object]]:
        self.posts += 1
        if len(lines) > self.limit:
            return 413, {"detail": "too large"}
        if found := self.bad & set(lines):
            return 400, {"detail": f"bad: {sorted(found)[0].decode()}"}
        breaks = self.breaks.pop(0) if self.breaks else None
        if breaks is not None:
            self.stored += lines[:breaks]
            return 503, {"detail": "the broker is away", "accepted": min(breaks, len(lines))}
        self.stored += lines
        return 204, {}

    def script(self, asked: Asked) -> Reply:
        assert asked.path == "/ingest"
        assert asked.headers["content-type"] == "text/csv"
        status, problem = self.answer(asked.body.removesuffix(b"\n").split(b"\n"))
        return Reply(status, problem or None, {"X-Oryx-Offset": f"0:{len(self.stored)}"})


def lines_of(count: int) -> list[Line]:
    return [Line(number + 10, b"u%d,i" % number) for number in range(count)]


def sent(store: Store, lines: list[Line]) -> tuple[Sender, list[Refused], list[float]]:
    refused: list[Refused] = []
    pauses: list[float] = []
    with scripted(store.script) as there, Service(there.url) as service:
        sender = Sender(service, refused.append, pauses.append)
        sender.send(lines)
    return sender, refused, pauses


def test_a_chunk_is_one_request() -> None:
    store = Store()
    sender, refused, _ = sent(store, lines_of(1000))
    assert (store.posts, sender.accepted, refused) == (1, 1000, [])
    assert (sender.stored_up_to, sender.offset) == (1009, "0:1000")


def test_the_lines_that_the_service_refuses_are_found_and_all_others_stored_in_order() -> None:
    lines = lines_of(100)
    store = Store(bad={lines[17].csv, lines[63].csv})
    sender, refused, _ = sent(store, lines)
    assert refused == [Refused(27, "bad: u17,i"), Refused(73, "bad: u63,i")]
    assert store.stored == [line.csv for place, line in enumerate(lines) if place not in {17, 63}]
    assert sender.accepted == 98
    assert store.posts < 40


def test_a_body_that_is_too_large_is_sent_in_parts() -> None:
    store = Store(limit=7)
    _, refused, _ = sent(store, lines_of(50))
    assert (refused, store.stored) == ([], [line.csv for line in lines_of(50)])


def test_what_was_stored_before_the_broker_went_away_is_not_sent_again() -> None:
    store = Store(breaks=[3, 0, 0, 4])
    sender, _, pauses = sent(store, lines_of(20))
    assert store.stored == [line.csv for line in lines_of(20)]
    assert (sender.accepted, len(pauses)) == (20, 4)


def test_a_service_that_stays_away_ends_it_with_the_way_to_go_on() -> None:
    with scripted(Store(breaks=[2] + [0] * 100).script) as there, Service(there.url) as service:
        sender = Sender(service, lambda _: None, lambda _: None, patience_s=5)
        with pytest.raises(NotReady, match=r"takes no more \(the broker is away\); go on later with --from-line"):
            sender.send(lines_of(20))
    assert (sender.accepted, sender.stored_up_to) == (2, 11)


def test_without_an_answer_the_lines_in_doubt_are_named() -> None:
    with scripted(lambda _: None) as there:
        sender = Sender(Service(there.url), lambda _: None, lambda _: None)
        with pytest.raises(NoAnswer, match="lines 10 to 14 may be stored or not, all before them are"):
            sender.send(lines_of(5))


def test_a_service_that_takes_no_writes_ends_it_at_once() -> None:
    with scripted(lambda _: Reply(403, {"detail": "read only"})) as there:
        sender = Sender(Service(there.url), lambda _: None, lambda _: None)
        with pytest.raises(UserError, match="read only"):
            sender.send(lines_of(5))
    assert len(there.asked) == 1


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    bad=st.sets(st.integers(0, 59), max_size=5),
    breaks=st.lists(st.one_of(st.none(), st.integers(0, 9)), max_size=6),
    limit=st.integers(1, 70),
)
def test_every_line_is_stored_once_or_refused_once(
    count: int, bad: set[int], breaks: list[int | None], limit: int
) -> None:
    lines = lines_of(count)
    refused: list[Refused] = []
    store = Store({lines[place].csv for place in bad if place < count}, breaks, limit)

    class Direct:
        """The same service without a network, which would cost most of the time."""

        def ingest(self, values: Sequence[bytes]) -> Answer:
            import json

            status, problem = store.answer(list(values))
            return Answer(status, {}, json.dumps(problem).encode())

    sender = Sender(Direct(), refused.append, lambda _: None, patience_s=1e9)  # type: ignore[arg-type]
    sender.send(lines)
    assert store.stored == [line.csv for line in lines if line.csv not in store.bad]
    assert [line.number for line in refused] == [line.number for line in lines if line.csv in store.bad]
    assert sender.accepted == len(store.stored)
    assert sender.stored_up_to == lines[-1].number
