"""The registry's fold, and what it refuses to believe."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oryx_py.adapters.commit_logs.registry_log import RegistryLog
from oryx_py.errors import CommitConflict, CorruptLog
from oryx_py.model.epochs.registry import (
    Entry,
    EpochStarted,
    GenerationState,
    Registry,
    State,
    TopicIdentity,
    TopicsIdentity,
    decode_entries,
    encode_entries,
)
from oryx_py.ports.store import Commit
from oryx_py.testing.memory_log import MemoryCommitLog

G1, G2 = "20260101T000000000-00000001", "20260102T000000000-00000002"
TOPICS = TopicsIdentity("cluster", {"OryxInput": TopicIdentity("aBc", 4), "OryxUpdate": TopicIdentity("dEf", 1)})


def epoch(number: int, generation: str) -> EpochStarted:
    return EpochStarted(number, generation, start={0: 10 * number}, time_ms=1000 * number)


STORY: list[list[Entry]] = [
    [TOPICS],
    [GenerationState(G1, "candidate")],
    [GenerationState(G1, "published"), epoch(1, G1)],
    [GenerationState(G2, "published"), epoch(2, G2), GenerationState(G1, "retired")],
    [GenerationState(G1, "published", "rollback"), epoch(3, G1), GenerationState(G2, "retired", "worse")],
]


def commits(story: list[list[Entry]]) -> list[Commit]:
    return [Commit(number, encode_entries(entries)) for number, entries in enumerate(story, 1)]


def test_a_registry_without_commits_knows_nothing() -> None:
    registry = Registry.fold([])
    assert (registry.number, registry.newest_epoch, registry.next_epoch, registry.topics) == (0, None, 1, None)
    assert registry.state(G1) is None
    assert registry.epoch(1) is None


def test_the_fold_has_the_last_state_and_every_epoch() -> None:
    registry = Registry.fold(commits(STORY))
    assert registry.number == 5
    assert [started.generation for started in registry.epochs] == [G1, G2, G1]
    assert registry.newest_epoch == registry.epoch(3) == epoch(3, G1)
    assert registry.next_epoch == 4
    assert (registry.state(G1), registry.state(G2)) == ("published", "retired")
    assert registry.generations[G2].reason == "worse"
    assert registry.topics == TOPICS
    assert registry.epoch(0) is None
    assert registry.epoch(4) is None


@given(st.integers(0, 5))
def test_reading_on_is_reading_anew(seen: int) -> None:
    all_of_them = commits(STORY)
    assert Registry.fold(all_of_them[seen:], Registry.fold(all_of_them[:seen])) == Registry.fold(all_of_them)


def test_the_last_identity_of_the_topics_counts() -> None:
    """A migration writes another."""
    moved = TopicsIdentity("cluster", {"OryxInput": TopicIdentity("xYz", 16)})
    assert Registry.fold(commits([[TOPICS], [moved]])).topics == moved


STATES: list[State] = ["candidate", "published", "retired", "rejected"]
ALLOWED = {
    ("candidate", "candidate"),
    ("candidate", "published"),
    ("candidate", "rejected"),
    ("published", "published"),
    ("published", "retired"),
    ("retired", "published"),
    ("retired", "retired"),
    ("rejected", "rejected"),
}
LEADING: dict[State, list[State]] = {
    "candidate": ["candidate"],
    "published": ["published"],
    "retired": ["published", "retired"],
    "rejected": ["rejected"],
}


@pytest.mark.parametrize("before", STATES)
@pytest.mark.parametrize("after", STATES)
def test_a_generation_goes_its_way(before: State, after: State) -> None:
    registry = Registry().after([GenerationState(G1, state) for state in LEADING[before]])
    if (before, after) in ALLOWED:
        assert registry.after([GenerationState(G1, after)]).state(G1) == after
    else:
        with pytest.raises(ValueError, match=f"is {before} and cannot become {after}"):
            registry.after([GenerationState(G1, after)])


def test_nothing_is_retired_that_was_not_published() -> None:
    with pytest.raises(ValueError, match="is unknown and cannot become retired"):
        Registry().after([GenerationState(G1, "retired")])


@pytest.mark.parametrize("number", [0, 1, 3])
def test_epochs_have_no_holes(number: int) -> None:
    registry = Registry().after([GenerationState(G1, "published"), epoch(1, G1)])
    with pytest.raises(ValueError, match="the next one is 2"):
        registry.after([epoch(number, G1)])


@pytest.mark.parametrize("state", ["candidate", "rejected", None])
def test_an_epoch_is_of_a_published_generation(state: State | None) -> None:
    registry = Registry().after([GenerationState(G1, state)] if state else [])
    with pytest.raises(ValueError, match="not published"):
        registry.after([epoch(1, G1)])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[1]",
        b'[{"entry": "unheard of"}]',
        b'[{"generation": "g", "state": "published"}]',
        b'[{"entry": "generation", "generation": "g", "state": "lost"}]',
        b'[{"entry": "epoch", "epoch": 1, "generation": "g", "start": {"x": 1}, "time_ms": 1}]',
        b'[{"entry": "epoch", "epoch": 1, "generation": "g", "start": {"0": 1}, "time_ms": 1}]',
        b"[\xff]",
    ],
)
def test_what_cannot_be_believed_stops_the_reader(payload: bytes) -> None:
    with pytest.raises(CorruptLog, match=r"commit 1 of the registry.*restore"):
        Registry.fold([Commit(1, payload)])


def test_a_commit_that_is_missing_stops_the_reader() -> None:
    with pytest.raises(CorruptLog, match="commit 3 of the registry follows commit 1"):
        Registry.fold([commits(STORY)[0], commits(STORY)[2]])


def test_unknown_keys_are_ignored() -> None:
    document: list[dict[str, Any]] = json.loads(encode_entries(STORY[2]))
    for entry in document:
        entry["mood"] = "good"
    assert decode_entries(Commit(1, json.dumps(document).encode())) == STORY[2]


def test_people_can_read_it() -> None:
    assert json.loads(encode_entries(STORY[2])) == [
        {"entry": "generation", "generation": G1, "state": "published", "reason": "", "deleted": False},
        {"entry": "epoch", "epoch": 1, "generation": G1, "start": {"0": 10}, "time_ms": 1000, "reason": ""},
    ]


def test_of_two_writers_the_second_has_to_look_again() -> None:
    log = MemoryCommitLog()
    one, other = RegistryLog(log), RegistryLog(log)
    seen_by_one, seen_by_other = one.read(), other.read()
    first = one.append(seen_by_one, [GenerationState(G1, "published"), epoch(1, G1)])
    with pytest.raises(CommitConflict):
        other.append(seen_by_other, [GenerationState(G2, "published"), epoch(1, G2)])
    again = other.read(seen_by_other)
    assert again == first
    second = other.append(again, [GenerationState(G2, "published"), epoch(again.next_epoch, G2)])
    assert [started.generation for started in one.read().epochs] == [G1, G2]
    assert one.read(first) == second


def test_a_contradiction_is_never_written() -> None:
    log = MemoryCommitLog()
    with pytest.raises(ValueError, match="not published"):
        RegistryLog(log).append(Registry(), [epoch(1, G1)])
    assert log.read() == []
