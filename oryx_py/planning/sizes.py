"""How large a model is, and on what it is made."""

from dataclasses import dataclass
from typing import Literal

from oryx_py.errors import UserError
from oryx_py.planning.constants import MEASURED

__all__ = ["SPARE", "Machines", "ModelSize"]

SPARE = 0.9
"""Share of a machine's memory that is for this: the rest is the system's."""

_MOST_ROWS = (1 << 31) - 1
"""Of a side: histories name the other side's rows by int32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """What is trained.

    ``interactions`` are rows of the history, ``keyed`` if each has an idempotency key, ``pairs`` what they fold to,
    ``epochs`` of training.

    Raises:
        UserError: on construction, where there cannot be such a model.
    """

    users: int
    items: int
    interactions: int
    features: int
    pairs: int
    epochs: int = 15
    id_bytes: float = MEASURED.id_bytes
    keyed: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in ("users", "items", "interactions", "features", "pairs", "epochs"):
            if getattr(self, name) < 1:
                raise UserError(f"a plan needs at least 1 of {name}, not {getattr(self, name)}")
        if max(self.users, self.items) > _MOST_ROWS:
            raise UserError(f"{max(self.users, self.items):,} are more than row numbers have room for (2^31)")
        if self.pairs > (most := self.users * self.items):
            raise UserError(f"{self.users:,} users and {self.items:,} items make {most:,} pairs, not {self.pairs:,}")
        if self.pairs > self.interactions:
            raise UserError(f"{self.interactions:,} interactions fold to at most as many pairs, not {self.pairs:,}")

    @property
    def rows(self) -> int:
        """Rows of factors."""
        return self.users + self.items

    @property
    def factor_bytes(self) -> int:
        """Of both sides' factors in float32."""
        return 4 * self.rows * self.features

    @property
    def history_bytes(self) -> int:
        """Of the histories by users and by items: an index and a strength a pair, an offset a row."""
        return 2 * 12 * self.pairs + 8 * (self.rows + 2)

    @property
    def ids_bytes(self) -> int:
        """Of both tables of IDs: text, offset, hash, row."""
        return round(self.rows * (self.id_bytes + 8 + 8 + 4))

    @property
    def artefact_bytes(self) -> int:
        """Of a generation: factors, Gram matrices, histories, IDs."""
        return self.factor_bytes + 2 * 8 * self.features**2 + self.history_bytes + self.ids_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """``count`` machines, each with so many cores and bytes of memory; ``disk`` bytes free, None where unknown.

    ``training`` and ``task_memory`` are the settings `batch.training_tasks` and `batch.task_memory_bytes`.
    """

    cores: int
    memory: int
    count: int = 1
    disk: int | None = None
    training: Literal["auto", "one", "many", "blocks"] = "auto"
    task_memory: int = 0

    @property
    def free(self) -> int:
        """Of a machine's memory, what is there for tasks: not the system's tenth, nor Spark's JVM."""
        return max(0, round(self.memory * SPARE - MEASURED.jvm_bytes))
