"""Membership of a group whose members share a topic's partitions.

What every implementation promises:

* a partition has one owner at a time, who is told of it by ``poll``; who is told that he has lost one has let go of it
  by then, but for a member that the group has given up, which may learn it late;
* only partitions that have to move do; a member that comes back under the same name in time keeps its own;
* positions are taken only from members that the group has not given up.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from oryx_py.ports.log import Partition

__all__ = ["Changes", "Membership"]


class Changes(msgspec.Struct, frozen=True):
    """What a member has gained and lost since it was told last, by number; what it lost comes first."""

    gained: frozenset[int] = frozenset()
    lost: frozenset[int] = frozenset()


class Membership(Protocol):
    """One member; one thread. It has to be polled again and again, or the group gives it up."""

    def poll(self) -> Changes:
        """Return at once with what has changed.

        Raises:
            ConfigError: the broker refuses these credentials or their rights, or another process has this name by now.
        """
        ...

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store positions under the group's name, of whatever topic, durably, before returning.

        Raises:
            BrokerUnavailable: not acknowledged in time, or the group has given this member up.
        """
        ...

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """Positions stored under the group's name; None where there is none.

        Raises:
            BrokerUnavailable: no answer in time.
        """
        ...

    def close(self) -> None:
        """End without leaving: the partitions stay this member's for a while, for who comes back under its name."""
        ...
