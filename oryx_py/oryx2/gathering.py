"""An Oryx 2 model while it is put together: the IDs that it announced, and the vectors and known items that came."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oryx_py.errors import BadMessage
from oryx_py.events.fold import FoldSettings
from oryx_py.messages import ItemVector, Update, UserVector
from oryx_py.model.generations.csr import Csr
from oryx_py.model.generations.generation import Generation
from oryx_py.model.generations.manifest import Counts, Manifest
from oryx_py.model.ids.id_table import IdTable
from oryx_py.model.state.model_state import ModelState
from oryx_py.numerics.gram import gram
from oryx_py.oryx2.pmml import AlsPmml
from oryx_py.oryx2.rows import Rows

__all__ = ["TRAINER", "Gathered", "Gathering"]

TRAINER = "oryx2"
"""What stands as the trainer in the manifest of such a model: it has no histories, and covers no input."""

Handles = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A model put together: a generation in memory, and what it has no row for.

    ``loose``: by user, known items where the user or the item has no vector.
    """

    generation: Generation
    loose: dict[str, list[str]]

    def state(self, epoch: int, update_partitions: int) -> ModelState:
        """Return what an epoch begins with."""
        state = ModelState(self.generation, epoch, update_partitions)
        for user, items in self.loose.items():
            handle = state.users.intern(user)
            for item in items:
                state.histories.put(handle, state.items.intern(item), 1.0)
        return state


class Gathering:
    """Takes rows and updates in the order in which they come; a later vector replaces an earlier one.

    Owned by one thread. The vectors stand in matrices and the known items in arrays, so that a model of millions costs
    no Python object for each number or pair.

    Args:
        model: what the PMML says.
    """

    def __init__(self, model: AlsPmml) -> None:
        self._objective = model.objective
        self._features = model.features
        self.users = Rows(model.user_ids, model.features)
        self.items = Rows(model.item_ids, model.features)
        self._known_users = array("q")
        self._known_items = array("q")

    @property
    def fraction(self) -> float:
        """How many of the users and items that were announced have a vector, 0 … 1; as Oryx counts, both together."""
        return _share(self.users.loaded + self.items.loaded, self.users.announced + self.items.announced)

    @property
    def told(self) -> int:
        """How many of them an update has told something of, if only what a file had said before."""
        return self.users.told + self.items.told

    @property
    def told_fraction(self) -> float:
        """How many of all that were announced an update has told something of, 0 … 1."""
        return _share(self.told, self.users.announced + self.items.announced)

    def apply(self, update: Update) -> None:
        """Take an ``UP`` of a vector; known items add up, and have strength 1. Anything else changes nothing.

        Raises:
            BadMessage: the vector's length is not the model's; nothing has changed.
        """
        match update:
            case UserVector():
                self._check(update.vector)
                user = self.users.tell(update.user, update.vector)
                items = [self.items.intern(item) for item in update.items]
                self._known_users.extend([user] * len(items))
                self._known_items.extend(items)
            case ItemVector():
                self._check(update.vector)
                self.items.tell(update.item, update.vector)
            case _:
                pass

    def know(self, user: str, items: Iterable[str]) -> None:
        """Take items as known to a user, of whom no update has said so; none that the model does not name."""
        handle = self.users.announced_handle(user)
        handles = [found for item in items if (found := self.items.announced_handle(item)) >= 0]
        if handle >= 0:
            self._known_users.extend([handle] * len(handles))
            self._known_items.extend(handles)

    def finish(self, name: str, created_ms: int) -> Gathered:
        """Return the model of what has come so far.

        Args:
            name: of the generation.
            created_ms: when Oryx published it.
        """
        users, items = self.users.sorted(), self.items.sorted()
        pairs = _unique_pairs(self._known_users, self._known_items, max(len(self.items.names), 1))
        rows = np.column_stack([users.row_of[pairs[:, 0]], items.row_of[pairs[:, 1]]])
        inside = (rows >= 0).all(axis=1)
        histories = Csr.from_pairs(
            rows[inside, 0], rows[inside, 1], np.ones(int(inside.sum()), np.float64), len(users.names)
        )
        item_histories = histories.transposed(len(items.names))
        generation = Generation(
            path=Path(name),
            name=name,
            manifest=self._manifest(
                name, created_ms, Counts(len(users.names), len(items.names), histories.pairs, 0, 0)
            ),
            users=IdTable.of(users.names),
            items=IdTable.of(items.names),
            user_factors=users.vectors,
            item_factors=items.vectors,
            # Transposed twice, every row ascends.
            user_histories=item_histories.transposed(len(users.names)),
            item_histories=item_histories,
            user_gram=gram(users.vectors),
            item_gram=gram(items.vectors),
        )
        loose: dict[str, list[str]] = {}
        for user, item in pairs[~inside].tolist():
            loose.setdefault(self.users.names[user], []).append(self.items.names[item])
        return Gathered(generation, loose)

    def _check(self, vector: NDArray[np.float32] | None) -> None:
        if vector is not None and len(vector) != self._features:
            raise BadMessage(f"a vector of length {len(vector)} where the model has {self._features} features")

    def _manifest(self, name: str, created_ms: int, counts: Counts) -> Manifest:
        return Manifest(
            generation=name,
            created_ms=created_ms,
            trainer=TRAINER,
            feedback=self._objective.feedback,
            features=self._features,
            objective=self._objective,
            fold=FoldSettings(feedback=self._objective.feedback),
            as_of_ms=created_ms,
            counts=counts,
            input={},
            files={},
        )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _unique_pairs(users: "array[int]", items: "array[int]", count: int) -> Handles:
    """Return int64[n, 2], each pair once; items are below ``count``. Sorted as one number each, which is quick."""
    keys = np.array(users, np.int64) * count + np.array(items, np.int64)
    keys.sort()  # NumPy's own unique hashes, which takes five times as long
    first = np.ones(len(keys), np.bool_)
    first[1:] = keys[1:] != keys[:-1]
    return np.column_stack(np.divmod(keys[first], count))
