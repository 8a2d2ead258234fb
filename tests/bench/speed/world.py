"""A seeded, long-tailed generation of any size, trained by nobody, and the interactions that come in after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import FoldSettings
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation, write_generation
from oryx_py.model.generations.manifest import MANIFEST
from oryx_py.numerics.fold_in.batched import fold_in_many
from oryx_py.numerics.fold_in.dense import Prior
from oryx_py.numerics.gram import eigenbasis, gram
from oryx_py.numerics.objective import Objective

__all__ = ["NAME", "OBJECTIVE", "Log", "World", "cached_generation", "draw_log", "lengths_met"]

NAME = "20260101T000000000-00000000"
OBJECTIVE = Objective.mllib_implicit(lambda_=0.01, alpha=10.0)
BLOCK = 50_000
NEW_ITEMS = 0.005
"""Share of the catalogue that comes in anew."""


@dataclass(frozen=True)
class World:
    """How large a generation is: ``pairs`` is the mean of users' histories, whose lengths are log-normal."""

    users: int = 1_000_000
    items: int = 200_000
    pairs: float = 75.0
    features: int = 64
    seed: int = 1
    partitions: int = 4

    @property
    def folder(self) -> str:
        """A name for its files."""
        return f"{self.users}x{self.items}x{self.pairs:g}-{self.features}-{self.seed}-{self.partitions}"

    def activity(self) -> NDArray[np.float64]:
        """float64[users]: how much of the traffic each user has."""
        rng = np.random.default_rng([self.seed, 1])
        weights = rng.lognormal(0.0, 1.0, self.users)
        return weights / weights.sum()

    def chosen_items(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """int64[n]: items by a power law; ranks are spread over the IDs, so that popular ones are no neighbours."""
        ranks = (self.items * rng.random(n) ** 2.5).astype(np.int64)
        return (ranks * 7919 + 17) % self.items if self.items % 7919 else ranks


@dataclass(frozen=True)
class Log:
    """Interactions in the order of sending; ``strengths`` are NaN for a delete, ``keys`` -1 for no idempotency key.

    Users and items from the generation's numbers on are new ones.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    strengths: NDArray[np.float64]
    keys: NDArray[np.int64]

    def records(self) -> Iterator[tuple[bytes, bytes, bytes | None]]:
        """Yield key, value and idempotency key of each."""
        columns = zip(
            self.users.tolist(), self.items.tolist(), self.strengths.tolist(), self.keys.tolist(), strict=True
        )
        for user, item, strength, key in columns:
            text = "" if strength != strength else f"{strength:g}"  # NaN
            id_ = None if key < 0 else b"%d" % key
            yield user_id(user).encode(), f"{user_id(user)},{item_id(item)},{text},1785500000123".encode(), id_


def user_id(user: int) -> str:
    """Return the ID of a user by number; they ascend as the numbers do."""
    return f"u{user:09d}"


def item_id(item: int) -> str:
    """Return the ID of an item by number."""
    return f"item-{item:08d}"


def cached_generation(world: World, cache: Path) -> Path:
    """Return the folder of a committed generation, written now where there is none."""
    folder = cache / world.folder / NAME
    if not (folder / MANIFEST).exists():
        folder.mkdir(parents=True, exist_ok=True)
        write(world, folder)
    return folder


def write(world: World, folder: Path) -> None:
    """Draw histories and item factors, and solve the users' vectors exactly."""
    histories = draw_histories(world)
    rng = np.random.default_rng([world.seed, 2])
    k = world.features
    spectrum = 0.3 / np.sqrt(1.0 + np.arange(k))
    factors = rng.normal(size=(world.items, k)) * spectrum * rng.lognormal(0.0, 0.4, (world.items, 1))
    factors[:, 0] += 0.2
    turned = (factors @ eigenbasis(factors.T @ factors)).astype(np.float32)
    prior = Prior(gram(turned), world.items, "items")
    users = fold_in_many(histories.indptr, histories.indices, histories.strengths, turned, prior, OBJECTIVE, threads=2)
    write_generation(
        folder,
        name=NAME,
        user_ids=[user_id(user) for user in range(world.users)],
        item_ids=[item_id(item) for item in range(world.items)],
        user_factors=users,
        item_factors=turned,
        user_histories=histories,
        objective=OBJECTIVE,
        fold=FoldSettings(feedback="implicit", dedupe_window_s=86_400.0),
        trainer="random",
        created_ms=0,
        as_of_ms=1_785_000_000_000,
        input=dict.fromkeys(range(world.partitions), (0, 0)),
        interactions=histories.pairs,
        rejected=0,
    )


def draw_histories(world: World) -> Csr:
    """Draw each user's items, none twice, ascending; strengths are whole numbers from 1 to 5."""
    activity = world.activity()
    lengths: list[NDArray[np.int64]] = []
    columns: list[NDArray[np.int32]] = []
    for start in range(0, world.users, BLOCK):
        rng = np.random.default_rng([world.seed, 3, start])
        wanted = activity[start : start + BLOCK] * world.users * world.pairs
        counts = np.clip(np.round(wanted), 1, world.items // 4).astype(np.int64)
        rows = np.repeat(np.arange(len(counts)), counts)
        keys = np.unique(rows * world.items + world.chosen_items(rng, len(rows)))
        lengths.append(np.bincount(keys // world.items, minlength=len(counts)))
        columns.append((keys % world.items).astype(np.int32))
    indptr = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
    indices = np.concatenate(columns)
    strengths = np.random.default_rng([world.seed, 4]).integers(1, 6, len(indices)).astype(np.float64)
    return Csr(indptr, indices, strengths)


def draw_log(
    world: World, generation: Generation, count: int, active: int = 0, *, alike: bool = False, keyed: bool = False
) -> Log:
    """Draw interactions: 1 % of new users, 1 % of new items, 1 % deletes, 2 % with a key, of which half are repeats.

    With ``keyed`` all others have a key of their own, too.

    They are of all users, or of so many ``active`` ones, as within some minutes; in both cases by their activity, so
    that long histories are met more often than short ones, or of all ``alike``.
    """
    rng = np.random.default_rng([world.seed, 5])
    activity = np.full(world.users, 1.0 / world.users) if alike else world.activity()
    if active:
        here = rng.choice(world.users, active, replace=False, p=activity)
        users = rng.choice(here, count, p=activity[here] / activity[here].sum())
    else:
        users = rng.choice(world.users, count, p=activity)
    items = world.chosen_items(rng, count)
    strengths = rng.integers(1, 6, count).astype(np.float64)
    keys = np.full(count, -1, np.int64)
    kind = rng.random(count)
    fresh = kind < 0.01
    users[fresh] = world.users + rng.integers(0, max(1, count // 200), fresh.sum())
    new = (kind >= 0.01) & (kind < 0.02)
    catalogue = max(1, int(world.items * NEW_ITEMS))
    items[new] = world.items + (catalogue * rng.random(new.sum()) ** 2).astype(np.int64)
    for at in np.flatnonzero((kind >= 0.02) & (kind < 0.03)):
        known = generation.user_histories.row(int(users[at]))[0]
        items[at], strengths[at] = known[rng.integers(len(known))], np.nan
    some = np.flatnonzero((kind >= 0.03) & (kind < 0.04))
    keys[some] = some
    again = some[some + 100 < count]
    for name in (users, items, strengths, keys):
        name[again + 100] = name[again]
    if keyed:
        keys = np.where(keys < 0, count + np.arange(count), keys)
    return Log(users, items, strengths, keys)


def lengths_met(log: Log, generation: Generation) -> NDArray[np.int64]:
    """int64[n]: the length in the generation of the history that each interaction comes to; 0 of new users."""
    lengths = np.append(np.diff(generation.user_histories.indptr), 0)
    return lengths[np.minimum(log.users, len(generation.users))]
