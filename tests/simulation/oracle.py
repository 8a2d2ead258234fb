"""What must be served at rest: the slow, obvious fold of the input topic, from the rules of consistency alone.

Written from the contract and from nothing of the code under test. Numbers in brackets are the contract's rules.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oryx_py.events import FoldSettings
from tests.simulation.dense import Vector, solved
from tests.simulation.told import Told

if TYPE_CHECKING:
    from tests.simulation.engine import Made

__all__ = ["Pairs", "Rest", "as_of", "at_rest", "counting", "folded", "weight"]

Pairs = dict[str, dict[str, float]]
"""By user, by item: the folded strength of what is known."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The state at rest: who knows what, and all who have a vector."""

    pairs: Pairs
    users: Mapping[str, Vector]
    items: Mapping[str, Vector]
    forgotten: frozenset[str] = field(default_factory=frozenset)
    """Items forgotten since the generation."""


def as_of(told: Iterable[Told], covers: Mapping[int, int]) -> int:
    """The newest Kafka timestamp of what a generation covers (3)."""
    return max(r.kafka_ms for r in told if r.what != "unreadable" and r.offset < covers[r.partition])


def counting(told: Sequence[Told], fold: FoldSettings) -> list[Told]:
    """The readable records that repeat no other by their key (5), by partition and offset."""
    found: list[Told] = []
    for partition in sorted({r.partition for r in told}):
        readable = sorted((r for r in told if r.partition == partition and r.what != "unreadable"), key=_offset)
        if not fold.dedupe_window_s:
            found += readable
            continue
        keyed: list[tuple[Told, int]] = []
        clock = -1
        for record in readable:
            if record.id is None:
                found.append(record)
                continue
            clock = max(clock, record.kafka_ms)
            repeats = any(
                (before.user, before.id) == (record.user, record.id)
                and clock - then <= fold.dedupe_window_s * 1000
                and len(keyed) - number <= fold.dedupe_records
                for number, (before, then) in enumerate(keyed)
            )
            keyed.append((record, clock))
            if not repeats:
                found.append(record)
    return found


def weight(record: Told, fold: FoldSettings, as_of_ms: int) -> float | None:
    """What an interaction adds to its pair, None where it is ignored (2, 3)."""
    time_ms = record.kafka_ms if record.time_ms is None else min(record.time_ms, record.kafka_ms)
    age_s = max(0, as_of_ms - time_ms) / 1000
    if fold.max_age_s and age_s > fold.max_age_s:
        return None
    kind = fold.kinds.get(record.kind or "")
    strength = record.strength * (kind.weight if kind else 1.0)
    half_life_s = kind.half_life_s if kind else fold.half_life_s
    if half_life_s:
        strength *= 2.0 ** (-age_s / half_life_s)
    return None if abs(strength) < fold.zero_threshold else strength


def folded(records: Iterable[Told], fold: FoldSettings, as_of_ms: int, home: Mapping[str, int]) -> Pairs:
    """Fold records, one after the other, those of each partition in order (1).

    Args:
        records: those that count.
        fold, as_of_ms: the generation's.
        home: by user, the input partition.
    """
    pairs: Pairs = {}
    for record in records:
        known = pairs.setdefault(record.user, {})
        match record.what:
            case "add":
                strength = weight(record, fold, as_of_ms)
                if strength is not None:
                    adds = fold.feedback == "implicit"
                    known[record.item] = known.get(record.item, 0.0) + strength if adds else strength
            case "delete":
                known.pop(record.item, None)
            case "forget user":
                known.clear()
            case "forget item":
                for user, theirs in pairs.items():
                    if user and home[user] == record.partition:
                        theirs.pop(record.item, None)
    return {user: known for user, known in pairs.items() if known}


def at_rest(told: Sequence[Told], made: "Made", home: Mapping[str, int]) -> Rest:
    """Return the state at rest of a generation after all that was told."""
    records = counting(told, made.fold)
    pairs = folded(records, made.fold, as_of(told, made.covers), home)
    # From a forget on, in whatever partition, an item is a new one, even with a row in the generation (6).
    forgotten = {r.item for r in records if r.what == "forget item" and r.offset >= made.covers[r.partition]}
    level0 = {item: vector for item, vector in made.items.items() if item not in forgotten}
    users: dict[str, Vector] = {}
    for user, known in pairs.items():  # level 1 (4)
        if not known.keys().isdisjoint(level0):
            users[user] = solved(known, level0, made.item_gram, len(made.items), made.objective)
    level1 = dict(users)
    items = dict(level0)
    for item in {item for known in pairs.values() for item in known} - level0.keys():  # level 2
        theirs = {user: pairs[user][item] for user in level1 if item in pairs[user]}
        if theirs:
            items[item] = solved(theirs, level1, made.user_gram, len(made.users), made.objective)
    level2 = {item: vector for item, vector in items.items() if item not in level0}
    for user, known in pairs.items():  # level 3
        if user not in level1 and not known.keys().isdisjoint(level2):
            users[user] = solved(known, level2, made.item_gram, len(made.items), made.objective)
    return Rest(pairs, users, items, frozenset(forgotten))


def _offset(record: Told) -> int:
    return record.offset
