"""Interactions in the order of time, as columns. Pure."""

from array import array
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from oryx_py.events import Action, Interaction

__all__ = ["Log", "LogBuilder"]


@dataclass(frozen=True, slots=True, eq=False)
class Log:
    """What happened, ascending in time; what happened at one time stands as it was read.

    ``users`` and ``items`` int32[n] number the IDs in ``user_ids`` and ``item_ids``, which ascend bytewise: so the
    order of two numbers depends on their IDs alone, whatever else there is. ``strengths`` float64[n], NaN for a delete;
    ``times_ms`` int64[n], -1 for none; ``kinds`` int32[n] number ``kind_names``, -1 for none.
    """

    user_ids: list[str]
    item_ids: list[str]
    kind_names: list[str]
    users: NDArray[np.int32]
    items: NDArray[np.int32]
    strengths: NDArray[np.float64]
    times_ms: NDArray[np.int64]
    kinds: NDArray[np.int32]

    def __len__(self) -> int:
        """Count of interactions."""
        return len(self.users)

    def interaction(self, at: int) -> Interaction:
        """Return one as the input topic would carry it."""
        strength, time_ms, kind = float(self.strengths[at]), int(self.times_ms[at]), int(self.kinds[at])
        return Interaction(
            self.user_ids[self.users[at]],
            self.item_ids[self.items[at]],
            None if np.isnan(strength) else strength,
            time_ms if time_ms >= 0 else None,
            self.kind_names[kind] if kind >= 0 else None,
        )

    def newest(self, count: int) -> "Log":
        """Return the last so many, with the same numbers."""
        return self._taken(slice(max(0, len(self) - count), None))

    def first(self, count: int) -> "Log":
        """Return the first so many, with the same numbers."""
        return self._taken(slice(count))

    def _taken(self, kept: slice) -> "Log":
        return replace(
            self,
            users=self.users[kept],
            items=self.items[kept],
            strengths=self.strengths[kept],
            times_ms=self.times_ms[kept],
            kinds=self.kinds[kept],
        )


class LogBuilder:
    """Collects interactions in any order; some 30 bytes each, and the IDs.

    A forget takes out what stands before it of that user or item, as it does in the history.
    """

    def __init__(self) -> None:
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        self._columns = (array("i"), array("i"), array("d"), array("q"), array("i"))
        self._forgotten_users: dict[int, int] = {}
        self._forgotten_items: dict[int, int] = {}

    def __len__(self) -> int:
        """Count of interactions so far."""
        return len(self._columns[0])

    def add(self, interaction: Interaction) -> None:
        """Take one in."""
        match interaction.action:
            case Action.FORGET_USER:
                self._forgotten_users[_number(self._users, interaction.user)] = len(self)
            case Action.FORGET_ITEM:
                self._forgotten_items[_number(self._items, interaction.item)] = len(self)
            case _:
                users, items, strengths, times_ms, kinds = self._columns
                users.append(_number(self._users, interaction.user))
                items.append(_number(self._items, interaction.item))
                strengths.append(float("nan") if interaction.strength is None else interaction.strength)
                times_ms.append(-1 if interaction.timestamp_ms is None else interaction.timestamp_ms)
                kinds.append(-1 if interaction.kind is None else _number(self._kinds, interaction.kind))

    def log(self) -> Log:
        """Return them in the order of time, or as they came where one has no time."""
        users, items, kinds = (np.array(self._columns[place], np.int32) for place in (0, 1, 4))
        strengths, times_ms = np.array(self._columns[2], np.float64), np.array(self._columns[3], np.int64)
        kept = np.flatnonzero(
            (np.arange(len(users)) >= _positions(self._forgotten_users, len(self._users))[users])
            & (np.arange(len(items)) >= _positions(self._forgotten_items, len(self._items))[items])
        )
        if (times_ms >= 0).all():
            kept = kept[np.argsort(times_ms[kept], kind="stable")]
        users_of, items_of = _Sorted.of(self._users), _Sorted.of(self._items)
        return Log(
            users_of.ids,
            items_of.ids,
            list(self._kinds),
            users_of.numbers[users[kept]],
            items_of.numbers[items[kept]],
            strengths[kept],
            times_ms[kept],
            kinds[kept],
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Sorted:
    """IDs ascending, and the place of each by its number before, int32[ids]."""

    ids: list[str]
    numbers: NDArray[np.int32]

    @classmethod
    def of(cls, found: dict[str, int]) -> Self:
        ids = sorted(found)  # by code points, which is bytewise in UTF-8
        numbers = np.empty(len(ids), np.int32)
        numbers[[found[name] for name in ids]] = np.arange(len(ids), dtype=np.int32)
        return cls(ids, numbers)


def _number(numbers: dict[str, int], name: str) -> int:
    return numbers.setdefault(name, len(numbers))


def _positions(forgotten: dict[int, int], count: int) -> NDArray[np.int64]:
    """By number, the place from which on interactions count."""
    found = np.zeros(count, np.int64)
    found[list(forgotten)] = list(forgotten.values())
    return found
