"""What is trimmed, and which generations go: never what somebody needs, and nothing less than that."""

from contextlib import suppress
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from batch_layer.housekeeping.generation_retention import outlived
from batch_layer.housekeeping.trim_points import trim_points
from batch_layer.publishing.lineage import rollback_target
from oryx_py.errors import UserError
from oryx_py.messages import Progress
from oryx_py.model.epochs.announcements import Announcements, epochs_in_use, epochs_to_hold
from oryx_py.model.epochs.registry import Entry, EpochStarted, GenerationState, Registry

PARTITIONS = 3
offsets = st.dictionaries(st.integers(0, PARTITIONS - 1), st.integers(0, 30))
starts = st.fixed_dictionaries({p: st.integers(0, 30) for p in range(PARTITIONS)})


@given(starts, st.lists(offsets, max_size=4))
def test_a_record_goes_exactly_if_nobody_needs_it(start: dict[int, int], readers: list[dict[int, int]]) -> None:
    points = trim_points(start, readers)
    for partition, first in start.items():
        for offset in range(first, 31):
            needed = not readers or any(offset >= reader.get(partition, 0) for reader in readers)
            assert (offset < points.get(partition, first)) == (not needed)
    assert trim_points({**start, **points}, readers) == {}


epochs_and_news = st.tuples(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(1, 8), st.integers(0, PARTITIONS - 1), st.integers(0, 100_000)), max_size=30),
    st.integers(0, 200_000),
)


@given(epochs_and_news)
def test_what_a_start_holds_is_in_use_and_so_is_what_ran_before(
    case: tuple[int, list[tuple[int, int, int]], int],
) -> None:
    """Also at a later start, when more was announced, and while the newest epoch was not seen yet."""
    count, news, now_ms = case
    epochs = [EpochStarted(n, f"g{n}", {}, 0) for n in range(1, count + 1)]
    told, partitions = Announcements(), range(PARTITIONS)
    used = epochs_in_use(epochs, told, partitions, now_ms=now_ms, overlap_s=60)
    for epoch, partition, at_ms in sorted(news, key=lambda each: each[2]):
        used = epochs_in_use(epochs, told, partitions, now_ms=at_ms, overlap_s=60)
        told.add(Progress(epoch=epoch, input={partition: 0}, live={partition: True}), at_ms)
        now = epochs_to_hold(epochs, told, partitions, now_ms=at_ms, overlap_s=60)
        assert used[-1] == epochs[-1]
        assert {entry.epoch for entry in used} >= {entry.epoch for entry in now}
        before = epochs_to_hold(epochs[:-1], told, partitions, now_ms=at_ms, overlap_s=0)
        assert not before or before[-1] in used
    assert used == epochs[-len(used) :]


steps = st.lists(st.sampled_from(["publish", "reject", "back", "name"]), max_size=14)


@given(steps, st.integers(1, 4), st.sets(st.integers(0, 14)), st.randoms(use_true_random=False))
def test_what_may_be_needed_is_kept_and_the_rest_goes(
    course: list[str], keep: int, in_use: set[int], random: Random
) -> None:
    """After any course of events: live, next to roll back to, in use, and the newest so many; no more than these."""
    registry, stored = Registry(), []
    for number, step in enumerate(course):
        name = f"g{number:02}"
        if step == "publish":
            stored.append(name)
            registry = registry.after(_published(registry, name))
        elif step == "reject":
            stored.append(name)
            registry = registry.after([GenerationState(name, "rejected", "torn")])
        else:
            past = [each for each in stored if registry.state(each) == "retired"]
            try:
                target = rollback_target(registry, stored, random.choice(past) if past and step == "name" else None)
            except UserError:
                continue
            registry = registry.after(_published(registry, target))
    served = [name for name in stored if registry.state(name) in {"published", "retired"}]
    used = {f"g{number:02}" for number in in_use} & set(served)
    gone = outlived(registry, stored, used, keep)
    needed = used | set(served[-keep:])
    if registry.newest_epoch is not None:
        needed.add(registry.newest_epoch.generation)
    with suppress(UserError):
        needed.add(rollback_target(registry, stored, None))
    assert not needed & set(gone)
    left = [name for name in stored if name not in gone]
    assert {name for name in left if name in served} == needed
    oldest = min((name for name in left if name in served), default="")
    assert all(name > oldest for name in left if registry.state(name) == "rejected")
    assert outlived(registry, left, used, keep) == []


def _published(registry: Registry, name: str) -> list[Entry]:
    entries: list[Entry] = [GenerationState(name, "published")]
    if registry.newest_epoch is not None and registry.newest_epoch.generation != name:
        entries.append(GenerationState(registry.newest_epoch.generation, "retired"))
    return [*entries, EpochStarted(registry.next_epoch, name, {}, 0)]
