"""What is trained on, and what is held out: worlds and MovieLens, prepared once as compressed matrices in files."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import UserError
from oryx_py.model.generations.csr import Csr
from oryx_py.testing.long_tail import LongTail, draw

__all__ = ["WORLDS", "Sample", "load_sample", "movielens", "random_fifth", "world_sample"]

WORLDS: Final = {
    "tiny": LongTail(users=1500, items=800, interactions=40_000, test_users=500),
    "810k": LongTail(users=30_000, items=41_000, interactions=810_000),
    "8.1m": LongTail(users=300_000, items=410_000, interactions=8_100_000, test_users=5_000),
    "20m": LongTail(users=400_000, items=100_000, interactions=20_000_000, test_users=5_000),
}
"""By name; "8.1m" is "810k" with everything ten times."""

HELD: Final = 5
"""One in five of a tested user's interactions is held out, the last ones."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Pairs to train on, by users, and of some users (ascending) the items that follow.

    A validation sample is made of a sample's own pairs, so that hyperparameters never see what is held out.
    """

    train: Csr
    items: int
    tested: NDArray[np.int64]
    targets: Csr

    @property
    def users(self) -> int:
        """How many users there are."""
        return len(self.train)

    def save(self, folder: Path) -> None:
        """Write the arrays as files that others map."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, rows in (("train", self.train), ("targets", self.targets)):
            for part in ("indptr", "indices", "strengths"):
                np.save(folder / f"{name}.{part}.npy", getattr(rows, part))
        np.save(folder / "tested.npy", self.tested)
        np.save(folder / "items.npy", np.int64(self.items))


def load_sample(folder: Path) -> Sample:
    """Map what `Sample.save` wrote."""

    def rows(name: str) -> Csr:
        parts = (np.load(folder / f"{name}.{part}.npy", mmap_mode="r") for part in ("indptr", "indices", "strengths"))
        return Csr(*parts)

    items = int(np.load(folder / "items.npy"))
    return Sample(rows("train"), items, np.load(folder / "tested.npy"), rows("targets"))


def world_sample(world: LongTail) -> tuple[Sample, Sample]:
    """Draw a world; returns what it is measured by, and a validation sample within that."""
    rows = draw(world)
    return _both(
        world.users,
        world.items,
        (rows.users, rows.items, rows.strengths),
        rows.held,
        world.is_test_user(np.arange(world.users)),
    )


def movielens(file: Path) -> tuple[Sample, Sample]:
    """Read ``u.data``; of each user the last fifth by time is held out. Ratings are strengths of implicit feedback."""
    try:
        table = np.loadtxt(file, dtype=np.int64)
    except OSError as error:
        raise UserError(f"{file}: give MovieLens' ml-100k/u.data with --data") from error
    _, users = np.unique(table[:, 0], return_inverse=True)
    _, items = np.unique(table[:, 1], return_inverse=True)
    order = np.lexsort((items, table[:, 3], users))
    users, items, strengths = users[order], items[order], table[order, 2]
    held = _last(users, np.ones(users[-1] + 1, bool))
    every = np.ones(users[-1] + 1, bool)
    return _both(int(users[-1]) + 1, int(items.max()) + 1, (users, items, strengths), held, every)


def random_fifth(users: NDArray[np.int64], items: NDArray[np.int64], strengths: NDArray[np.int64], seed: int) -> Sample:
    """Hold out a random fifth of what each user has. Parallel arrays of pairs, each once; IDs are any numbers."""
    known, users = np.unique(users, return_inverse=True)
    kinds, items = np.unique(items, return_inverse=True)
    order = np.lexsort((np.random.default_rng(seed).random(len(users)), users))
    columns = [column[order] for column in (users, items, strengths)]
    held = _last(columns[0], np.ones(len(known), bool))
    return _sample(len(known), len(kinds), [c[~held] for c in columns], [c[held] for c in columns])


def _both(
    users: int, items: int, rows: tuple[NDArray[Any], ...], held: NDArray[np.bool_], tested: NDArray[np.bool_]
) -> tuple[Sample, Sample]:
    """Rows lie by users and time."""
    within = [column[~held] for column in rows]
    final = _sample(users, items, within, [column[held] for column in rows])
    aside = _last(within[0], tested)
    return final, _sample(users, items, [c[~aside] for c in within], [c[aside] for c in within])


def _last(users: NDArray[np.int64], tested: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark the last fifth of each tested user's rows."""
    n = np.bincount(users, minlength=len(tested))
    place = np.arange(len(users)) - np.repeat(np.cumsum(n) - n, n)
    kept = np.where(tested, n - n // HELD, n)
    return np.asarray(place >= np.repeat(kept, n))


def _sample(users: int, items: int, train: list[NDArray[Any]], held: list[NDArray[Any]]) -> Sample:
    tested, row = np.unique(held[0], return_inverse=True)
    return Sample(
        train=_compressed(train[0], train[1], train[2], users),
        items=items,
        tested=tested.astype(np.int64),
        targets=_compressed(row, held[1], held[2], len(tested)),
    )


def _compressed(rows: NDArray[Any], columns: NDArray[Any], strengths: NDArray[Any], count: int) -> Csr:
    order = np.lexsort((columns, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=count))]).astype(np.int64)
    return Csr(indptr, columns[order].astype(np.int32), strengths[order].astype(np.float64))


Reader = Callable[[], tuple[Sample, Sample]]
