"""The law of checkpoints: a state that was written, read and folded on is the one that never stopped."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.messages import Update, encode, partition_of
from oryx_py.model.checkpoint import Checkpoint, Covered, write_checkpoint
from oryx_py.model.generation import Generation
from oryx_py.model.merging import Piece, merged
from oryx_py.model.state import ModelState
from oryx_py.model.state_changes import StateChanges
from speed_layer.folding import EpochFold
from tests.property.test_epoch_fold import (
    OBJECTIVES,
    PARTITIONS,
    assert_at_rest,
    base_pairs,
    log_of,
    model,
    read,
)
from tests.support.generations import Pairs, at_rest

EPOCH = 7

few = st.tuples(
    st.sampled_from(["a", "b", "m", "n"]), st.sampled_from(["p", "q", "x", "y"]), st.sampled_from([1.0, 2.5, 0.0, None])
)
forgets = st.sampled_from([("a", "", None), ("m", "", None), ("", "p", None), ("", "x", None)])
rows_of_few = st.lists(st.one_of(few, few, few, few, forgets), min_size=10, max_size=30)
"""So that users and items of every level meet, before and after a checkpoint."""


@pytest.fixture(scope="module", autouse=True)
def _no_disk() -> Iterator[None]:
    """What is durable is not of interest here, and a disk's answer takes longer than everything else."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        yield


def through_files(state: ModelState, covered: Mapping[int, int]) -> ModelState:
    """Write a state's checkpoint and make another state of it."""
    generation = state.generation
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(
            Path(folder),
            name="c",
            epoch=EPOCH,
            generation=generation,
            created_ms=0,
            covered=Covered(input=dict(covered), live=[0], update={0: 5}),
            changes=state.dump(),
            ids={},
        )
        return restored(Path(folder), generation)


def restored(folder: Path, generation: Generation) -> ModelState:
    checkpoint = Checkpoint.open(folder, generation)
    state = ModelState(generation, EPOCH)
    state.load(checkpoint.changes, checkpoint.manifest.covered.input, checkpoint.manifest.covered.live)
    return state


def bytes_of(updates: Sequence[Update]) -> list[tuple[bytes, bytes]]:
    return [(message.key, message.value) for message in map(encode, updates)]


def assert_same(state: ModelState, expected: ModelState) -> None:
    """To the bit: handles, histories with their order, vectors, counts and offsets."""
    for side in ("users", "items"):
        ours, theirs = getattr(state, side), getattr(expected, side)
        assert ours.ids(range(len(ours))) == theirs.ids(range(len(theirs)))
    for user in range(len(expected.users)):
        assert [column.tolist() for column in state.history(user)] == [
            column.tolist() for column in expected.history(user)
        ]
        assert state.user_input(user) == expected.user_input(user)
        assert np.array_equal(state.user_vector(user), expected.user_vector(user))
    for item in range(len(expected.items)):
        assert np.array_equal(state.item_vector(item), expected.item_vector(item))
    assert state.popularity().tolist() == expected.popularity().tolist()
    assert state.activity().tolist() == expected.activity().tolist()
    assert state.forgotten_items == expected.forgotten_items


@settings(max_examples=25, deadline=None)
@given(
    base=base_pairs,
    rows=rows_of_few,
    batches=st.lists(st.tuples(st.integers(1, 6), st.booleans()), min_size=1, max_size=5),
    which=st.sampled_from(range(len(OBJECTIVES))),
)
def test_snapshot_and_tail_are_the_replay(base: Pairs, rows: list, batches: list[tuple[int, bool]], which: int) -> None:
    """At any batch, also several times: what was to be sent afterwards is sent, and readers and speed hold the same."""
    ours, reader, fold = model(base, OBJECTIVES[which])
    again, late, refolded = model(base, OBJECTIVES[which])
    log = log_of(rows)
    positions, at = dict.fromkeys(range(PARTITIONS), 0), 0
    for size, is_taken in cycle(batches):
        for partition, offset, interaction in log[at : at + size]:
            fold.add(interaction, partition, offset)
            refolded.add(interaction, partition, offset)
            positions[partition] = offset + 1
        at += size
        sent, resent = fold.flush(), refolded.flush()
        # More may be sent after a restart: the state does not say of which vectors another's change was not yet seen.
        assert set(bytes_of(sent)) <= set(bytes_of(resent))
        read(reader, sent)
        read(late, resent)
        if at >= len(log):
            break
        if is_taken:
            again, late = through_files(again, positions), through_files(late, positions)
            assert dict(again.progress()) == positions
            refolded = EpochFold(again, PARTITIONS)
    assert_same(again, ours)
    assert_same(late, reader)
    assert_at_rest(late, at_rest(ours.generation, base, log, PARTITIONS))


def by_name(state: ModelState) -> dict[str, object]:
    """All that a state knows, without its handles."""
    users, items = ([space.id(handle) for handle in range(len(space))] for space in (state.users, state.items))
    known = {}
    for handle, user in enumerate(users):
        pairs, strengths = state.history(handle)
        known[user] = dict(zip(state.items.ids(pairs), strengths.tolist(), strict=True))
    of_users = {user: state.user_vector(handle) for handle, user in enumerate(users)}
    of_items = {item: state.item_vector(handle) for handle, item in enumerate(items)}
    return {
        "known": {user: pairs for user, pairs in known.items() if pairs},
        "users": {user: vector.tolist() for user, vector in of_users.items() if vector is not None},
        "items": {item: vector.tolist() for item, vector in of_items.items() if vector is not None},
        "inputs": {
            user: offset for handle, user in enumerate(users) if (offset := state.user_input(handle)) is not None
        },
        "popularity": {item: n for item, n in zip(items, state.popularity().tolist(), strict=True) if n},
        "forgotten": sorted(state.items.ids(sorted(state.forgotten_items))),
    }


@settings(max_examples=60, deadline=None)
@given(
    base=base_pairs,
    rows=rows_of_few,
    cuts=st.lists(st.sets(st.sampled_from(range(PARTITIONS))), max_size=PARTITIONS),
    which=st.sampled_from(range(len(OBJECTIVES))),
)
def test_the_users_of_each_partition_from_a_state_of_its_own_are_the_whole(
    base: Pairs, rows: list, cuts: list[set[int]], which: int
) -> None:
    """However the partitions are shared out: states that have no users but their own, brought together."""
    ours, _, fold = model(base, OBJECTIVES[which])
    for partition, offset, interaction in log_of(rows):
        fold.add(interaction, partition, offset)
    fold.flush()
    parts, left = [], set(range(PARTITIONS))
    for cut in [*cuts, left.copy()]:
        parts.append(frozenset(cut & left))
        left -= cut
    apart = [merged([Piece(ours.dump(), part)], ours.generation, PARTITIONS) for part in parts]
    for part, changes in zip(parts, apart, strict=True):
        assert not homes(ours.generation, changes) - part
    together = ModelState(ours.generation, EPOCH)
    together.load(merged([Piece(changes) for changes in apart], ours.generation, PARTITIONS), {}, [])
    assert by_name(together) == by_name(ours)


def homes(generation: Generation, changes: StateChanges) -> set[int]:
    """The partitions of all users that a state's changes name."""
    state = ModelState(generation, EPOCH)
    state.load(changes, {}, [])
    rows = [changes.histories.rows.users, changes.user_vectors.handles, changes.user_inputs[0]]
    named = [*changes.new_users, *state.users.ids(np.concatenate([*rows, changes.histories.forgotten]))]
    return {partition_of(name, PARTITIONS) for name in named}
