"""What the layer asks of the engine that does the heavy work, and what it gets back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from batch_layer.history.base_generation import Base
from oryx_py.numerics.objective import Objective

__all__ = ["Cancelled", "Engine", "Ranges", "Rewritten", "Trained", "Written"]

Ranges = Mapping[int, tuple[int, int]]
"""By input partition the offsets ``[from, to)``."""


class Cancelled(Exception):
    """`Engine.cancel` ended the work: no error, somebody asked for it."""


@dataclass(frozen=True, slots=True)
class Written:
    """What step (a) read: rows now in files, and records that were left out."""

    rows: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Rewritten:
    """Files that had something forgotten, by their URIs, the rows in them, and those in the files in their place."""

    replaced: Sequence[str] = ()
    read: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What the manifest says of a model whose files lie in the staged directory.

    ``objective`` has all its constants, those too that follow from the data; ``epochs`` were swept. ``as_of_ms`` is the
    newest Kafka timestamp in the history. ``repeats`` rows were ignored for their ID, and ``dedupe_from`` is as in the
    manifest. ``metrics`` each name their protocol. ``seconds`` and ``bytes`` written by step.
    """

    objective: Objective
    as_of_ms: int
    epochs: int = 0
    repeats: int = 0
    dedupe_from: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    bytes: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """Reads, folds and trains, in one process or on a cluster; one thread may call it, and another `cancel`.

    Results are functions of the log and the files alone: not of the number of tasks, nor of the order in which they
    ran, so that a run that is repeated after a crash does the same again.
    """

    def write_rows(self, ranges: Ranges, partitions: int, into: str) -> Written:
        """Step (a): write the rows of these offsets as Parquet files into a directory that does not exist yet.

        ``partitions`` is how many the input topic has, ``into`` a URI.

        Raises:
            BrokerUnavailable: the broker went away.
            LogGap: the topic no longer has these offsets.
            Cancelled: by `cancel`.
        """

    def find_forgets(
        self, told: Sequence[str], keyed: Sequence[str], starts: Mapping[int, tuple[int, int]]
    ) -> pa.Table:
        """Return by partition the newest forget of each user and item that repeats no other row; `Forgets.COLUMNS`.

        Args:
            told: URIs of files; the forgets.
            keyed: files with all rows that these may repeat, themselves among them.
            starts: by partition from where rows of ``keyed`` are looked at, and the clock before; all where it is
                not among these.

        Raises:
            Cancelled: by `cancel`.
        """

    def rewrite(self, files: Mapping[str, int], forgets: pa.Table, into: str) -> Rewritten:
        """Write what is left of the files that have something forgotten.

        Files are Parquet, below ``group=<number>/`` of a directory that does not exist yet, and of one day of arrival
        each; nothing need be there where no row is left.

        Args:
            files: by URI the number of its group.
            forgets: what `find_forgets` returned.
            into: the directory's URI.

        Raises:
            Cancelled: by `cancel`.
        """

    def merge(self, files: Mapping[str, int], rows: int, into: str, most: int) -> None:
        """Write the rows of the files of each group together, by partition and offset, in as few files as there may be.

        Files are as those of `rewrite`.

        Args:
            files: by URI the number of its group, whose rows all arrived on one day.
            rows: how many all of them have.
            into: the directory's URI.
            most: how many rows a file may have.

        Raises:
            Cancelled: by `cancel`.
        """

    def train(
        self, files: Sequence[str], rows: int, into: Path, parent: Path | None, base: Base | None = None
    ) -> Trained | None:
        """Step (c): fold the ``rows`` rows of these files and train; None where no pair is left.

        Args:
            files: URIs.
            rows: how many all of them have.
            into: an empty directory; gets every file of a generation but the index and the manifest. Rubbish where
                this raises or returns None.
            parent: the generation to begin from, None for a cold start.
            base: a generation whose pairs suffice in the place of most files; what comes out is the same.

        Raises:
            Cancelled: by `cancel`.
        """

    def sweep(self) -> None:
        """Remove what a process before this one left in the working directory."""

    def cancel(self) -> None:
        """End what is being done now; nothing happens where nothing is."""

    def close(self) -> None:
        """Free everything; a second call does nothing."""
