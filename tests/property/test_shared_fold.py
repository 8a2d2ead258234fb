"""Laws of sharing: folds that have some of the input partitions each say together what one that has all says."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from oryx_py.events import Interaction
from oryx_py.messages import ItemGone, ItemVector, Update, decode, encode, partition_of
from oryx_py.messages.blocks import Updates, expanded
from oryx_py.messages.item_state import AllSaid, ItemState, decode_state, encode_state
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.objective import Objective
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.sharing.share import Share
from tests.property.test_epoch_fold import (
    NEW_USERS,
    OBJECTIVES,
    OLD_ITEMS,
    K,
    assert_at_rest,
    base_pairs,
    read,
    records,
)
from tests.support.generations import Pairs, at_rest, generation_of

PARTITIONS = 3


@dataclass
class Together:
    """Folds, the two topics between them, and a reader."""

    base: Pairs
    objective: Objective
    folds: dict[str, ExactFold] = field(default_factory=dict)
    owner: dict[int, str] = field(default_factory=dict)
    updates: list[Update] = field(default_factory=list)
    states: list[ItemState | AllSaid] = field(default_factory=list)
    heard: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        import numpy as np

        rng = np.random.default_rng(0)
        factors = {item: rng.normal(size=K).astype(np.float32) for item in OLD_ITEMS}
        if self.objective.biases is not None:
            for vector in factors.values():
                vector[self.objective.biases.user] = 1
        covers = dict.fromkeys(range(PARTITIONS), (0, 0))
        self.generation = generation_of(self.base, factors, self.objective, covers)
        self.reader = ModelState(self.generation, epoch=7)

    def add(self, name: str, partitions: set[int]) -> ExactFold:
        share = Share(self.generation, partitions, PARTITIONS)
        self.folds[name] = ExactFold(ModelState(self.generation, epoch=7), PARTITIONS, share=share)
        self.owner |= dict.fromkeys(partitions, name)
        self.heard[name] = 0, 0
        return self.folds[name]

    def say(self, said: list[Updates]) -> None:
        for update in said:
            if isinstance(update, ItemState | AllSaid):
                message = encode_state(update)
                self.states.append(decode_state(message.key, message.value))
        sent = [decode(m.key, m.value, m.headers) for m in map(encode, expanded(said))]
        self.updates += sent
        read(self.reader, sent)

    def hear(self, name: str, most: int | None = None) -> bool:
        """Let one read on in both topics; say whether there was anything."""
        fold, (update, state) = self.folds[name], self.heard[name]
        others = fold.peers
        assert others is not None
        more_updates, more_states = self.updates[update:][:most], self.states[state:][:most]
        for said in more_updates:
            if isinstance(said, ItemVector | ItemGone):
                others.hear_item(said, 0)
        for told in more_states:
            if isinstance(told, AllSaid) or told.forgets or others.share.owns(told.item):
                others.hear_state(told)
        self.heard[name] = update + len(more_updates), state + len(more_states)
        return bool(more_updates or more_states)

    def step(self, name: str) -> None:
        self.say(self.folds[name].step())

    def settle(self) -> None:
        again = True
        while again:
            again = False
            for name, fold in self.folds.items():
                again = self.hear(name) or bool(fold.pending or fold.stale) or again
                self.step(name)


def log_of(rows: list[tuple[str, str, float | None]]) -> list[tuple[int, int, Interaction]]:
    ends, log = [0] * PARTITIONS, []
    for user, item, strength in rows:
        for partition in range(PARTITIONS) if user == "" else [partition_of(user, PARTITIONS)]:
            log.append((partition, ends[partition], Interaction(user, item, strength)))
            ends[partition] += 1
    return log


@settings(max_examples=150, deadline=None)
@given(
    base=base_pairs,
    rows=records,
    turns=st.lists(st.tuples(st.sampled_from(["one", "two", "three"]), st.integers(0, 4)), max_size=40),
    which=st.sampled_from(range(len(OBJECTIVES))),
    processes=st.integers(1, 3),
)
def test_however_many_share_it_a_log_ends_in_the_state_at_rest(
    base: Pairs, rows: list, turns: list[tuple[str, int]], which: int, processes: int
) -> None:
    together = Together(base, OBJECTIVES[which])
    names = ["one", "two", "three"][:processes]
    for number, name in enumerate(names):
        together.add(name, {p for p in range(PARTITIONS) if p % processes == number})
    log = log_of(rows)
    for at, (partition, offset, interaction) in enumerate(log):
        together.folds[together.owner[partition]].add(interaction, partition, offset)
        if at < len(turns) and turns[at][0] in names:
            name, most = turns[at]
            together.hear(name, most)
            together.step(name)
    together.settle()
    assert_at_rest(together.reader, at_rest(together.generation, base, log, PARTITIONS))


@settings(max_examples=100, deadline=None)
@given(
    base=base_pairs, rows=records, cut=st.integers(0, 40), moved=st.integers(0, PARTITIONS - 1), unsent=st.booleans()
)
def test_a_partition_that_moves_takes_its_users_and_items_along(
    base: Pairs, rows: list, cut: int, moved: int, unsent: bool
) -> None:
    together = Together(base, OBJECTIVES[0])
    first = together.add("first", set(range(PARTITIONS)))
    log = log_of(rows)
    cut = min(cut, len(log))
    for partition, offset, interaction in log[:cut]:
        first.add(interaction, partition, offset)
    if not unsent:
        together.step("first")
    first.release({moved: -1})
    announced = 0 if unsent else max([offset + 1 for p, offset, _ in log[:cut] if p == moved], default=0)
    second = together.add("second", {moved})
    for partition, offset, interaction in log:
        if partition == moved and offset < announced:
            second.add(interaction, partition, offset)
    while together.hear("second"):
        pass
    second.step()
    for partition, offset, interaction in log[:cut]:
        if partition == moved and offset >= announced:
            second.add(interaction, partition, offset)
    together.step("second")
    together.say(second.resend())
    for partition, offset, interaction in log[cut:]:
        together.folds[together.owner[partition]].add(interaction, partition, offset)
    together.settle()
    assert_at_rest(together.reader, at_rest(together.generation, base, log, PARTITIONS))


def test_who_forgets_an_item_late_keeps_what_its_owner_has_said_of_it_since() -> None:
    base: Pairs = {"a": {"q": 2.0}}
    home = partition_of("p", PARTITIONS)
    ours = next(user for user in NEW_USERS if partition_of(user, PARTITIONS) == home)
    theirs = next(user for user in NEW_USERS if partition_of(user, PARTITIONS) != home)
    together = Together(base, OBJECTIVES[0])
    together.add("owner", {home})
    late = together.add("late", set(range(PARTITIONS)) - {home})
    rows = [(ours, "q", 1.0), ("", "p", None), (ours, "p", 2.0), (theirs, "p", 1.0)]
    log = log_of(rows)
    for partition, offset, interaction in log:
        together.folds[together.owner[partition]].add(interaction, partition, offset)
    together.step("owner")
    assert any(isinstance(update, ItemVector) and update.vector is not None for update in together.updates)
    together.hear("late")
    assert late.pending
    together.step("late")
    together.settle()
    assert_at_rest(together.reader, at_rest(together.generation, base, log, PARTITIONS))
