"""A seeded world in which tastes drift, people join and things appear: to replay in the order of time.

Each user has a taste, each item a character, unit vectors of ``rank`` numbers; who meets what at a time ``τ`` in [0, 1)
follows from

    P(item | user, τ) ∝ popularity(item, τ) · exp(sharpness · x_u(τ) · z_i)      of the items that have appeared by τ

- ``x_u(τ) = cos(drift · π/2 · τ) a_u + sin(drift · π/2 · τ) b_u``, made a unit vector: with drift 0 tastes stay, with 1
  everybody's taste at the end has nothing to do with that at the beginning;
- ``popularity`` falls by Zipf's law; a share ``new_items`` of the items appears at some time, all others are there
  from the beginning. What has just appeared is ``1 + novelty`` times as popular as later, which wears off within a
  twentieth of the time: the factor is ``1 + novelty · exp(-20 · age)``;
- a share ``newcomers`` of the users joins at some time; after that they act as often as others of their activity,
  which is log-normal;
- what users do comes in sessions: of ``session`` interactions on average, within an hour or so. Then they are silent.
- nobody meets an item twice, but for a share ``repeats`` of the interactions, which are with one met before.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import Interaction

__all__ = ["Cast", "DriftingWorld", "draw_drifting"]

_ZIPF = 0.8
_ACTIVITY = 1.0
_SESSION_MS = 3_600_000
_WEARS_OFF = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftingWorld:
    """What describes a world; see the module for the meaning of the shares.

    ``users``, ``items`` and ``interactions`` are counts; times are epoch milliseconds.

    Raises:
        ValueError: on construction, where a count is below 1 or a share not in [0, 1].
    """

    seed: int = 1
    users: int = 1_000
    items: int = 2_000
    interactions: int = 60_000
    rank: int = 8
    sharpness: float = 8.0
    drift: float = 0.5
    new_items: float = 0.2
    novelty: float = 5.0
    newcomers: float = 0.3
    repeats: float = 0.02
    session: float = 5.0
    start_ms: int = 1_700_000_000_000
    span_ms: int = 90 * 24 * 3_600_000

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        for name in ("users", "items", "interactions", "rank"):
            if getattr(self, name) < 1:
                raise ValueError(f"a world needs at least one of {name}, not {getattr(self, name)}")
        for name in ("drift", "new_items", "newcomers", "repeats"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, not {getattr(self, name)}")


class Cast(NamedTuple):
    """Who and what there is in a world: float64, unit vectors by row, times in [0, 1).

    ``early`` and ``late`` [users, rank] are what tastes move between; ``joins`` [users] is when each begins to act.
    ``kinds`` [items, rank] are the items' characters; ``popularity`` [items]; ``appears`` [items] says since when there
    is each, ``new`` bool[items] whether that is later than the beginning.
    """

    early: NDArray[np.float64]
    late: NDArray[np.float64]
    joins: NDArray[np.float64]
    kinds: NDArray[np.float64]
    popularity: NDArray[np.float64]
    appears: NDArray[np.float64]
    new: NDArray[np.bool_]

    @classmethod
    def of(cls, world: DriftingWorld) -> Self:
        """Draw a world's."""
        rng = np.random.default_rng([world.seed, 0])
        early, late = (_unit(rng.standard_normal((world.users, world.rank))) for _ in range(2))
        newcomer, joins = rng.random(world.users) < world.newcomers, rng.random(world.users)
        new, appears = rng.random(world.items) < world.new_items, rng.random(world.items)
        return cls(
            early=early,
            late=late,
            joins=np.where(newcomer, joins, 0.0),
            kinds=_unit(rng.standard_normal((world.items, world.rank))),
            popularity=np.power(1.0 + rng.permutation(world.items), -_ZIPF),
            appears=np.where(new, appears, 0.0),
            new=new,
        )

    def taste(self, world: DriftingWorld, user: int, moment: float) -> NDArray[np.float64]:
        """Return a user's taste at a time, float64[rank]."""
        angle = world.drift * moment * np.pi / 2
        return _unit(np.cos(angle) * self.early[user] + np.sin(angle) * self.late[user])

    def odds(self, world: DriftingWorld, user: int, moment: float) -> NDArray[np.float64]:
        """Return how much likelier than others a user meets each item at a time, float64[items]."""
        age = moment - self.appears
        fresh = self.new * world.novelty * np.exp(-_WEARS_OFF * np.maximum(age, 0.0))
        liking = np.exp(world.sharpness * (self.kinds @ self.taste(world, user, moment)))
        return np.asarray(self.popularity * (1.0 + fresh) * liking * (age >= 0), np.float64)


def draw_drifting(world: DriftingWorld) -> Iterator[Interaction]:
    """Yield what happens, ascending in time; users are u00000 …, items m00000 …, every strength is 1.

    Equal descriptions give equal worlds. Takes some 60 µs an interaction for 2,000 items. Where a user has met all
    items, an interaction is left out.
    """
    cast, rng = Cast.of(world), np.random.default_rng([world.seed, 1])
    met: list[list[int]] = [[] for _ in range(world.users)]
    for user, moment in zip(*_times(world, cast.joins, rng), strict=True):
        if met[user] and rng.random() < world.repeats:
            item = met[user][rng.integers(len(met[user]))]
        else:
            odds = cast.odds(world, user, moment)
            odds[met[user]] = 0.0
            sums = np.cumsum(odds)
            if not sums[-1]:
                continue
            item = int(min(np.searchsorted(sums, rng.random() * sums[-1], side="right"), world.items - 1))
            met[user].append(item)
        yield Interaction(f"u{user:05d}", f"m{item:05d}", 1.0, world.start_ms + int(moment * world.span_ms))


def _times(world: DriftingWorld, joins: NDArray[np.float64], rng: np.random.Generator) -> tuple[list[int], list[float]]:
    """Who does something and when: ascending in [0, 1)."""
    activity = rng.lognormal(0.0, _ACTIVITY, world.users)
    # Who joins late has less time, and so fewer sessions.
    weights = activity * (1.0 - joins) + 1e-12
    count = max(1, round(world.interactions / world.session))
    users = rng.choice(world.users, count, p=weights / weights.sum())
    begins = joins[users] + rng.random(count) * (1.0 - joins[users])
    of = rng.integers(count, size=world.interactions)
    times = np.minimum(begins[of] + rng.random(world.interactions) * (_SESSION_MS / world.span_ms), np.nextafter(1, 0))
    order = np.argsort(times, kind="stable")
    return users[of][order].tolist(), times[order].tolist()


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0), np.float64)
