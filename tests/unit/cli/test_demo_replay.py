"""The demo's arms and its replay agree with slow, obvious ones."""

import math
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pytest

from oryx_py.cli.demo.arms import Frozen, Numbers
from oryx_py.cli.demo.replay import K, Outcome, replay, scores
from oryx_py.client import Client
from oryx_py.events import Interaction
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation
from oryx_py.testing.generations import write_small_generation
from tests.unit.cli.scripted_service import Asked, Reply, scripted

ITEMS = 40
USERS = 12
FEATURES = 4


@pytest.fixture(scope="module")
def generation(tmp_path_factory: pytest.TempPathFactory) -> Generation:
    rng = np.random.default_rng(11)
    lengths = rng.integers(1, 9, USERS)
    rows = [np.sort(rng.choice(ITEMS, n, replace=False)) for n in lengths]
    path = tmp_path_factory.mktemp("generation")
    write_small_generation(
        path,
        "g",
        user_ids=[f"u{n:02d}" for n in range(USERS)],
        item_ids=[f"i{n:02d}" for n in range(ITEMS)],
        user_factors=rng.normal(size=(USERS, FEATURES)).astype(np.float32),
        item_factors=np.round(rng.normal(size=(ITEMS, FEATURES))).astype(np.float32),  # whole numbers: many ties
        user_histories=Csr(
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            np.concatenate(rows).astype(np.int32),
            np.ones(int(lengths.sum())),
        ),
    )
    return Generation.open(path)


def slow_ranking(scores_: list[float], known: set[int], n: int) -> list[int]:
    return sorted((row for row in range(ITEMS) if row not in known), key=lambda row: (-scores_[row], row))[:n]


def slow_popularity(generation: Generation) -> list[float]:
    histories = [set(generation.user_histories.row(row)[0].tolist()) for row in range(USERS)]
    return [float(sum(item in history for history in histories)) for item in range(ITEMS)]


@pytest.mark.parametrize("user", range(USERS))
def test_the_frozen_model_ranks_by_its_own_vectors_without_what_is_known(generation: Generation, user: int) -> None:
    frozen = Frozen(generation)
    x, Y = generation.user_factors[user], generation.item_factors
    dots = [float(sum(np.float64(a) * np.float64(b) for a, b in zip(x, Y[item], strict=True))) for item in range(ITEMS)]
    dots = [float(np.float32(dot)) for dot in dots]
    known = frozen.history(f"u{user:02d}") | {3, 5, ITEMS + 7}
    assert known >= set(generation.user_histories.row(user)[0].tolist())
    got = frozen.best(f"u{user:02d}", known, K).tolist()
    assert [round(dots[item], 4) for item in got] == [round(dots[item], 4) for item in slow_ranking(dots, known, K)]
    assert not known & set(got)


def test_a_stranger_gets_what_is_popular_ties_by_id(generation: Generation) -> None:
    frozen = Frozen(generation)
    assert not frozen.knows("nobody")
    assert frozen.history("nobody") == set()
    for known in (set[int](), {0, 1, 2, 30}, set(range(ITEMS))):
        expected = slow_ranking(slow_popularity(generation), known, K)
        assert frozen.popular(known, K).tolist() == expected
        assert frozen.best("nobody", known, K).tolist() == expected


def test_new_items_get_numbers_of_their_own(generation: Generation) -> None:
    numbers = Numbers(generation)
    assert [numbers.of(item) for item in ("i03", "new", "newer", "new", "i00")] == [3, ITEMS, ITEMS + 1, ITEMS, 0]


class Learner:
    """A service that recommends a list fixed for each user, without the known, and checks what it is asked."""

    def __init__(self, generation: Generation, lists: dict[str, list[str]]) -> None:
        self.lists = lists
        self.known = {
            f"u{n:02d}": {f"i{item:02d}" for item in generation.user_histories.row(n)[0]} for n in range(USERS)
        }
        self.written: dict[str, int] = {}
        self.offset = 100
        self.asked: list[tuple[str, ...]] = []

    def script(self, asked: Asked) -> Reply:
        parts = urlsplit(asked.path)
        what, user, *rest = [unquote(part) for part in parts.path.split("/")[1:]]
        self.asked.append((asked.method, user, *rest))
        if what == "pref":
            self.known.setdefault(user, set()).add(rest[0])
            self.offset += 1
            self.written[user] = self.offset
            return Reply(204, headers={"X-Oryx-Offset": f"0:{self.offset}"})
        assert what == "recommend"
        query = parse_qs(parts.query)
        assert query.get("after") == ([f"0:{self.written[user]}"] if user in self.written else None)
        if user not in self.known:
            return Reply(404, {"detail": f"unknown user {user}"})
        items = [item for item in self.lists.get(user, []) if item not in self.known[user]][: int(query["howMany"][0])]
        return Reply(body=[{"id": item, "value": 1.0} for item in items])


def test_the_replay_is_test_then_train_in_order(generation: Generation) -> None:
    rng = np.random.default_rng(2)
    users = [*(f"u{n:02d}" for n in range(0, USERS, 2)), "new/user", "nobody else"]
    items = [*(f"i{n:02d}" for n in range(ITEMS)), "brand new"]
    lists = {user: list(rng.permutation(items)) for user in users}
    played = [
        Interaction(str(rng.choice(users)), str(rng.choice(items)), float(rng.integers(1, 6)), n) for n in range(150)
    ]
    learner = Learner(generation, lists)
    with scripted(learner.script) as there, Client(there.url) as service:
        outcomes = list(replay(played, service, Frozen(generation), Numbers(generation)))

    # The slow, obvious way, over IDs.
    known = {f"u{n:02d}": {f"i{item:02d}" for item in generation.user_histories.row(n)[0]} for n in range(USERS)}
    trained = set(known)
    popularity = slow_popularity(generation)
    for interaction, outcome in zip(played, outcomes, strict=True):
        user, item = interaction.user, interaction.item
        mine = known.get(user, set())
        if item in mine:
            assert outcome is None
        else:
            rows = {int(other[1:]) for other in mine if other.startswith("i")}
            popular = [f"i{row:02d}" for row in slow_ranking(popularity, rows, K)]
            live = [other for other in lists[user] if other not in mine][:K] if user in known else popular
            assert outcome is not None
            for arm, ranked in ((0, live), (2, popular)):
                place = ranked.index(item) if item in ranked else -1
                assert outcome.hits[arm] == (place >= 0)
                assert outcome.ndcgs[arm] == pytest.approx(1 / math.log2(place + 2) if place >= 0 else 0.0)
            assert outcome.known == (user in trained)
            assert outcome.known or (outcome.hits[1], outcome.ndcgs[1]) == (outcome.hits[2], outcome.ndcgs[2])
        known.setdefault(user, set()).add(item)
    assert [ask for ask in learner.asked if ask[0] == "POST"] == [("POST", i.user, i.item) for i in played]
    tests = [outcome for outcome in outcomes if outcome is not None]
    assert {outcome.known for outcome in tests} == {True, False}
    assert 0 < scores(tests).hit_rate[0] < 1


def test_a_service_that_is_behind_is_asked_again(generation: Generation) -> None:
    answers = iter(
        [Reply(204), Reply(504, {"detail": "not yet"}), Reply(body=[{"id": "i39", "value": 1.0}]), Reply(204)]
    )

    def script(asked: Asked) -> Reply:
        return Reply(404) if len(there.asked) == 1 else next(answers)

    played = [Interaction("new", "i38", 1.0), Interaction("new", "i39", 1.0)]
    with scripted(script) as there, Client(there.url) as service:
        first, second = replay(played, service, Frozen(generation), Numbers(generation))
    assert first is not None
    assert second is not None
    assert second.hits[0] == 1.0


def test_scores_are_means_and_nothing_has_none() -> None:
    outcomes = [
        Outcome(True, (1.0, 0.0, 0.0), (0.5, 0.0, 0.0), 1.0, False),
        Outcome(True, (0.0,) * 3, (0.0,) * 3, 1.0, True),
    ]
    assert (scores(outcomes).cases, scores(outcomes).hit_rate, scores(outcomes).ndcg) == (2, (0.5, 0, 0), (0.25, 0, 0))
    assert scores([]).cases == 0
    assert all(math.isnan(value) for value in (*scores([]).hit_rate, *scores([]).ndcg))
