"""Laws of the fold by Oryx's rule: the formula, one interaction after the other, whatever is cut, sliced or killed."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oryx_py.events import Interaction
from oryx_py.messages import Message, Progress, Update, decode, encode, partition_of
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from oryx_py.ports import Record
from speed_layer.oryx_rule.fold import OryxFold
from speed_layer.oryx_rule.restoring import restore
from tests.support.generations import Pairs, generation_of
from tests.support.oryx_rule import Vectors, formula

EPOCH, PARTITIONS, K = 7, 2, 3
OBJECTIVES = [
    Objective.mllib_implicit(lambda_=0.1, alpha=2.0),
    Objective.mllib_implicit(lambda_=0.1, alpha=0.5, log_strength=True, epsilon=0.1),
    Objective.mllib_explicit(lambda_=0.2),
]
BASE: Pairs = {
    "a": {"p": 1.0, "q": 2.0},
    "b": {"r": 1.0},
    "c": {"q": 1.0, "s": 3.0},
    "d": {"p": 2.0, "s": -1.0, "r": 0.5},
}
OLD_USERS, NEW_USERS = sorted(BASE), ["m", "n"]
OLD_ITEMS, NEW_ITEMS = ["p", "q", "r", "s"], ["x", "y"]

Log = list[tuple[int, int, Interaction]]

pair = st.tuples(
    st.sampled_from(OLD_USERS + NEW_USERS),
    st.sampled_from(OLD_ITEMS + NEW_ITEMS),
    st.sampled_from([1.0, 2.5, 0.5, -1.0, 0.0, None]),
)
forget = st.sampled_from([("a", "", None), ("m", "", None), ("", "q", None), ("", "x", None)])


def log_of(rows: Sequence[tuple[str, str, float | None]]) -> Log:
    """Lay records into the partitions of their users; the forgetting of an item into every partition."""
    log: Log = []
    ends = [0] * PARTITIONS
    for user, item, strength in rows:
        for partition in range(PARTITIONS) if user == "" else [partition_of(user, PARTITIONS)]:
            log.append((partition, ends[partition], Interaction(user=user, item=item, strength=strength)))
            ends[partition] += 1
    return log


logs = st.lists(st.one_of(pair, pair, pair, pair, forget), max_size=30).map(log_of)


def generation(which: int) -> Generation:
    rng = np.random.default_rng(3)
    factors = {item: rng.normal(size=K).astype(np.float32) for item in OLD_ITEMS}
    made = generation_of(BASE, factors, OBJECTIVES[which], dict.fromkeys(range(PARTITIONS), (0, 0)))
    assert np.linalg.matrix_rank(made.user_gram) == K
    return made


def oracle(made: Generation, log: Log) -> tuple[Vectors, Vectors]:
    """The formula for one interaction after the other, by the generation's Gram matrices."""
    return formula(
        {made.users.id(row): made.user_factors[row] for row in range(len(made.users))},
        {made.items.id(row): made.item_factors[row] for row in range(len(made.items))},
        [interaction for _, _, interaction in log],
        made.manifest.objective,
        (made.user_gram, made.item_gram),
    )


def assert_is(state: ModelState, expected: tuple[Vectors, Vectors]) -> None:
    for ids, vector_of, wanted in (
        (state.users, state.user_vector, expected[0]),
        (state.items, state.item_vector, expected[1]),
    ):
        for name in OLD_USERS + NEW_USERS + OLD_ITEMS + NEW_ITEMS:
            handle = ids.find(name)
            found = vector_of(handle) if handle >= 0 else None
            assert (found is None) == (name not in wanted), name
            if found is not None:
                scale = float(np.abs(wanted[name]).max()) + 1e-3
                np.testing.assert_allclose(found, wanted[name], rtol=1e-4, atol=1e-4 * scale, err_msg=name)


def assert_same(ours: ModelState, reader: ModelState) -> None:
    """Bit by bit: vectors of everybody, and what everybody knows."""
    for name in OLD_USERS + NEW_USERS:
        user, there = ours.users.find(name), reader.users.find(name)
        if user >= 0:
            assert_vector(ours.user_vector(user), reader.user_vector(there) if there >= 0 else None, name)
            assert pairs(ours, user) == pairs(reader, there), name
    for name in OLD_ITEMS + NEW_ITEMS:
        item, there = ours.items.find(name), reader.items.find(name)
        if item >= 0:
            assert_vector(ours.item_vector(item), reader.item_vector(there) if there >= 0 else None, name)


def pairs(state: ModelState, user: int) -> dict[str, float]:
    if user < 0:
        return {}
    items, strengths = state.history(user)
    return dict(zip(state.items.ids(items.tolist()), strengths.tolist(), strict=True))


def assert_vector(a: NDArray[np.float32] | None, b: NDArray[np.float32] | None, what: str) -> None:
    assert (a is None) == (b is None), what
    assert a is None or b is None or a.tobytes() == b.tobytes(), what


class Topic:
    """The update topic: one partition's records, and a reader's state of them."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def send(self, *updates: Update) -> None:
        for update in updates:
            message: Message = encode(update)
            self.records.append(Record("t", 0, len(self.records), 0, message.key, message.value, message.headers))

    def read_by(self, reader: ModelState) -> ModelState:
        for record in self.records:
            reader.apply(decode(record.key, record.value, record.headers))
        return reader


@settings(max_examples=80, deadline=None)
@given(
    log=logs, cuts=st.sets(st.integers(0, 30)), which=st.sampled_from(range(len(OBJECTIVES))), slice_=st.integers(1, 3)
)
def test_however_the_input_is_cut_the_vectors_are_those_of_the_formula(
    log: Log, cuts: set[int], which: int, slice_: int
) -> None:
    """One interaction after the other; speed and readers have the same bits, in slices too."""
    made = generation(which)
    ours, topic = ModelState(made, EPOCH), Topic()
    fold = OryxFold(ours, PARTITIONS)
    for at, (partition, offset, interaction) in enumerate(log):
        fold.add(interaction, partition, offset)
        if at in cuts:
            topic.send(*fold.flush())
    while fold.pending:
        topic.send(*fold.flush(slice_))
    if not has_second_forget(log):
        assert_is(ours, oracle(made, log))
    assert_same(ours, topic.read_by(ModelState(made, EPOCH)))


def has_second_forget(log: Log) -> bool:
    names = [i.item for p, _, i in log if not i.user and p == 0]
    return len(set(names)) < len(names)


@settings(max_examples=80, deadline=None)
@given(log=logs, announced=st.integers(0, 30), lost=st.integers(0, 60), before=st.booleans())
def test_a_restart_goes_on_from_what_was_announced_and_takes_no_step_twice(
    log: Log, announced: int, lost: int, before: bool
) -> None:
    """Killed after sending any part of what follows the last PROGRESS, or before any PROGRESS at all."""
    made, topic = generation(0), Topic()
    announced = min(announced, len(log))
    fold = OryxFold(ModelState(made, EPOCH), PARTITIONS)
    positions: dict[int, int] = {}
    for partition, offset, interaction in log[:announced]:
        fold.add(interaction, partition, offset)
        positions[partition] = offset + 1
    topic.send(*fold.flush())
    if before:
        positions = {}
        topic.records = topic.records[:lost]
    else:
        topic.send(Progress(positions, {}, EPOCH))
        for partition, offset, interaction in log[announced:]:
            fold.add(interaction, partition, offset)
        topic.send(*fold.flush()[:lost])

    ours = ModelState(made, EPOCH)
    astray = restore(ours, positions, topic.records)
    again = OryxFold(ours, PARTITIONS, covered=positions, astray=astray)
    for partition, offset, interaction in log:
        again.add(interaction, partition, offset)
    if positions:
        topic.send(*again.resend())
    topic.send(*again.flush())
    if not has_second_forget(log):
        assert_is(ours, oracle(made, log))
    assert_same(ours, topic.read_by(ModelState(made, EPOCH)))
