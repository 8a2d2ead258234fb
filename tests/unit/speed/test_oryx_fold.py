"""The fold by Oryx's rule in the cases that its laws do not reach: forgetting, deleting, no solver, a killed sender."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from oryx_py.errors import ConfigError
from oryx_py.events import FoldSettings, Interaction, KindSettings
from oryx_py.messages import ItemVector, Progress, Update, UserGone, UserVector, encode, partition_of
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.objective import Objective
from oryx_py.ports import Record
from speed_layer.loading.initial_fold import open_fold
from speed_layer.oryx_rule.fold import OryxFold
from speed_layer.oryx_rule.restoring import restore
from tests.support.generations import Pairs, generation_of

EPOCH, K = 3, 2
IMPLICIT = Objective.mllib_implicit(0.1, 1.0)
BASE: Pairs = {"a": {"p": 1.0}, "b": {"q": 2.0}, "c": {"p": 1.0, "q": 1.0}}


def generation(base: Pairs = BASE, objective: Objective = IMPLICIT, features: int = K) -> Generation:
    rng = np.random.default_rng(1)
    factors = {item: rng.normal(size=features).astype(np.float32) for item in ("p", "q", "r")}
    return generation_of(base, factors, objective, {0: (0, 0), 1: (0, 0)})


def interaction(user: str, item: str, strength: float | None = 1.0) -> Interaction:
    return Interaction(user=user, item=item, strength=strength)


def vector_of(state: ModelState, item: str) -> bytes | None:
    vector = state.item_vector(state.items.intern(item))
    return None if vector is None else vector.tobytes()


def record(update: Update, offset: int, partition: int = 0) -> Record:
    message = encode(update)
    return Record("t", partition, offset, 0, message.key, message.value, message.headers)


def test_deleting_moves_no_vector_but_makes_the_item_unknown() -> None:
    """As in Oryx, where a delete is no interaction; known items are ours to keep right."""
    state = ModelState(generation(), EPOCH)
    fold = OryxFold(state, 2)
    before = state.user_vector(state.users.find("c")).tobytes()  # type: ignore[union-attr]
    fold.add(interaction("c", "p", None), 0, 0)
    gone, user = fold.flush()
    assert gone == UserGone("c", ("p",), EPOCH, 0)
    assert isinstance(user, UserVector)
    assert user.vector is not None
    assert user.vector.tobytes() == before
    assert not state.knows(state.users.find("c"), state.items.find("p"))


def test_steps_are_as_long_as_the_kind_says() -> None:
    """A view of half the weight is half a click; what comes to too little takes no step and is not known."""
    fold_settings = FoldSettings("implicit", kinds={"view": KindSettings(0.5)}, zero_threshold=0.2)
    made = generation()
    made = replace(made, manifest=msgspec.structs.replace(made.manifest, fold=fold_settings))
    vectors = []
    for told in (Interaction("a", "q", 0.5), Interaction("a", "q", 1.0, kind="view")):
        fold = OryxFold(ModelState(made, EPOCH), 2)
        fold.add(Interaction("a", "r", 0.3, kind="view"), 0, 0)
        fold.add(told, 0, 1)
        (update,) = [update for update in fold.flush() if isinstance(update, UserVector)]
        assert (update.items, update.strengths) == (("q",), (0.5,))
        vectors.append(update.vector)
    assert np.array_equal(*vectors)


def test_an_interaction_of_no_effect_is_known_all_the_same() -> None:
    """A strength of 0 moves nothing, and nothing is sent of the item."""
    state = ModelState(generation(), EPOCH)
    fold = OryxFold(state, 2)
    fold.add(interaction("a", "q", 0.0), 0, 0)
    (update,) = fold.flush()
    assert isinstance(update, UserVector)
    assert (update.items, update.strengths) == (("q",), (0.0,))


def test_a_new_user_with_a_new_item_has_no_vector_yet() -> None:
    """Neither side has anything to step along; both are known, and the next interaction may move them."""
    state = ModelState(generation(), EPOCH)
    fold = OryxFold(state, 2)
    fold.add(interaction("new", "x"), 0, 0)
    (update,) = fold.flush()
    assert isinstance(update, UserVector)
    assert update.vector is None
    assert update.items == ("x",)
    fold.add(interaction("new", "p"), 0, 1)
    fold.add(interaction("new", "x"), 0, 2)
    fold.flush()
    assert vector_of(state, "x") is not None


def test_the_copies_of_a_forget_do_not_take_what_came_after_the_first() -> None:
    """An item's forget lies in every partition; the item lives again between the copies, and a second one ends it."""
    state = ModelState(generation(), EPOCH)
    fold = OryxFold(state, 2)
    fold.add(interaction("", "p", None), 0, 0)
    fold.flush()
    assert vector_of(state, "p") is None
    user = next(name for name in "mnopqrst" if partition_of(name, 2) == 0)
    fold.add(interaction(user, "q"), 0, 1)
    fold.add(interaction(user, "p"), 0, 2)
    fold.add(interaction("", "p", None), 1, 0)
    fold.flush()
    assert vector_of(state, "p") is not None
    fold.add(interaction("", "p", None), 0, 3)
    fold.add(interaction("", "p", None), 1, 1)
    fold.flush()
    assert vector_of(state, "p") is None


def test_where_a_gram_matrix_is_near_singular_no_vector_moves() -> None:
    """One user spans one of two features: Oryx waits for more data; what is known is folded as ever."""
    state = ModelState(generation({"a": {"p": 1.0}}), EPOCH)
    fold = OryxFold(state, 2)
    before = state.user_vector(0).tobytes()  # type: ignore[union-attr]
    fold.add(interaction("a", "q"), 0, 0)
    (update,) = fold.flush()
    assert isinstance(update, UserVector)
    assert update.vector is not None
    assert update.vector.tobytes() == before
    assert update.items == ("q",)


def test_what_was_sent_and_not_announced_is_taken_back() -> None:
    """A sender moved an item and died; the next begins with the announced vector, and sends it, to be sure."""
    made = generation()
    announced, astray = made.item_factors[0] * 2, made.item_factors[0] * 3
    records = [
        record(ItemVector("p", announced, (), EPOCH), 0),
        record(ItemVector("p", astray, (), EPOCH + 1), 1),
        record(Progress({0: 5}, {}, EPOCH), 2),
        Record("t", 0, 3, 0, b"UP", b"damaged"),
        record(ItemVector("p", astray, (), EPOCH), 4),
    ]
    state = ModelState(made, EPOCH)
    fold = open_fold("oryx", state, 2, {0: 5}, lambda: records)
    assert vector_of(state, "p") == announced.tobytes()
    (update,) = fold.resend()
    assert isinstance(update, ItemVector)
    assert update.vector is not None
    assert update.vector.tobytes() == announced.tobytes()
    assert state.progress() == {0: 0, 1: 0}, "the input is read from the generation's offsets, for what else needs it"


def test_before_anything_was_announced_all_that_was_sent_is_astray() -> None:
    """The replay begins anew, and sends these items with what it moves."""
    made = generation()
    state = ModelState(made, EPOCH)
    fold = open_fold("oryx", state, 2, {}, lambda: [record(ItemVector("p", made.item_factors[0] * 3, (), EPOCH), 0)])
    assert vector_of(state, "p") == made.item_factors[0].tobytes()
    assert fold.pending == 1
    (update,) = fold.flush()
    assert isinstance(update, ItemVector)
    assert update.vector is not None
    assert update.vector.tobytes() == made.item_factors[0].tobytes()


def test_a_partition_without_the_newest_progress_belongs_to_it_as_a_whole() -> None:
    """A sender that died between the partitions' PROGRESS had all updates acknowledged before the first of them."""
    made = generation()
    state = ModelState(made, EPOCH)
    moved = made.item_factors * 2
    records = [
        record(Progress({0: 1}, {}, EPOCH), 0, partition=1),
        record(ItemVector("q", moved[1], (), EPOCH), 1, partition=1),
        record(Progress({0: 1}, {}, EPOCH), 0),
        record(ItemVector("p", moved[0], (), EPOCH), 1),
        record(Progress({0: 2}, {}, EPOCH), 2),
    ]
    assert restore(state, {0: 2}, records) == set()
    assert vector_of(state, "p") == moved[0].tobytes()
    assert vector_of(state, "q") == moved[1].tobytes()


def test_the_exact_rule_needs_nothing_of_the_update_topic() -> None:
    """Its state is a function of the input: the topic is not even read."""

    def never() -> list[Record]:
        raise AssertionError

    assert open_fold("exact", ModelState(generation(), EPOCH), 2, {0: 5}, never).pending == 0


def test_vectors_with_biases_are_refused() -> None:
    """A step would move what has to stay 1."""
    state = ModelState(generation(objective=Objective.biased_explicit(0.1, Biases.last(3)), features=3), EPOCH)
    with pytest.raises(ConfigError, match='with biases: set "exact"'):
        open_fold("oryx", state, 2, {}, lambda: ())
