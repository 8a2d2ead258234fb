"""The law of checkpoints: a state that was written, read and folded on is the one that never stopped."""

import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oryx_py.messages import ItemVector, Update, UserVector, encode, partition_of
from oryx_py.model.checkpoints.checkpoint_files import Checkpoint, Covered, write_checkpoint
from oryx_py.model.checkpoints.merging import Piece, merged
from oryx_py.model.checkpoints.pruning import pruned
from oryx_py.model.generations.generation import Generation
from oryx_py.model.ids.traces import hashes_of
from oryx_py.model.state.changes import StateChanges
from oryx_py.model.state.model_state import ModelState
from speed_layer.folding.exact_fold import ExactFold
from tests.property.test_epoch_fold import (
    OBJECTIVES,
    PARTITIONS,
    assert_at_rest,
    assert_close,
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


def assert_is_said(sent: Sequence[Update], resent: Sequence[Update]) -> None:
    """Each message of one list is in the other. Who comes back after a forget has another handle in a state that was
    read, and so another place in sums: vectors may differ in their last digit."""
    there: dict[tuple[bytes, bytes], list[np.ndarray]] = {}
    for update in resent:
        key, vector = _apart(update)
        there.setdefault(key, []).append(vector)
    for update in sent:
        key, vector = _apart(update)
        assert any(np.allclose(vector, other, rtol=1e-5, atol=1e-6) for other in there.get(key, [])), key


def _apart(update: Update) -> tuple[tuple[bytes, bytes], np.ndarray]:
    vector = np.empty(0, np.float32)
    if isinstance(update, UserVector | ItemVector) and update.vector is not None:
        vector, update = update.vector, replace(update, vector=np.zeros_like(update.vector))
    message = encode(update)
    return (message.key, message.value), vector


def assert_same(state: ModelState, expected: ModelState, but: Collection[str] = ()) -> None:
    """Pairs, counts, offsets of whom there is something, and forgets; vectors but for the order of sums."""
    ours, theirs = by_name(state), by_name(expected)
    for what in ours.keys() - {*_VECTORS, *but}:
        assert ours[what] == theirs[what], what
    for side in _VECTORS:
        assert ours[side].keys() == theirs[side].keys()
        for name, vector in theirs[side].items():
            assert_close(np.array(ours[side][name]), np.array(vector), name)


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
        assert_is_said(sent, resent)
        read(reader, sent)
        read(late, resent)
        if at >= len(log):
            break
        if is_taken:
            again, late = through_files(again, positions), through_files(late, positions)
            assert dict(again.progress()) == positions
            refolded = ExactFold(again, PARTITIONS)
    assert_same(again, ours)
    assert_same(late, reader)
    assert_at_rest(late, at_rest(ours.generation, base, log, PARTITIONS))


_VECTORS = ("users", "items")


def by_name(state: ModelState) -> dict[str, Any]:
    """All that a state knows, without its handles."""
    users, items = ([space.id(handle) for handle in range(len(space))] for space in (state.users, state.items))
    of_user, of_item = state.users.unnamed.dump(), state.items.unnamed.dump()
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
            **{
                hashed: state.user_input(handle)
                for handle, hashed in enumerate(map(tuple, hashes_of(users).tolist()))
                if state.user_input(handle) is not None
            },
            **dict(zip(map(tuple, of_user.hashes.tolist()), of_user.inputs.tolist(), strict=True)),
        },
        "popularity": {item: n for item, n in zip(items, state.popularity().tolist(), strict=True) if n},
        "forgotten": sorted(
            hashes_of(state.items.ids(sorted(state.forgotten_items))).tolist()
            + of_item.hashes[of_item.forgotten].tolist()
        ),
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
    sizes = len(ours.generation.users), len(ours.generation.items), PARTITIONS
    once = ModelState(ours.generation, EPOCH)
    once.load(pruned(ours.dump(), *sizes), {}, [])
    apart = [pruned(merged([Piece(once.dump(), part)], ours.generation, PARTITIONS), *sizes) for part in parts]
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
