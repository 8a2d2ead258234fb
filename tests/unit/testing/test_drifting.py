"""Drifting worlds are what they are drawn to be."""

from typing import Any

import numpy as np
import pytest

from oryx_py.events import Interaction
from oryx_py.testing.drifting import Cast, DriftingWorld, draw_drifting

SMALL: dict[str, Any] = {"users": 40, "items": 120, "interactions": 1_500}


def world(**changes: Any) -> list[Interaction]:
    return list(draw_drifting(DriftingWorld(**{**SMALL, **changes})))


def test_the_same_seed_gives_the_same_world() -> None:
    assert world() == world()
    assert world() != world(seed=2)


def test_time_ascends_from_the_beginning_to_the_end() -> None:
    described = DriftingWorld(**SMALL)
    times = [one.timestamp_ms or 0 for one in draw_drifting(described)]
    assert times == sorted(times)
    assert described.start_ms <= times[0]
    assert times[-1] < described.start_ms + described.span_ms


def test_nobody_meets_a_thing_twice_without_repeats() -> None:
    pairs = [(one.user, one.item) for one in world(repeats=0)]
    assert len(set(pairs)) == len(pairs)


def test_repeats_are_as_many_as_asked_for() -> None:
    pairs = [(one.user, one.item) for one in world(repeats=0.3, items=1_000)]
    assert 1 - len(set(pairs)) / len(pairs) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(("share", "side"), [("new_items", "item"), ("newcomers", "user")])
def test_nothing_and_nobody_is_met_before_its_time(share: str, side: str) -> None:
    described = DriftingWorld(**{**SMALL, share: 0.6})
    cast = Cast.of(described)
    begins = cast.appears if side == "item" else cast.joins
    assert np.mean(begins > 0) == pytest.approx(0.6, abs=0.2)
    for one in draw_drifting(described):
        moment = ((one.timestamp_ms or 0) - described.start_ms + 1) / described.span_ms
        assert begins[int(getattr(one, side)[1:])] <= moment


def test_new_things_are_met_more_often_the_more_novelty_counts() -> None:
    def of_new(novelty: float) -> int:
        described = DriftingWorld(**{**SMALL, "items": 1_000, "novelty": novelty})
        new = Cast.of(described).new
        return sum(bool(new[int(one.item[1:])]) for one in draw_drifting(described))

    assert of_new(20.0) > 1.3 * of_new(0.0)


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_what_users_meet_follows_the_taste_of_that_time(drift: float) -> None:
    """In the last tenth it is near to what they like then; to what they liked first only without drift."""
    described = DriftingWorld(**{**SMALL, "items": 1_000, "drift": drift, "new_items": 0, "newcomers": 0})
    cast = Cast.of(described)
    log = list(draw_drifting(described))
    now, first = [], []
    for one in log[-len(log) // 10 :]:
        user, item = int(one.user[1:]), int(one.item[1:])
        moment = ((one.timestamp_ms or 0) - described.start_ms) / described.span_ms
        now.append(cast.kinds[item] @ cast.taste(described, user, moment))
        first.append(cast.kinds[item] @ cast.early[user])
    assert np.mean(now) > 0.35
    if drift:
        assert abs(np.mean(first)) < 0.2
    else:
        assert np.mean(first) == pytest.approx(np.mean(now))


@pytest.mark.parametrize(("name", "value"), [("users", 0), ("interactions", 0), ("drift", 1.5), ("repeats", -0.1)])
def test_what_cannot_be_drawn_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        DriftingWorld(**{name: value})  # type: ignore[arg-type]
