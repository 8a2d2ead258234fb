"""What a fold owns of an epoch, where several processes share it, and what the others say of their users."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from oryx_py.messages import partition_of
from oryx_py.messages.partitions import homes_of
from oryx_py.model.generations.generation import Generation
from oryx_py.model.state.item_states import ItemStates
from oryx_py.model.state.model_state import ModelState

__all__ = ["Share"]

Handles = NDArray[np.int64]


class Share:
    """The input partitions whose users a fold has, and the item partitions of the same numbers whose items it solves.

    Args:
        generation: of the epoch.
        owned: the partitions.
        partitions: of the input topic, and of the item topic.
    """

    def __init__(self, generation: Generation, owned: Iterable[int], partitions: int) -> None:
        self.owned = set(owned)
        self.partitions = partitions
        manifest = generation.manifest
        self.foreign = ItemStates(manifest.objective, manifest.features, partitions)
        """Of users of other partitions."""

    @property
    def is_whole(self) -> bool:
        """Whether there is nobody else."""
        return len(self.owned) == self.partitions

    def owns(self, name: str) -> bool:
        """Say whether a user or an item is this fold's."""
        return self.is_whole or partition_of(name, self.partitions) in self.owned

    def joined(
        self,
        items: Sequence[str],
        indptr: Handles,
        rows: Handles,
        strengths: NDArray[np.float64],
        factors: NDArray[np.float32],
    ) -> tuple[Handles, Handles, NDArray[np.float64], NDArray[np.float32]]:
        """Return items' systems with the foreign users added to each: as the arguments of `fold_in_many` are."""
        foreign = [list(self.foreign.of(item)) for item in items]
        ends = [0, *np.cumsum([len(users) for users in foreign]).tolist()]
        if not ends[-1]:
            return indptr, rows, strengths, factors
        places = np.arange(ends[-1]) + len(factors)
        theirs = np.array([strength for users in foreign for _, strength, _ in users], np.float64)
        cuts = list(zip(indptr.tolist(), indptr[1:].tolist(), ends, ends[1:], strict=False))
        return (
            indptr + np.array(ends, np.int64),
            np.concatenate([part for a, b, c, d in cuts for part in (rows[a:b], places[c:d])]),
            np.concatenate([part for a, b, c, d in cuts for part in (strengths[a:b], theirs[c:d])]),
            np.concatenate([factors, np.array([vector for users in foreign for _, _, vector in users], np.float32)]),
        )

    def own_users(self, state: ModelState, users: Iterable[int]) -> set[int]:
        """Return those of the users, by handle, who are this fold's."""
        if self.is_whole:
            return set(users)
        handles = np.fromiter(users, np.int64)
        homes = homes_of(state.users.ids(handles), self.partitions)
        return set(handles[np.isin(homes, list(self.owned))].tolist())
