"""Whatever solves users, the state is the oracle's after every mixture of steps: 20,000 of them in all."""

import numpy as np
import pytest

from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.biases import Biases
from oryx_py.numerics.objective import Objective
from speed_layer.folding.exact_fold import ExactFold
from speed_layer.solving.counting import Tally
from speed_layer.solving.user_solver import UserSolver, _Choice
from tests.property.test_epoch_fold import assert_close, log_of
from tests.support.generations import at_rest, generation_of

K = 6
KINDS = ("rls", "auto", "cg", "dense")
STEPS = 1_000
"""Of each objective and each way: 5 × 4 × 1,000."""
OBJECTIVES = {
    "implicit": Objective.mllib_implicit(lambda_=0.1, alpha=2.0),
    "log": Objective.mllib_implicit(lambda_=0.02, alpha=0.5, log_strength=True, epsilon=0.1),
    "explicit": Objective.mllib_explicit(lambda_=0.2),
    "ials": Objective.ials(alpha0=0.1, lambda_=0.05),
    "biased": Objective.biased_explicit(lambda_=0.2, biases=Biases.last(K, mean=1.5)),
}
USERS = [f"u{number}" for number in range(9)]
OLD_ITEMS = [f"i{number}" for number in range(20)]
NEW_ITEMS = [f"n{number}" for number in range(5)]


def drawn(rng: np.random.Generator) -> list[tuple[str, str, float | None]]:
    """Adds, repeats, changes of sign, deletes; few users come often; forgets are rare."""
    rows: list[tuple[str, str, float | None]] = []
    for _ in range(STEPS):
        user = USERS[min(int(rng.exponential(2.0)), len(USERS) - 1)]
        new = user == USERS[2] or rng.random() < 0.15  # one of them knows new items alone
        item = str(rng.choice(NEW_ITEMS if new else OLD_ITEMS))
        kind = rng.random()
        if kind < 0.004:
            rows.append((user, "", None))
        elif kind < 0.007:
            rows.append(("", item, None))
        elif kind < 0.2:
            rows.append((user, item, None))
        else:
            rows.append((user, item, float(rng.choice([1.0, 2.5, 0.5, -1.0, -3.0, 0.0, 40.0]))))
    return rows


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_way_follows_the_dense_solution(name: str) -> None:
    rng = np.random.default_rng(17)
    objective = OBJECTIVES[name]
    factors = {item: rng.normal(size=K).astype(np.float32) for item in OLD_ITEMS}
    if objective.biases is not None:
        for vector in factors.values():
            vector[objective.biases.user] = 1
    base = {user: {str(rng.choice(OLD_ITEMS)): 1.0 for _ in range(4)} for user in USERS[3:6]}
    generation = generation_of(base, factors, objective, dict.fromkeys(range(2), (0, 0)))
    tallies = {kind: Tally() for kind in KINDS}

    def fold_by(kind: str) -> ExactFold:
        def new_solver(factors: np.ndarray, prior: object, objective: Objective) -> UserSolver:
            # Three systems, so that some have to go.
            return UserSolver(factors, prior, objective, kind, 3 * 1_900, tallies[kind])  # type: ignore[arg-type]

        return ExactFold(ModelState(generation, epoch=7), 2, new_solver)

    folds = {kind: fold_by(kind) for kind in KINDS}
    auto = folds["auto"].solver
    auto._credit = np.full(64, 1e9, np.float32)  # short histories would never have paid for a system

    def now_this_way_now_the_other(users: np.ndarray, pairs: np.ndarray) -> _Choice:
        some = pairs % 3 > 0
        return _Choice(some, some, np.full(len(users), 2.0))

    auto._choose = now_this_way_now_the_other  # type: ignore[method-assign]
    log = log_of(drawn(rng))
    pending, checks = 0, 0
    for at, (partition, offset, interaction) in enumerate(log):
        for fold in folds.values():
            fold.add(interaction, partition, offset)
        pending -= 1
        if pending <= 0:
            pending = int(rng.integers(1, 4))
            for fold in folds.values():
                fold.flush()
            if at % 40 < 2:
                expected, checks = at_rest(generation, base, log[: at + 1], 2), checks + 1
                for kind, fold in folds.items():
                    for names, space, vector_of, wanted in (
                        (USERS, fold.state.users, fold.state.user_vector, expected.users),
                        (OLD_ITEMS + NEW_ITEMS, fold.state.items, fold.state.item_vector, expected.items),
                    ):
                        for each in names:
                            handle = space.find(each)
                            found = vector_of(handle) if handle >= 0 else None
                            assert_close(found, wanted.get(each), f"{kind}: {each} at {at}")
    assert checks > 15
    rls = tallies["rls"]
    assert rls.hits > 300
    assert rls.misses > 50  # evictions, forgets, and what had to be built again
    assert tallies["auto"].solves["rls"] > 100
    assert tallies["auto"].solves["cg"] + tallies["auto"].solves["dense"] > 100
    assert "rls" not in tallies["cg"].solves
    assert set(tallies["dense"].solves) == {"dense"}


def test_of_who_is_forgotten_no_system_is_kept() -> None:
    """It has his whole history; who comes back begins with none, and is not solved by taking the old one out of it."""
    factors = {item: np.random.default_rng(1).normal(size=K).astype(np.float32) for item in OLD_ITEMS}
    base = {user: dict.fromkeys(OLD_ITEMS, 1.0) for user in USERS[:2]}
    generation = generation_of(base, factors, OBJECTIVES["implicit"], dict.fromkeys(range(2), (0, 0)))
    fold = ExactFold(ModelState(generation, epoch=1), 2, lambda *how: UserSolver(*how, "rls"))
    kept = fold.solver._kept
    assert kept is not None
    log = log_of([(user, "i0", 2.0) for user in USERS[:2]] + [(USERS[0], "", None)])
    for number, (partition, offset, interaction) in enumerate(log):
        fold.add(interaction, partition, offset)
        fold.flush()
        assert len(kept) == [1, 2, 1][number]
    assert not kept.has(np.array([fold.state.users.find(USERS[0])]))[0]
