"""The batch benchmark measures what it says: what is held out, how lists are scored, what is claimed."""

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from oryx_py.errors import UserError
from oryx_py.numerics.ranking.metrics import ndcg
from oryx_py.testing.long_tail import LongTail, draw
from tests.bench.batch.report import judged, table
from tests.bench.batch.samples import WORLDS, Sample, load_sample, movielens, world_sample
from tests.bench.batch.scoring import difference, gains_of, ndcg_of
from tests.bench.batch.tuning import GRIDS, found_before, grid
from tests.bench.batch.watching import Watch

WORLD = LongTail(users=200, items=60, interactions=1500, test_users=50)


def pairs_of(sample: Sample) -> set[tuple[int, int]]:
    return {(user, item) for user in range(sample.users) for item in sample.train.row(user)[0].tolist()}


def targets_of(sample: Sample) -> set[tuple[int, int]]:
    rows = enumerate(sample.tested.tolist())
    return {(user, item) for row, user in rows for item in sample.targets.row(row)[0].tolist()}


def test_what_is_held_out_is_never_trained_on_and_validation_is_within_what_is_trained_on() -> None:
    final, validation = world_sample(WORLD)
    rows = draw(WORLD)
    everything = set(zip(rows.users.tolist(), rows.items.tolist(), strict=True))
    assert pairs_of(final) | targets_of(final) == everything
    assert not pairs_of(final) & targets_of(final)
    assert pairs_of(validation) | targets_of(validation) == pairs_of(final)
    assert not pairs_of(validation) & targets_of(validation)
    assert len(targets_of(final)) == int(rows.held.sum())
    assert len(targets_of(validation)) > 20


def test_a_saved_sample_is_the_same_when_it_is_mapped(tmp_path: Path) -> None:
    final, _ = world_sample(WORLD)
    final.save(tmp_path / "sample")
    found = load_sample(tmp_path / "sample")
    assert pairs_of(found) == pairs_of(final)
    assert targets_of(found) == targets_of(final)
    assert found.items == final.items


def test_movielens_holds_out_each_users_last_ratings(tmp_path: Path) -> None:
    lines = [f"{user}\t{item}\t{1 + item % 5}\t{1000 - item}" for user in (7, 3) for item in range(10, 21)]
    (tmp_path / "u.data").write_text("\n".join(lines))
    final, _ = movielens(tmp_path / "u.data")
    assert (final.users, final.items, final.train.pairs) == (2, 11, 18)
    assert targets_of(final) == {(user, item) for user in (0, 1) for item in (0, 1)}, "the lowest have the last times"
    with pytest.raises(UserError, match="--data"):
        movielens(tmp_path / "not there")


def test_lists_are_scored_as_the_metrics_say() -> None:
    final, _ = world_sample(WORLD)
    rng = np.random.default_rng(3)
    users, items = (rng.standard_normal((n, 4)).astype(np.float32) for n in (final.users, final.items))
    wanted = []
    for row, user in enumerate(final.tested.tolist()):
        scores = items @ users[user]
        known = set(final.train.row(user)[0].tolist())
        ranked = [item for item in np.argsort(-scores, kind="stable").tolist() if item not in known]
        wanted.append(ndcg(np.array(ranked), final.targets.row(row)[0].astype(np.int64), 10))
    assert gains_of(final, users, items) == pytest.approx(wanted)
    assert ndcg_of(final, users, items) == pytest.approx(np.mean(wanted))


def test_users_are_compared_with_themselves() -> None:
    rng = np.random.default_rng(4)
    theirs = rng.random(400)
    ours = theirs + 0.01 + 0.01 * rng.standard_normal(400)
    mean, within = difference(ours, theirs)
    assert mean == pytest.approx((ours - theirs).mean())
    assert within.low < mean < within.high
    assert within.high - within.low == pytest.approx(2 * 1.96 * 0.01 / 20, rel=0.2), "not the spread of the users"
    assert difference(theirs, theirs) == (0.0, (0.0, 0.0))


def test_every_trainer_has_as_many_settings_to_choose_from() -> None:
    settings = {name: [tuple(each.items()) for each in grid(name)] for name in GRIDS}
    assert {len(set(each)) for each in settings.values()} == {24}
    for name in GRIDS:
        found, how = found_before(name, "ml100k", 64)
        assert how == "on the validation sample of ml100k"
        assert tuple({**found, "epochs": 8.0}.items()) in settings[name]


def test_what_is_carried_over_to_more_items_regularises_as_much() -> None:
    def strength(world: str) -> float:
        size, (found, _) = WORLDS[world], found_before("oryx", world, 64)
        return found["lambda_"] * (size.interactions / size.users + found["alpha0"] * size.items)

    assert [strength(world) for world in ("8.1m", "20m")] == pytest.approx([strength("810k")] * 2, rel=0.05)


def row(seconds: float, score: float, *, cut_short: bool = False) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "seconds_rounds": [seconds],
        "cpu_s": seconds,
        "epochs": 10,
        "s_an_epoch": seconds / 10,
        "ndcg_at_10": score,
        "peak_mib": 1,
        "hyperparameters": {},
        "found": "",
        "cut_short": cut_short,
    }


def test_claims_hold_or_fail_by_the_figures() -> None:
    small = {"64": {"oryx": row(4, 0.1), "mllib": row(30, 0.09), "implicit": row(4, 0.11)}}
    large = {"64": {"oryx": row(60, 0.1)}}
    worlds = {"810k": {"features": small}, "8.1m": {"features": large}}
    found = {claim["claim"]: (claim["found"], claim["holds"]) for claim in judged(worlds)}
    assert found == {
        "810k d=64: nDCG@10 over that of mllib": (1.111, True),
        "810k d=64: times faster than mllib": (7.5, True),
        "810k d=64: nDCG@10 over that of implicit": (0.909, False),
        "810k d=64: time over that of implicit": (1.0, True),
        "d=64: an epoch of 8.1m over one of 810k": (15.0, False),
    }
    facts = {"pairs": 1, "users": 1, "items": 1, "tested_users": 1, "popularity_ndcg": 0.1, "prepare_s": {}}
    shown = {name: {**facts, **world} for name, world in worlds.items()}
    text = table({"machine": {}, "sessions_s": {}, "algebra": {}, "worlds": shown, "claims": judged(worlds)})
    assert "FAILS  d=64: an epoch of 8.1m over one of 810k: 15.0 (wanted: 11.0)" in text


def test_nothing_is_said_of_the_quality_of_what_was_cut_short() -> None:
    slow = {"256": {"oryx": row(4, 0.1), "mllib": row(50, 0.01, cut_short=True)}}
    (claim,) = judged({"810k": {"features": slow}})
    assert claim["claim"] == "810k d=256: times faster than mllib with 10 epochs"
    assert claim["holds"]


def test_time_and_memory_of_all_that_works_are_watched() -> None:
    with Watch(psutil.Process()) as watch:
        block = np.ones(30_000_000)
        while block.sum() and watch.peak_bytes < watch.before_bytes + 150e6:
            pass
    assert watch.cpu_s > 0.02
    assert max(watch.peaks.values()) <= watch.peak_bytes
