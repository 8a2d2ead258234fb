"""The window of idempotency keys: its edges, its scope, and how much is remembered."""

import tracemalloc

import pytest

from oryx_py.events import FoldSettings, SeenIds


def fold(window_s: float = 10.0, records: int = 1_000) -> FoldSettings:
    return FoldSettings(feedback="implicit", dedupe_window_s=window_s, dedupe_records=records)


def seen(log: list[tuple[str, bytes, int]], settings: FoldSettings) -> list[bool]:
    ids = SeenIds(settings)
    return [ids.is_repeat(user, id_, at) for user, id_, at in log]


def test_the_window_ends_after_its_last_millisecond() -> None:
    assert seen([("u", b"1", 0), ("u", b"1", 10_000)], fold()) == [False, True]
    assert seen([("u", b"1", 0), ("u", b"1", 10_001)], fold()) == [False, False]


def test_a_repeat_begins_the_window_anew() -> None:
    """So whether a record counts never depends on what lies before its window."""
    assert seen([("u", b"1", at) for at in (0, 9_000, 18_000, 28_001)], fold()) == [False, True, True, False]


def test_an_id_is_its_users_alone() -> None:
    assert seen([("u", b"1", 0), ("v", b"1", 0), ("u1", b"", 0), ("", b"1", 0)], fold()) == [False] * 4


def test_a_clock_that_goes_back_counts_as_standing_still() -> None:
    log = [("u", b"1", 50_000), ("u", b"2", 60_000), ("u", b"1", 1_000), ("u", b"2", 61_000)]
    assert seen(log, fold()) == [False, False, True, True]


def test_a_record_without_a_timestamp_does_not_move_the_clock() -> None:
    assert seen([("u", b"1", 5), ("u", b"2", -1), ("u", b"1", 10_005)], fold()) == [False, False, True]


@pytest.mark.parametrize(("between", "repeat"), [(2, True), (3, False)])
def test_so_many_records_are_looked_back_over(between: int, repeat: bool) -> None:
    log = [("u", b"1", 0), *[("u", b"other %d" % n, 0) for n in range(between)], ("u", b"1", 0)]
    assert seen(log, fold(records=3))[-1] is repeat


def test_memory_is_bounded_by_time_and_by_number() -> None:
    ids = SeenIds(fold(window_s=1.0))
    for number in range(30_000):
        ids.is_repeat("u", b"%d" % number, number)
    assert len(ids) < 6_000
    crowd = SeenIds(fold(records=10_000))
    for number in range(40_000):
        crowd.is_repeat("u", b"%d" % number, 0)
    assert len(crowd) <= 14_096
    crowd, most = SeenIds(fold(records=100_000)), 0
    for number in range(120_000):
        crowd.is_repeat("u", b"%d" % number, 0)
        most = max(most, len(crowd))
    assert most <= 106_250, "few at once: interactions wait for it"


def test_a_copy_shares_nearly_all_and_neither_changes_the_other() -> None:
    """Else each new epoch would hold up the one that is followed, and take as much memory again."""
    ids = SeenIds(fold(window_s=86_400.0, records=1_000_000))
    for number in range(200_000):
        ids.is_repeat("u", b"%d" % number, 0)
    tracemalloc.start()
    try:
        copy = ids.copy()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 0.15 * ids.nbytes
    assert not ids.is_repeat("u", b"in one alone", 0)
    assert not copy.is_repeat("u", b"in one alone", 0)
    for number in (0, 70_000, 199_999):
        assert ids.is_repeat("u", b"%d" % number, 0)
        assert copy.is_repeat("u", b"%d" % number, 0)


def test_its_bytes_are_about_those_that_it_takes() -> None:
    tracemalloc.start()
    try:
        seen = SeenIds(FoldSettings(feedback="implicit", dedupe_window_s=86_400.0))
        for number in range(20_000):
            seen.is_repeat("u", b"%d" % number, number)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.5 * taken < seen.nbytes < 2 * taken
    loaded = SeenIds.of(FoldSettings(feedback="implicit", dedupe_window_s=86_400.0), seen.dump())
    assert loaded.nbytes == 20_000 * (3 * 8 + 8)
