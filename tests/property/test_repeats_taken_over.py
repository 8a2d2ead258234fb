"""What an epoch has decided of repeats is good for another one: as if that had read the whole log itself."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.adapters.clock import SystemClock
from oryx_py.events import FoldSettings, Interaction, encode_csv
from oryx_py.ports import Record, TopicSpec
from oryx_py.testing.fake_log import FakeAdmin, FakeConsumer, FakeLog, FakeProducer
from speed_layer.epochs.repeats import Repeats
from speed_layer.loading.key_window import read_back

TOPIC = "input"

records = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from([b"", b"x", b"x", b"y", b"z"])), min_size=1, max_size=40
)
folds = st.builds(
    FoldSettings,
    feedback=st.just("implicit"),
    dedupe_window_s=st.sampled_from([0.0, 86_400.0]),
    dedupe_records=st.integers(1, 6) | st.just(1_000),
)


def log_of(rows: Sequence[tuple[str, bytes]]) -> tuple[FakeLog, list[Record]]:
    log = FakeLog()
    FakeAdmin(log).create(TopicSpec(TOPIC, 1, 1, {}))
    producer = FakeProducer(log)
    for user, id_ in rows:
        headers = (("id", id_),) if id_ else ()
        producer.send(TOPIC, encode_csv(Interaction(user, "p", 1.0)), partition=0, headers=headers)
    producer.flush(30)
    producer.close()
    return log, list(log.partition(TOPIC, 0).records)


def told(repeats: Repeats, some: Sequence[Record]) -> list[bool]:
    return [repeats.is_repeat(record, (record.value or b"").decode()[0]) for record in some]


@settings(deadline=None, max_examples=150)
@given(rows=records, fold=folds, cuts=st.lists(st.integers(0, 40), min_size=3, max_size=3))
def test_another_epochs_decisions_are_those_of_who_has_read_all(
    rows: list[tuple[str, bytes]], fold: FoldSettings, cuts: list[int]
) -> None:
    log, stored = log_of(rows)
    assert len(stored) == len(rows)
    older_begins, position, begins = (min(cut, len(stored)) for cut in cuts)
    older_begins = min(older_begins, position)
    wanted = told(Repeats(fold, {}), stored)
    older = window(log, fold, older_begins)
    assert told(older, stored[older_begins:position]) == wanted[older_begins:position]
    copy = older.copy({0: position})
    told(older, stored[position:])  # it goes on meanwhile
    decides = copy.decides(fold, {0: begins})
    assert (0 in decides) == (older_begins <= begins)
    if not decides:
        return
    newer = Repeats(fold, {})
    newer.adopt(copy, decides)
    consumer = Counting(log, begins)
    newer = read_back(
        consumer, TOPIC, fold, {0: (decides[0], -1)}, {0: begins}, partitions=1, clock=SystemClock(), told=newer
    )
    assert consumer.count == (max(0, begins - position) if fold.dedupes else 0)
    assert told(newer, stored[begins:]) == wanted[begins:]


def test_who_has_another_window_decides_nothing() -> None:
    fold = FoldSettings(feedback="implicit", dedupe_window_s=5.0)
    known = Repeats(fold, {})
    known.begin({0: 0})
    assert known.decides(fold, {0: 3}) == {0: 0}
    assert not known.decides(FoldSettings(feedback="implicit", dedupe_window_s=6.0), {0: 3})
    assert not known.decides(FoldSettings(feedback="implicit", dedupe_window_s=5.0, dedupe_records=3), {0: 3})


class Counting(FakeConsumer):
    """Counts the records read below an offset."""

    def __init__(self, log: FakeLog, end: int) -> None:
        super().__init__(log, None)
        self.count, self.end = 0, end

    def poll(self, max_records: int, timeout_s: float) -> list[object]:  # type: ignore[override]
        events = super().poll(max_records, timeout_s)
        self.count += sum(isinstance(event, Record) and event.offset < self.end for event in events)
        return events  # type: ignore[return-value]


def window(log: FakeLog, fold: FoldSettings, begins: int) -> Repeats:
    """Who begins there, with the whole log before it as the window."""
    consumer = FakeConsumer(log, None)
    return read_back(consumer, TOPIC, fold, {0: (0, -1)}, {0: begins}, partitions=1, clock=SystemClock())
