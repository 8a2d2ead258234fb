"""The replay's benchmark judges what it claims to judge."""

import json
import sys

import numpy as np
import pytest

from oryx_py.cli.evaluate.figures import Figures, Recovered
from oryx_py.cli.evaluate.replay import Outcomes, Replay
from oryx_py.cli.evaluate.training import Trainer
from oryx_py.numerics.ranking.resampling import Interval
from oryx_py.testing.drifting import DriftingWorld
from tests.bench import prequential
from tests.bench.prequential_ablations import NAMES, changed_arms, pooled
from tests.support.prequential import log_of, random_rows, recipe

SURE = Interval(0.5, 1.5)


def test_a_share_below_nine_tenths_of_all_cases_fails() -> None:
    shares = [
        Recovered("all", "ndcg@10", "speed", 0.89, SURE),
        Recovered("all", "hit_rate@10", "speed", 0.91, SURE),
        Recovered("known users", "hit_rate@10", "speed", 0.7, SURE),
        Recovered("all", "ndcg@10", "oryx", 0.1, SURE),
        Recovered("new items", "ndcg@10", "speed", 0.1, SURE),
    ]
    judged = prequential.claims("w", Figures({}, [], [], shares))
    assert [(claim["holds"], claim["judged"]) for claim in judged] == [(False, True), (True, True), (False, False)]


def test_it_prints_what_was_found_with_the_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = DriftingWorld(users=30, items=60, interactions=500)
    monkeypatch.setattr(prequential, "DriftingWorld", lambda seed: small)
    monkeypatch.setattr(sys, "argv", ["prequential", "--json", "--model", '{"features": 3}', "--retrain-every", "40"])
    with pytest.raises(SystemExit) as ended:
        prequential.main()
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"machine", "replays", "claims"}
    world = told["replays"]["drifting world"]
    assert world["recipe"]["features"] == 3
    assert {one["group"] for one in world["against_oryx"]} >= {"all", "known users"}
    assert ended.value.code == (not all(claim["holds"] for claim in told["claims"] if claim["judged"]))


def test_every_changed_rule_changes_ranks_and_the_unchanged_ones_are_the_products() -> None:
    rows = random_rows(np.random.default_rng(3), 260, users=10, items=16, late=4, deletes=0.0)
    trainer = Trainer(recipe("ials"))
    changed = Replay(log_of(rows), 120, trainer, NAMES, every=60, make=changed_arms).run()  # type: ignore[arg-type]
    plain = Replay(log_of(rows), 120, trainer, ("none", "retrain", "speed"), every=60).run()
    assert (changed.ranks[:3] == plain.ranks).all()
    speed = changed.ranks[NAMES.index("speed")]
    for name, ranks in zip(NAMES, changed.ranks, strict=True):
        assert (name == "speed") == bool((ranks == speed).all()), name


def test_pooled_seeds_keep_their_users_apart() -> None:
    ranks = np.ones((len(NAMES), 4), np.int64)
    ranks[NAMES.index("none")] = 0
    one = Outcomes(NAMES, np.arange(4), np.array([0, 0, 1, 1]), ranks, np.ones(4, bool), np.ones(4, bool))  # type: ignore[arg-type]
    rows = pooled([one, one], 1)
    speed = next(row for row in rows if (row["group"], row["metric"], row["arm"]) == ("all", "ndcg@10", "speed"))
    assert (speed["mean"], speed["share"], speed["over_speed"]) == (1.0, 1.0, 0.0)
