"""Makes generations by NumPy: random factors of items, other ones in each, and the exact factors of their users."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from batch_layer.engine import Ranges, Trained, Written
from batch_layer.folding.input_rows import Slice, read_slices
from batch_layer.history.base_generation import Base
from batch_layer.recipe import Recipe
from oryx_py.errors import JobFailed
from oryx_py.events import FoldSettings
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.data_files import write_data
from oryx_py.model.history.commits import History
from oryx_py.numerics.objective import Objective
from tests.simulation.dense import Vector, solved
from tests.simulation.plan import K
from tests.support.batch import local_path, repeats_among, slow_fold, window_starts

if TYPE_CHECKING:
    from tests.simulation.batch import BatchProcess

__all__ = ["Made", "SimEngine"]


@dataclass(frozen=True, slots=True)
class Made:
    """What a generation is made of, for the oracle: its factors as published, in float64."""

    users: Mapping[str, Vector]
    items: Mapping[str, Vector]
    objective: Objective
    fold: FoldSettings
    covers: Mapping[int, int]
    """By input partition, the first offset that it does not cover."""

    @property
    def user_gram(self) -> Vector:
        return _gram(self.users)

    @property
    def item_gram(self) -> Vector:
        return _gram(self.items)


class SimEngine:
    """The engine; fails now and then, as a cluster does."""

    def __init__(self, process: "BatchProcess", recipe: Recipe) -> None:
        self._process, self.recipe = process, recipe
        self._covers: dict[int, int] = {}

    def write_rows(self, ranges: Ranges, partitions: int, into: str) -> Written:
        """Step (a)."""
        process = self._process
        slices = [Slice(partition, start, stop) for partition, (start, stop) in ranges.items()]
        consumer = process.ports.new_consumer()
        topic = process.world.INPUT
        batches = list(read_slices(consumer, topic, partitions, slices, clock=process.world.clock))
        consumer.close()
        folder = local_path(into)
        folder.mkdir(parents=True)
        process.effect("engine writes rows")
        folder.mkdir(exist_ok=True)  # as HDFS does where somebody has swept it
        if not batches:
            return Written(0, 0)
        table = pa.Table.from_batches(batches)
        rejected = table.column("rejected").to_numpy()
        kept = table.filter(pa.array(~rejected)).drop_columns(["rejected"])
        file = folder / "part-0.parquet"
        pq.write_table(kept, file, compression="none")
        process.world.rows[file.as_uri()] = kept.to_pylist()
        return Written(kept.num_rows, int(rejected.sum()))

    def find_base(self, history: History, _fold: FoldSettings) -> None:
        """Note of which history the next generation is, as another run may add to it meanwhile; all rows are read."""
        self._covers = dict(history.offsets)

    def train(
        self, files: Sequence[str], rows: int, into: Path, parent: Path | None, base: Base | None = None
    ) -> Trained | None:
        """Step (c)."""
        process, world, recipe = self._process, self._process.world, self.recipe
        process.effect("engine trains")
        if world.chance(world.plan.give_up):
            raise JobFailed("a simulated executor died")
        told = [row for file in files for row in world.rows[file]]
        assert len(told) == rows
        pairs = slow_fold(told, recipe.fold)
        if not pairs:
            return None
        rng = np.random.default_rng([recipe.seed, zlib.crc32(into.name.encode())])
        items = sorted({item for known in pairs.values() for item in known}, key=str.encode)
        Y = (rng.normal(size=(len(items), K)) * rng.uniform(0.5, 1.5, size=(len(items), 1))).astype(np.float32)
        vectors = {item: Y[row].astype(np.float64) for row, item in enumerate(items)}
        users, gram = sorted(pairs, key=str.encode), _gram(vectors)
        X = np.array([solved(pairs[u], vectors, gram, len(items), recipe.objective) for u in users], np.float32)
        rows_of = {item: row for row, item in enumerate(items)}
        entries = [(u, rows_of[i], s) for u, user in enumerate(users) for i, s in sorted(pairs[user].items())]
        columns = (np.array([entry[n] for entry in entries]) for n in range(3))
        write_data(
            into,
            user_ids=users,
            item_ids=items,
            user_factors=X,
            item_factors=Y,
            user_histories=Csr.from_pairs(*columns, len(users)),
        )
        process.effect("engine has trained")
        process.effect("engine ends")
        world.made[into.name] = Made(
            users={user: X[row].astype(np.float64) for row, user in enumerate(users)},
            items=vectors,
            objective=recipe.objective,
            fold=recipe.fold,
            covers=self._covers,
        )
        return Trained(
            objective=recipe.objective,
            as_of_ms=max(row["kafka_ms"] for row in told),
            repeats=len(repeats_among(told, recipe.fold)),
            dedupe_from=window_starts(told, recipe.fold),
        )

    def sweep(self) -> None:
        """Nothing is left anywhere."""

    def cancel(self) -> None:
        """Nobody asks for it."""

    def close(self) -> None:
        """Nothing is held."""


def _gram(vectors: Mapping[str, Vector]) -> Vector:
    factors = np.array(list(vectors.values()))
    return factors.T @ factors
