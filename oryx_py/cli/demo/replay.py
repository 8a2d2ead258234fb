"""Prequential evaluation: each interaction is first a test, then a lesson (``GET /recommend``, ``POST /pref``).

For each interaction, in the order of time:

1. wait until the service has the user's previous one (``after=``), and take the user's ten best;
2. ask the other arms for theirs;
3. note at which place, if at any, the item stands in each;
4. post the interaction.

An item that the user knows already is no test, only a lesson: no arm recommends it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oryx_py.cli.demo.arms import Frozen, Numbers
from oryx_py.client import Client, NotFound, Written
from oryx_py.events import Interaction
from oryx_py.numerics.ranking.metrics import hit_rate, ndcg

__all__ = ["ARMS", "K", "Outcome", "Score", "replay", "scores"]

K = 10

ARMS = ("speed layer on", "speed layer off", "popularity alone")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One test: whether the user was in the training, and by arm (`ARMS`) hit and nDCG at ten.

    ``read_ms`` is the time of the ranked list, the wait for the previous interaction included; ``waited`` says whether
    there was one.
    """

    known: bool
    hits: tuple[float, ...]
    ndcgs: tuple[float, ...]
    read_ms: float
    waited: bool


@dataclass(frozen=True, slots=True)
class Score:
    """Means over ``cases`` tests, by arm; NaN where there is none."""

    cases: int
    hit_rate: tuple[float, ...]
    ndcg: tuple[float, ...]


def replay(
    interactions: Iterable[Interaction],
    service: Client,
    frozen: Frozen,
    numbers: Numbers,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Outcome | None]:
    """Yield the outcome of each interaction, None for one that is no test.

    Raises:
        OryxError: the service does not answer as it should.
    """
    known: dict[str, set[int]] = {}
    written: dict[str, Written] = {}
    for interaction in interactions:
        user, target = interaction.user, numbers.of(interaction.item)
        items = known.setdefault(user, frozen.history(user))
        outcome = None
        if target not in items:
            started = clock()
            live = _live(service, user, written.get(user), numbers)
            read_ms = (clock() - started) * 1000
            # A stranger to the service is answered as its client would: with what is popular.
            popular = frozen.popular(items, K)
            ranked = (popular if live is None else live, frozen.best(user, items, K), popular)
            outcome = _judged(ranked, target, frozen.knows(user), read_ms, user in written)
        written[user] = service.pref(user, interaction.item, interaction.strength or 0.0)
        items.add(target)
        yield outcome


def scores(outcomes: Sequence[Outcome]) -> Score:
    """Return the means over these outcomes."""
    if not outcomes:
        nothing = (float("nan"),) * len(ARMS)
        return Score(0, nothing, nothing)
    hits = np.array([outcome.hits for outcome in outcomes]).mean(axis=0)
    gains = np.array([outcome.ndcgs for outcome in outcomes]).mean(axis=0)
    return Score(len(outcomes), tuple(hits.tolist()), tuple(gains.tolist()))


def _live(service: Client, user: str, after: Written | None, numbers: Numbers) -> NDArray[np.int64] | None:
    """Return the service's list; None for a user who is a stranger to it."""
    try:
        items = service.recommend(user, K, after=after)
    except NotFound:
        return None
    return np.array([numbers.of(item.id) for item in items], np.int64)


def _judged(ranked: Sequence[NDArray[np.int64]], target: int, known: bool, read_ms: float, waited: bool) -> Outcome:
    targets = np.array([target], np.int64)
    return Outcome(
        known=known,
        hits=tuple(hit_rate(items, targets, K) for items in ranked),
        ndcgs=tuple(ndcg(items, targets, K) for items in ranked),
        read_ms=read_ms,
        waited=waited,
    )
