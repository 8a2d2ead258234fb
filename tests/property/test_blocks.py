"""Laws of the bulk forms: blocks of messages, columns of pairs and many records are what one after the other is."""

import itertools
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.errors import BadInteraction, BadMessage
from oryx_py.messages import Message, UserGone, UserVector, decode, encode
from oryx_py.messages.blocks import UserVectors, encode_block, expanded
from oryx_py.messages.inbound import read_input
from oryx_py.messages.inbound_many import read_inputs
from oryx_py.model.state.histories import Histories
from oryx_py.model.state.model_state import ModelState
from oryx_py.model.state.vectors import VectorTable
from oryx_py.numerics.objective import Objective
from speed_layer.publishing.records import block_records, update_records
from tests.property.test_histories import ITEMS, USERS, base
from tests.support.generations import generation_of
from tests.support.interactions import ids

K = 3
floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
strengths = st.floats(allow_nan=False, allow_infinity=False) | st.just(1.0)
rows = st.lists(
    st.tuples(
        ids,
        st.lists(floats32, min_size=K, max_size=K),
        st.lists(st.tuples(ids, strengths), max_size=3),
        st.integers(-1, 10**17),
        st.integers(-1, 10**15),
    ),
    max_size=5,
    unique_by=lambda row: row[0],
)


def block_of(told: Sequence[tuple], term: int | None = None) -> UserVectors:
    """Lay rows together as a sender would whose users and items are numbered as they come."""
    items = [item for row in told for item, _ in row[2]]
    return UserVectors(
        users=[row[0] for row in told],
        handles=np.arange(len(told)),
        vectors=np.array([row[1] for row in told], np.float32).reshape(-1, K),
        indptr=np.cumsum([0, *(len(row[2]) for row in told)]),
        items=items,
        item_handles=np.arange(len(items)),
        strengths=np.array([strength for row in told for _, strength in row[2]], np.float64),
        epoch=3,
        inputs=np.array([row[3] for row in told], np.int64),
        at_ms=np.array([row[4] for row in told], np.int64),
        term=term,
    )


@settings(deadline=None)
@given(rows, st.none() | st.integers(0, 10**17))
def test_a_block_is_encoded_as_its_messages_are(told: list, term: int | None) -> None:
    block = block_of(told, term)
    values, headers = encode_block(block)
    assert [Message(b"UP", *message) for message in zip(values, headers, strict=True)] == [
        encode(update) for update in expanded([block])
    ]


@settings(deadline=None)
@given(rows, st.integers(1, 5), st.sampled_from([1200, 2000, 10**6]))
def test_a_block_is_cut_into_the_records_of_its_messages(told: list, partitions: int, largest: int) -> None:
    block = block_of(told)
    one_by_one = [update_records(update, "t", partitions, largest) for update in expanded([block])]
    assert block_records(block, "t", partitions, largest) == [record for records in one_by_one for record in records]


@pytest.mark.parametrize(("count", "parts"), [(2_000, 1), (2_001, 2), (50_000, 32)])
def test_no_record_has_so_many_items_that_requests_would_wait_for_it(count: int, parts: int) -> None:
    """Whoever has very many at once has them in several, alone and beside others."""
    told = [
        ("few", [1.0] * K, [("i", 2.0)], 5, 5),
        ("many", [1.0] * K, [(f"i{n}", float(n)) for n in range(count)], 5, 5),
    ]
    block = block_of(told)
    gone = UserGone("many", tuple(block.items), 1, 5)
    for records in (block_records(block, "t", 1, 1 << 20), update_records(gone, "t", 1, 1 << 20)):
        items: dict[str, int] = {}
        for record in records:
            part = decode(record.key, record.value, record.headers)
            assert isinstance(part, UserVector | UserGone)
            assert part.items is not None
            assert len(part.items) <= 2_000
            items[part.user] = items.get(part.user, 0) + len(part.items)
        assert items["many"] >= count
    assert len(block_records(block, "t", 1, 1 << 20)) == 1 + parts


def test_a_block_with_what_is_no_number_is_refused() -> None:
    block = block_of([("a", [1.0, 2.0, np.nan], [], 1, 1)])
    with pytest.raises(BadMessage, match="finite"):
        encode_block(block)


names = st.sampled_from(["a", "b", "c", "new", "newer"])
things = st.sampled_from(["p", "q", "x", "y"])
blocks = st.lists(
    st.lists(
        st.tuples(names, st.lists(floats32, min_size=K, max_size=K), st.dictionaries(things, strengths, max_size=3)),
        max_size=4,
        unique_by=lambda row: row[0],
    ),
    max_size=4,
)


@settings(deadline=None)
@given(blocks)
def test_a_block_is_applied_as_its_messages_are(told: list) -> None:
    generation = generation_of(
        {"a": {"p": 1.0, "q": 2.0}, "b": {"q": 1.0}},
        {"p": np.ones(K, np.float32), "q": np.full(K, 2, np.float32)},
        Objective.mllib_implicit(lambda_=0.1, alpha=1.0),
        {0: (0, 0)},
    )
    ours, theirs = ModelState(generation, 3), ModelState(generation, 3)
    for offset, some in enumerate(told):
        block = block_of([(user, vector, sorted(pairs.items()), offset, -1) for user, vector, pairs in some])
        users, items = ours.users.intern_many(block.users), ours.items.intern_many(block.items)
        block = msgspec.structs.replace(block, handles=users, item_handles=items)
        ours.apply_users(block)
        for update in expanded([block]):
            assert theirs.apply(update)
    for name in ["a", "b", "c", "new", "newer"]:
        mine, other = ours.users.find(name), theirs.users.find(name)
        assert mine == other
        if mine >= 0:
            assert ours.user_input(mine) == theirs.user_input(other)
            mine_, theirs_ = (state.user_vectors.gather(np.array([mine])) for state in (ours, theirs))
            assert np.array_equal(mine_, theirs_)
            for left, right in zip(ours.history(mine), theirs.history(other), strict=True):
                assert left.tolist() == right.tolist()
    assert ours.popularity().tolist() == theirs.popularity().tolist()
    assert ours.activity().tolist() == theirs.activity().tolist()


changes = st.lists(
    st.tuples(st.integers(0, USERS), st.integers(0, ITEMS), st.sampled_from([1.0, 2.5, -1.0, None])), max_size=150
)


@settings(deadline=None)
@given(changes, st.sets(st.integers(0, 150)), st.none() | st.integers(0, USERS))
def test_pairs_put_together_are_those_put_one_by_one(told: list, cuts: set[int], forgotten: int | None) -> None:
    together, alone = Histories(base(), base().transposed(ITEMS)), Histories(base(), base().transposed(ITEMS))
    if forgotten is not None:
        together.forget_user(forgotten)
        alone.forget_user(forgotten)
    places = [0, *sorted(cut for cut in cuts if 0 < cut < len(told)), len(told)]
    for start, end in itertools.pairwise(places):
        some = told[start:end]
        users, items = np.array([row[0] for row in some], np.int64), np.array([row[1] for row in some], np.int64)
        together.put_many(users, items, np.array([row[2] for row in some], np.float64))
    for user, item, strength in told:
        if strength is None:
            alone.remove(user, item)
        else:
            alone.put(user, item, strength)
    everybody = np.arange(USERS + 1)
    indptr, items, values = together.gather(everybody)
    for user in everybody.tolist():
        mine, theirs = slice(indptr[user], indptr[user + 1]), alone.of_user(user)
        assert (items[mine].tolist(), values[mine].tolist()) == (theirs[0].tolist(), theirs[1].tolist())
    left, right = together.rows(), alone.rows()
    assert (left.users.tolist(), left.indptr.tolist()) == (right.users.tolist(), right.indptr.tolist())
    assert left.items.tolist() == right.items.tolist()
    assert np.array_equal(left.strengths, right.strengths, equal_nan=True)
    assert together.forgotten().tolist() == ([] if forgotten is None else [forgotten])
    assert together.popularity(ITEMS + 1).tolist() == alone.popularity(ITEMS + 1).tolist()


@settings(deadline=None)
@given(changes, st.sets(st.integers(0, USERS)), st.integers(ITEMS, ITEMS + 1), st.sets(st.integers(0, ITEMS)))
def test_pairs_split_by_item_are_the_pairs(told: list, forgotten: set[int], count: int, excepted: set[int]) -> None:
    histories = Histories(base(), base().transposed(ITEMS))
    for user in sorted(forgotten):
        histories.forget_user(user)
    for user, item, strength in told:
        histories.put(user, item, np.nan if strength is None else strength)
    everybody = np.arange(USERS + 2)[::-1].copy()
    indptr, items, strengths_ = histories.gather(everybody)
    ours, others = histories.split(everybody, count, np.array(sorted(excepted), np.int64))
    for at in range(len(everybody)):
        row, first, second = (slice(ends[at], ends[at + 1]) for ends in (indptr, ours[0], others[0]))
        pairs = list(zip(items[row].tolist(), strengths_[row].tolist(), strict=True))
        assert list(zip(ours[1][first].tolist(), ours[2][first].tolist(), strict=True)) == [
            (item, strength) for item, strength in pairs if item < count and item not in excepted
        ]
        assert sorted(zip(others[1][second].tolist(), others[2][second].tolist(), strict=True)) == sorted(
            (item, strength) for item, strength in pairs if item >= count or item in excepted
        )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.lists(st.integers(0, 9), max_size=4, unique=True), st.booleans()), max_size=5),
    st.integers(0, 6),
)
def test_vectors_set_together_are_those_set_one_by_one(told: list, rows_: int) -> None:
    factors = np.arange(rows_ * 2, dtype=np.float32).reshape(-1, 2)
    together, alone = VectorTable(factors), VectorTable(factors)
    for number, (handles, removes) in enumerate(told):
        vectors = np.array([[number, handle] for handle in handles], np.float32).reshape(-1, 2)
        together.set_many(np.array(handles, np.int64), vectors)
        for handle, vector in zip(handles, vectors, strict=True):
            alone.set(handle, vector)
        if removes and handles:
            together.set(handles[0], None)
            alone.set(handles[0], None)
    everything = np.arange(-1, 12)
    assert together.gather(everything).tolist() == alone.gather(everything).tolist()
    assert together.has(everything).tolist() == alone.has(everything).tolist()
    assert together.delta_handles.tolist() == alone.delta_handles.tolist()
    assert together.delta_present.tolist() == alone.delta_present.tolist()
    assert together.version == alone.version


values = st.sampled_from([b"a,b", b"a,b,2", b"u,,", b",i,", b"", b"a", b"\xff", b'["x","y",3]', b'"a,c",b,1', None])


@settings(deadline=None)
@given(st.lists(st.tuples(values, st.integers(0, 2)), max_size=8), st.integers(1, 3))
def test_many_records_are_read_as_one_by_one(told: list, partitions: int) -> None:
    found = read_inputs([value for value, _ in told], [home for _, home in told], partitions)
    read = dict(
        zip(found.numbers.tolist(), map(found.interactions.interaction, range(len(found.numbers))), strict=True)
    )
    assert [*read] == sorted(read)
    assert [*found.bad] == sorted(found.bad)
    assert sorted([*read, *found.bad]) == list(range(len(told)))
    for number, (value, home) in enumerate(told):
        if number in found.bad:
            with pytest.raises(BadInteraction) as refused:
                read_input(value, home, partitions)
            assert found.bad[number].reason == refused.value.reason
        else:
            assert read[number] == read_input(value, home, partitions)


@settings(deadline=None)
@given(st.lists(ids, max_size=12))
def test_names_interned_together_are_those_interned_one_by_one(told: list) -> None:
    generation = generation_of(
        {"a": {"p": 1.0}}, {"p": np.ones(K, np.float32)}, Objective.mllib_implicit(lambda_=0.1, alpha=1.0), {0: (0, 0)}
    )
    together, alone = ModelState(generation, 1).users, ModelState(generation, 1).users
    half = len(told) // 2
    found = [*together.intern_many(told[:half]).tolist(), *together.intern_many(["a", *told[half:]])[1:].tolist()]
    assert found == [alone.intern(name) for name in told]
    assert together.since() == alone.since()


def test_a_message_of_a_block_says_what_the_row_says() -> None:
    block = block_of([("a", [1.0, 2.0, 3.0], [("p", 2.0)], -1, 5)])
    assert list(expanded([block])) == [
        UserVector("a", np.array([1, 2, 3], np.float32), ("p",), (2.0,), epoch=3, input=None, at_ms=5)
    ]
