"""The law of forgetting in checkpoints: what is written after a forget has no byte of the name, and is read as if the
forgotten one had never been."""

import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from oryx_py.events import FoldSettings, Interaction, SeenIds
from oryx_py.messages import ItemGone, partition_of
from oryx_py.messages.item_state import AllSaid, ItemState
from oryx_py.model.checkpoints.checkpoint_files import Checkpoint, Covered, decode_checkpoint, write_checkpoint
from oryx_py.model.checkpoints.merging import Piece, merged
from oryx_py.model.generations.manifest import MANIFEST
from oryx_py.model.ids import traces
from oryx_py.model.ids.traces import hashes_of
from oryx_py.model.state.item_states import GonePairs, ItemStates, StateRows
from oryx_py.model.state.model_state import ModelState
from oryx_py.model.summed import write_summed
from speed_layer.folding.exact_fold import ExactFold
from tests.property import test_shared_fold as shared
from tests.property.test_checkpoint import EPOCH, assert_same, restored
from tests.property.test_epoch_fold import OBJECTIVES, PARTITIONS, base_pairs, log_of, model
from tests.support.generations import Pairs

USER, ITEM = "a user to forget, née Zoë", "an item to forget"
pairs = st.tuples(
    st.sampled_from(["a", "b", "m", USER, USER]),
    st.sampled_from(["p", "q", "x", ITEM, ITEM]),
    st.sampled_from([1.0, 2.5, 0.0, None]),
)
forgets = st.sampled_from([(USER, "", None), ("", ITEM, None)])
rows_of_all = st.lists(st.one_of(pairs, pairs, pairs, forgets), max_size=25)
rows_of_others = st.lists(
    st.tuples(st.sampled_from(["a", "m"]), st.sampled_from(["p", "x"]), st.sampled_from([1.0, None])), max_size=4
)
whom = st.sampled_from([[USER], [ITEM], [USER, ITEM]])


@pytest.fixture(scope="module", autouse=True)
def _no_disk() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: None)
        yield


def forget_of(name: str) -> tuple[str, str, None]:
    return (name, "", None) if name == USER else ("", name, None)


def write(folder: Path, state: ModelState, owned: Collection[int] | None, states: StateRows | None, at: int) -> None:
    """As a snapshot of a run is written, with a window of keys that the forgotten user has used."""
    seen, partitions = SeenIds(FoldSettings("implicit", dedupe_window_s=60.0)), len(state.progress())
    seen.is_repeat(USER, b"key", 0)
    changes = state.dump()
    if owned is not None:
        changes = merged([Piece(changes, frozenset(owned))], state.generation, partitions)
    write_checkpoint(
        folder,
        name="c",
        epoch=EPOCH,
        generation=state.generation,
        created_ms=0,
        covered=Covered(dict.fromkeys(owned or range(partitions), at), [], {0: 0}),
        changes=changes,
        ids={0: seen.dump()},
        states=states,
    )


def assert_unnamed(folder: Path, names: Collection[str]) -> None:
    for path in folder.iterdir():
        content = path.read_bytes()
        assert content
        for name in names:
            assert name.encode() not in content, (path.name, name)


@settings(max_examples=60, deadline=None)
@given(
    base=base_pairs,
    rows=rows_of_all,
    gone=whom,
    later=rows_of_others,
    size=st.integers(1, 8),
    which=st.sampled_from(range(len(OBJECTIVES))),
)
def test_a_checkpoint_after_a_forget_is_that_of_a_state_that_never_saw_it(
    base: Pairs, rows: list, gone: list[str], later: list, size: int, which: int
) -> None:
    log = log_of([*rows, *map(forget_of, gone), *later])
    left = [record for record in log if not {record[2].user, record[2].item} & set(gone)]
    states = []
    for told in (log, left):
        state, _, fold = model(base, OBJECTIVES[which])
        for at, (partition, offset, interaction) in enumerate(told, 1):
            fold.add(interaction, partition, offset)
            if not at % size:
                fold.flush()
        fold.flush()
        states.append(state)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), states[0], None, None, 100)
        assert_unnamed(Path(folder), gone)
        read = restored(Path(folder), states[0].generation)
    known = [read.users.find(USER), read.items.find(ITEM)]
    assert [handle for handle, name in zip(known, (USER, ITEM), strict=True) if name in gone and handle >= 0] == []
    assert ITEM not in gone or read.items.unnamed.dump().forgotten.any()
    # Who only knew what is forgotten has an offset of it all the same.
    assert_same(read, states[1], but=("inputs", "forgotten"))


@settings(max_examples=40, deadline=None)
@given(base=base_pairs, rows=rows_of_all, gone=whom, cut=st.integers(0, 25), processes=st.integers(2, 3))
def test_nor_have_those_of_several_processes(
    base: Pairs, rows: list, gone: list[str], cut: int, processes: int
) -> None:
    """What others were told of new items, too."""
    together = shared.Together(base, OBJECTIVES[0])
    for number in range(processes):
        together.add(str(number), {p for p in range(shared.PARTITIONS) if p % processes == number})
    for at, (partition, offset, interaction) in enumerate(shared.log_of([*rows, *map(forget_of, gone)])):
        together.folds[together.owner[partition]].add(interaction, partition, offset)
        if at == cut:
            together.settle()
    together.settle()
    for fold in together.folds.values():
        assert fold.peers is not None
        share = fold.peers.share
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), fold.state, share.owned, share.foreign.dump(), 100)
            assert_unnamed(Path(folder), gone)


K, USERS = 2, ["u", "v", "w"]


@st.composite
def said_by_owners(draw: st.DrawFn) -> list[ItemState | AllSaid]:
    """What two owners say, the former one late too, and each again what it has said before."""
    told: list[list[ItemState | AllSaid]] = []
    for term in (1, 2):
        inputs = sorted(draw(st.lists(st.integers(0, 9), max_size=8)))
        mine: list[ItemState | AllSaid] = []
        for offset in inputs:
            there = (
                (1.0, 1.0, np.full(K, term * 10 + offset, np.float32)) if draw(st.booleans()) else (None, None, None)
            )
            mine.append(ItemState("i", draw(st.sampled_from(USERS)), 1, offset, *there, term=term))
        mine.insert(draw(st.integers(0, len(mine))), AllSaid(0, 1, term))
        told.append(mine)
    mixed: list[ItemState | AllSaid] = []
    while any(told):
        mixed.append(draw(st.sampled_from([mine for mine in told if mine])).pop(0))
        if draw(st.booleans()):
            mixed.append(draw(st.sampled_from(mixed)))
    return mixed


def told_to(table: ItemStates, said: list[ItemState | AllSaid]) -> ItemStates:
    for each in said:
        if isinstance(each, AllSaid):
            table.end(each)
        else:
            table.put(each)
    return table


@given(said=said_by_owners(), cut=st.integers(0, 20))
def test_states_that_were_written_and_read_end_as_those_that_were_not(
    said: list[ItemState | AllSaid], cut: int
) -> None:
    """Also of pairs that are gone, of which no name was written: what comes late does not bring them back."""

    def new() -> ItemStates:
        return ItemStates(OBJECTIVES[0], K, 1)

    whole, first, second = told_to(new(), said), told_to(new(), said[:cut]), new()
    for partition, term in first.ended.items():
        second.end(AllSaid(partition, 1, term))
    rows = first.dump()
    second.load(rows, range(len(rows)), {0}, {0})
    told_to(second, said[cut:])
    assert [(user, s, x.tolist()) for user, s, x in second.of("i")] == [
        (user, s, x.tolist()) for user, s, x in whole.of("i")
    ]


@pytest.mark.parametrize("there", [True, False], ids=["named-elsewhere", "to-come"])
def test_a_forgotten_item_whose_name_is_gone_is_known_when_it_comes_back(there: bool) -> None:
    """Its forget in another partition is no first one then, and takes nothing away that came after the first."""
    home, forget = partition_of("m", PARTITIONS), Interaction("", ITEM, None)
    state, _, fold = model({"a": {"p": 1.0}}, OBJECTIVES[0])
    fold.add(forget, home, 0)
    fold.flush()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), state, None, None, 1)
        read = restored(Path(folder), state.generation)
    if there:
        read.items.extend([ITEM])
    again = ExactFold(read, PARTITIONS)
    again.add(Interaction("m", ITEM, 1.0), home, 1)
    again.flush()
    assert read.items.find(ITEM) in read.forgotten_items
    assert not len(read.items.unnamed.dump())
    again.add(forget, 1 - home, 5)
    assert not [update for update in again.flush() if isinstance(update, ItemGone)]
    assert read.knows(read.users.find("m"), read.items.find(ITEM))


def test_a_start_asks_of_no_user_who_has_a_name_whether_there_is_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a forget, starts with millions of new users would take some seconds longer."""
    state, _, fold = model({"a": {"p": 1.0}}, OBJECTIVES[0])
    for offset, (user, item) in enumerate([(USER, "p"), ("m", "p"), (USER, "")]):
        fold.add(Interaction(user, item, 1.0 if item else None), partition_of(user, PARTITIONS), offset)
    fold.flush()
    asked: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), state, None, None, 3)
        monkeypatch.setattr(traces, "hashes_of", lambda ids: asked.extend(ids) or hashes_of(asked[-len(ids) :]))
        read = restored(Path(folder), state.generation)
    assert len(read.users.unnamed.dump()) == 1
    assert not asked
    assert read.users.intern(USER) > read.users.find("m")
    assert asked == [USER]
    assert not len(read.users.unnamed.dump())


def test_what_came_before_a_forget_does_not_bring_the_user_back_when_it_is_sent_again() -> None:
    """Rule 11, also for who begins with a checkpoint in which the user has no name."""
    state, _, fold = model({"a": {"p": 1.0}}, OBJECTIVES[0])
    home = partition_of(USER, PARTITIONS)
    fold.add(Interaction(USER, "p", 1.0), home, 4)
    before = fold.flush()
    fold.add(Interaction(USER, "", None), home, 5)
    fold.flush()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), state, None, None, 6)
        read = restored(Path(folder), state.generation)
    assert [read.apply(update) for update in before] == [False] * len(before)
    assert not read.histories.changed()
    later = ExactFold(read, PARTITIONS)
    later.add(Interaction(USER, "p", 2.0), home, 6)
    assert [read.knows(read.users.find(USER), read.items.find("p")) for _ in [later.flush()]] == [True]


def test_a_checkpoint_of_the_format_before_has_none_of_it_and_is_read(tmp_path: Path) -> None:
    state, _, fold = model({"a": {"p": 1.0}}, OBJECTIVES[0])
    fold.add(Interaction(USER, "p", 1.0), partition_of(USER, PARTITIONS), 4)
    fold.flush()
    nothing = ItemStates(OBJECTIVES[0], state.generation.manifest.features, PARTITIONS).dump()
    write(tmp_path, state, None, nothing, 5)
    manifest = decode_checkpoint((tmp_path / MANIFEST).read_bytes(), tmp_path)
    files = {name: entry for name, entry in manifest.files.items() if ".traces." not in name and ".gone." not in name}
    for name in manifest.files.keys() - files.keys():
        (tmp_path / name).unlink()
    assert len(files) < len(manifest.files)
    write_summed(tmp_path / MANIFEST, replace(manifest, format="1.1", files=files))
    read = Checkpoint.open(tmp_path, state.generation)
    assert read.changes.new_users == [USER]
    assert not len(read.changes.user_traces) + len(read.changes.item_traces)
    assert read.states is not None
    assert [list(row) for row in read.states.gone.rows()] == [list(row) for row in GonePairs.none().rows()] == []
