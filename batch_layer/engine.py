"""What the layer asks of the engine that does the heavy work, and what it gets back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oryx_py.model.csr import Csr
from oryx_py.model.packed_ids import PackedIds

__all__ = ["Cancelled", "Engine", "Ranges", "Trained", "Written"]

Ranges = Mapping[int, tuple[int, int]]
"""By input partition the offsets ``[from, to)``."""


class Cancelled(Exception):
    """`Engine.cancel` ended the work: no error, somebody asked for it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What step (a) read: rows now in files, and records that were left out."""

    rows: int
    rejected: int


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A model, rows in bytewise order of the IDs.

    ``user_factors`` float32[users, features] and ``item_factors`` float32[items, features]; ``histories`` has a row a
    user, indices are item rows. ``as_of_ms`` is the newest Kafka timestamp in the history. ``repeats`` rows were
    ignored for their ID, and ``dedupe_from`` is as in the manifest. ``timings_s`` by step.
    """

    user_ids: PackedIds
    item_ids: PackedIds
    user_factors: NDArray[np.float32]
    item_factors: NDArray[np.float32]
    histories: Csr
    as_of_ms: int
    repeats: int = 0
    dedupe_from: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    timings_s: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """Reads, folds and trains, in one process or on a cluster; one thread may call it, and another `cancel`.

    Results are functions of the log and the files alone: not of the number of tasks, nor of the order in which they
    ran, so that a run that is repeated after a crash does the same again.
    """

    def write_rows(self, ranges: Ranges, partitions: int, into: Path) -> Written:
        """Step (a): write the rows of these offsets as Parquet files into a directory that does not exist yet.

        ``partitions`` is how many the input topic has.

        Raises:
            BrokerUnavailable: the broker went away.
            LogGap: the topic no longer has these offsets.
            Cancelled: by `cancel`.
        """

    def train(self, files: Sequence[Path], rows: int) -> Trained | None:
        """Step (c): fold the ``rows`` rows of these files and train; None where no pair is left.

        Raises:
            Cancelled: by `cancel`.
        """

    def cancel(self) -> None:
        """End what is being done now; nothing happens where nothing is."""

    def close(self) -> None:
        """Free everything; a second call does nothing."""
