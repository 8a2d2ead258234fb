"""Many interactions as columns, without an object for each."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from oryx_py.events.interaction import Interaction

__all__ = ["InteractionColumns"]


@dataclass(frozen=True, slots=True, eq=False)
class InteractionColumns:
    """What `oryx_py.events.Interaction` holds, of n of them in their order.

    ``users`` and ``items``: IDs, empty where the action has none. ``strengths`` float64[n], NaN for deletes and
    forgets. ``times``: the digits of their milliseconds, and ``kinds``; both empty where the client gave none.
    """

    users: Sequence[str]
    items: Sequence[str]
    strengths: NDArray[np.float64]
    times: Sequence[str]
    kinds: Sequence[str]

    def __len__(self) -> int:
        return len(self.users)

    @classmethod
    def of(cls, interactions: Sequence[Interaction]) -> "InteractionColumns":
        """Return interactions as columns."""
        return cls(
            [each.user for each in interactions],
            [each.item for each in interactions],
            np.array([each.strength for each in interactions], np.float64),  # None becomes NaN
            ["" if each.timestamp_ms is None else str(each.timestamp_ms) for each in interactions],
            [each.kind or "" for each in interactions],
        )

    @classmethod
    def together(cls, parts: "Sequence[InteractionColumns]") -> "InteractionColumns":
        """Return one after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            list(chain.from_iterable(part.users for part in parts)),
            list(chain.from_iterable(part.items for part in parts)),
            np.concatenate([np.empty(0), *(part.strengths for part in parts)]),
            list(chain.from_iterable(part.times for part in parts)),
            list(chain.from_iterable(part.kinds for part in parts)),
        )

    def at(self, places: Sequence[int]) -> "InteractionColumns":
        """Return those at some places, in this order."""
        return InteractionColumns(
            [self.users[place] for place in places],
            [self.items[place] for place in places],
            self.strengths[np.asarray(places, np.int64)],
            [self.times[place] for place in places],
            [self.kinds[place] for place in places],
        )

    def interaction(self, place: int) -> Interaction:
        """Return one of them."""
        strength, time, kind = float(self.strengths[place]), self.times[place], self.kinds[place]
        return Interaction(
            self.users[place],
            self.items[place],
            None if strength != strength else strength,  # NaN
            int(time) if time else None,
            kind or None,
        )

    def timestamps_ms(self) -> NDArray[np.int64]:
        """Return int64[n], -1 where the client gave none."""
        return np.array([int(time) if time else -1 for time in self.times], np.int64)
