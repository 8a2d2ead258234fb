"""Laws of the speed layer's fold: exact at every level, whatever the batches, and the same for every reader."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from oryx_py.errors import BadMessage
from oryx_py.events import Interaction, InteractionColumns
from oryx_py.messages import ItemVector, Update, UserVector, decode, encode, partition_of
from oryx_py.messages.blocks import expanded
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.objective import Objective
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.solving.budget import Budget
from tests.support.generations import AtRest, Pairs, at_rest, generation_of

PARTITIONS = 2
K = 3
OLD_USERS, NEW_USERS = ["a", "b", "c"], ["m", "n", "o"]
OLD_ITEMS, NEW_ITEMS = ["p", "q", "r", "s"], ["x", "y", "z"]
OBJECTIVES = [
    Objective.mllib_implicit(lambda_=0.1, alpha=2.0),
    Objective.mllib_implicit(lambda_=0.1, alpha=0.5, log_strength=True, epsilon=0.1),
    Objective.mllib_explicit(lambda_=0.2),
    Objective.ials(alpha0=0.1, lambda_=0.05),
    Objective.biased_explicit(lambda_=0.2, biases=Biases.last(K, mean=1.5)),
]

strengths = st.sampled_from([1.0, 2.5, 0.5, -1.0, 0.0, None, None])
pairs_of_log = st.tuples(st.sampled_from(OLD_USERS + NEW_USERS), st.sampled_from(OLD_ITEMS + NEW_ITEMS), strengths)
forgets = st.one_of(
    st.tuples(st.sampled_from(OLD_USERS + NEW_USERS), st.just(""), st.none()),
    st.tuples(st.just(""), st.sampled_from(OLD_ITEMS + NEW_ITEMS), st.none()),
)
records = st.lists(st.one_of(pairs_of_log, pairs_of_log, pairs_of_log, pairs_of_log, forgets), max_size=40)
base_pairs = st.dictionaries(
    st.sampled_from(OLD_USERS),
    st.dictionaries(st.sampled_from(OLD_ITEMS), st.sampled_from([1.0, 3.0, 0.0, -2.0]), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)
WIDELY_KNOWN: Pairs = {user: {"p": 1.0, "r": 3.0} for user in OLD_USERS}


def log_of(rows: Sequence[tuple[str, str, float | None]]) -> list[tuple[int, int, Interaction]]:
    """Lay records into the partitions of their users; the forgetting of an item into every partition."""
    log: list[tuple[int, int, Interaction]] = []
    ends = [0] * PARTITIONS
    for user, item, strength in rows:
        interaction = Interaction(user=user, item=item, strength=strength)
        for partition in range(PARTITIONS) if user == "" else [partition_of(user, PARTITIONS)]:
            log.append((partition, ends[partition], interaction))
            ends[partition] += 1
    return log


def model(base: Pairs, objective: Objective, seed: int = 0) -> tuple[ModelState, ModelState, ExactFold]:
    """Return the speed layer's state, a reader's, and the fold."""
    rng = np.random.default_rng(seed)
    factors = {item: rng.normal(size=K).astype(np.float32) for item in OLD_ITEMS}
    if objective.biases is not None:
        for vector in factors.values():
            vector[objective.biases.user] = 1
    generation = generation_of(base, factors, objective, dict.fromkeys(range(PARTITIONS), (0, 0)))
    ours = ModelState(generation, epoch=7)
    return ours, ModelState(generation, epoch=7), ExactFold(ours, PARTITIONS)


def read(reader: ModelState, updates: Sequence[Update]) -> None:
    """Let a reader apply updates as they come over the wire."""
    for update in updates:
        message = encode(update)
        reader.apply(decode(message.key, message.value, message.headers))


def assert_at_rest(state: ModelState, expected: AtRest) -> None:
    """Compare the whole of a state with the oracle's."""
    for name in OLD_USERS + NEW_USERS:
        user = state.users.find(name)
        items, values = state.history(user) if user >= 0 else (np.empty(0, np.int64), np.empty(0))
        known = dict(zip(state.items.ids(items.tolist()), values.tolist(), strict=True))
        assert known == pytest.approx(expected.pairs.get(name, {}), abs=1e-12), name
        assert_close(state.user_vector(user) if user >= 0 else None, expected.users.get(name), f"user {name}")
    for name in OLD_ITEMS + NEW_ITEMS:
        item = state.items.find(name)
        assert_close(state.item_vector(item) if item >= 0 else None, expected.items.get(name), f"item {name}")
        holders = sum(name in known for known in expected.pairs.values())
        assert (state.popularity()[item] if item >= 0 else 0) == holders, name


def assert_close(found: np.ndarray | None, wanted: np.ndarray | None, what: str) -> None:
    assert (found is None) == (wanted is None), what
    if found is not None and wanted is not None:
        assert np.linalg.norm(found - wanted) <= 1e-5 * np.linalg.norm(wanted) + 1e-12, what


@settings(max_examples=150, deadline=None)
@given(
    base=base_pairs,
    rows=records,
    cuts=st.sets(st.integers(0, 40)),
    which=st.sampled_from(range(len(OBJECTIVES))),
    unsent=st.sets(st.integers(0, 40), max_size=5),
)
def test_any_batching_ends_in_the_state_at_rest(
    base: Pairs, rows: list, cuts: set[int], which: int, unsent: set[int]
) -> None:
    """However a log is cut into micro-batches, speed and readers hold what the oracle folds from the whole log; also
    where who has an item forgotten dies before every partition has it."""
    ours, reader, fold = model(base, OBJECTIVES[which])
    log = [record for at, record in enumerate(log_of(rows)) if record[2].user or at not in unsent]
    for at, (partition, offset, interaction) in enumerate(log):
        fold.add(interaction, partition, offset)
        if at in cuts:
            read(reader, fold.flush())
    read(reader, fold.flush())
    expected = at_rest(ours.generation, base, log, PARTITIONS)
    assert_at_rest(ours, expected)
    assert_at_rest(reader, expected)


@pytest.mark.parametrize("strange", [UserVector, ItemVector], ids=["user", "item"])
def test_a_vector_of_another_length_overtakes_nothing(strange: type[UserVector | ItemVector]) -> None:
    """Whatever offset it has, what comes after it counts."""
    state, _, _ = model({"a": {"p": 1.0}}, OBJECTIVES[0])

    def message(offset: int, vector: np.ndarray) -> UserVector | ItemVector:
        if strange is UserVector:
            return UserVector("a", vector, epoch=7, input=offset)
        return ItemVector("p", vector, epoch=7, item_input=offset)

    with pytest.raises(BadMessage):
        state.apply(message(50, np.ones(K + 1, np.float32)))
    assert state.apply(message(40, np.ones(K, np.float32)))


@given(base=base_pairs, item=st.sampled_from(OLD_ITEMS), partition=st.integers(0, PARTITIONS - 1), rows=records)
def test_an_item_forgotten_in_one_partition_is_new_to_the_users_of_all(
    base: Pairs, item: str, partition: int, rows: list
) -> None:
    """They still know it, but are not solved from the vector that it had."""
    ours, reader, fold = model(base, OBJECTIVES[0])
    log = [(partition, 0, Interaction(user="", item=item, strength=None))]
    for record in log:
        fold.add(record[2], *record[:2])
    read(reader, fold.flush())
    assert_at_rest(reader, at_rest(ours.generation, base, log, PARTITIONS))
    more = [(where, offset + 1, interaction) for where, offset, interaction in log_of(rows)]
    for where, offset, interaction in more:
        fold.add(interaction, where, offset)
    read(reader, fold.flush())
    assert_at_rest(reader, at_rest(ours.generation, base, [*log, *more], PARTITIONS))


@settings(max_examples=60, deadline=None)
@given(base=base_pairs, rows=records, slice_=st.integers(1, 3))
def test_a_replay_sent_in_slices_ends_in_the_same_state(base: Pairs, rows: list, slice_: int) -> None:
    ours, reader, fold = model(base, OBJECTIVES[0])
    log = log_of(rows)
    for partition, offset, interaction in log:
        fold.add(interaction, partition, offset)
    while fold.pending:
        read(reader, fold.flush(slice_))
    read(reader, fold.flush())
    assert_at_rest(reader, at_rest(ours.generation, base, log, PARTITIONS))


@settings(max_examples=100, deadline=None)
@given(
    base=base_pairs,
    rows=records,
    cut=st.integers(0, 40),
    lost=st.integers(0, 5),
    cuts=st.sets(st.integers(0, 40)),
    again_cuts=st.sets(st.integers(0, 40)),
    first_read=st.none() | st.sampled_from(range(PARTITIONS)),
)
@example(WIDELY_KNOWN, [("a", "q", 1.0), ("", "p", None)], 40, 0, {0}, set(), None)
@example(WIDELY_KNOWN, [("a", "q", 1.0), ("b", "q", 1.0), ("", "p", None)], 40, 0, {1}, {1}, 0)
@example(WIDELY_KNOWN, [("a", "q", 1.0), ("b", "q", 1.0), ("", "p", None)], 40, 0, {1}, {1}, 1)
def test_a_restart_that_sends_again_changes_nothing(
    base: Pairs, rows: list, cut: int, lost: int, cuts: set[int], again_cuts: set[int], first_read: int | None
) -> None:
    """A process that died after sending part of a batch replays to what was announced, then sends the rest again.

    Announced is what users did and which pairs are gone; of what that makes stale nothing need have been sent. Whoever
    replays it cuts it into other micro-batches, and may read one partition before the other.
    """
    first, reader, fold = model(base, OBJECTIVES[0])
    log = log_of(rows)
    cut = min(cut, len(log))
    for at, (partition, offset, interaction) in enumerate(log):
        fold.add(interaction, partition, offset)
        if at + 1 == cut or (at + 1 < cut and at in cuts):
            read(reader, list(expanded(fold.step(None, Budget(0, 0, 0)))))
    read(reader, fold.flush()[:lost])
    second, _, again = model(base, OBJECTIVES[0])
    announced = log[:cut]
    if first_read is not None:
        announced.sort(key=lambda record: record[0] != first_read)
    for at, (partition, offset, interaction) in enumerate(announced):
        again.add(interaction, partition, offset)
        if at in again_cuts:
            again.retrace()
    again.retrace()
    again.resend()
    for partition, offset, interaction in log[cut:]:
        again.add(interaction, partition, offset)
    read(reader, again.flush())
    expected = at_rest(first.generation, base, log, PARTITIONS)
    assert_at_rest(second, expected)
    assert_at_rest(reader, expected)


@settings(max_examples=60, deadline=None)
@given(base=base_pairs, rows=records, twice=st.integers(0, 40))
def test_a_message_read_twice_changes_nothing(base: Pairs, rows: list, twice: int) -> None:
    ours, reader, fold = model(base, OBJECTIVES[3])
    log = log_of(rows)
    sent: list[Update] = []
    for partition, offset, interaction in log:
        fold.add(interaction, partition, offset)
        sent += fold.flush()
    read(reader, sent)
    read(reader, sent[-twice:] if twice else [])
    assert_at_rest(reader, at_rest(ours.generation, base, log, PARTITIONS))


@settings(deadline=None)
@given(base=base_pairs, rows=records, cuts=st.sets(st.integers(0, 40)), most=st.none() | st.integers(1, 3))
def test_interactions_added_together_are_those_added_one_by_one(
    base: Pairs, rows: list, cuts: set[int], most: int | None
) -> None:
    """The same messages byte by byte, also where only some users are taken at a time."""
    log = log_of(rows)
    (_, _, together), (_, _, alone) = model(base, OBJECTIVES[0]), model(base, OBJECTIVES[0])
    places = [0, *sorted(cut for cut in cuts if 0 < cut < len(log)), len(log)]
    for start, end in itertools.pairwise(places):
        some = log[start:end]
        together.add_many(
            InteractionColumns.of([interaction for _, _, interaction in some]),
            np.array([partition for partition, _, _ in some], np.int64),
            np.array([offset for _, offset, _ in some], np.int64),
            np.arange(start, end),
        )
        for at, (partition, offset, interaction) in zip(range(start, end), some, strict=True):
            alone.add(interaction, partition, offset, at)
        assert list(map(encode, together.flush(most))) == list(map(encode, alone.flush(most)))
    assert list(map(encode, together.flush())) == list(map(encode, alone.flush()))
