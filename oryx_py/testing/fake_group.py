"""A group whose members share a topic's partitions, in memory; see the port ``Membership``."""

from collections.abc import Callable, Iterable, Mapping

from oryx_py.errors import BrokerUnavailable
from oryx_py.ports import Partition
from oryx_py.ports.membership import Changes
from oryx_py.testing.fake_broker import FakeLog

__all__ = ["FakeGroup", "FakeMembership"]


class FakeGroup:
    """Says who owns what: as few partitions move as can be, and one that moves is let go first.

    Args:
        log: where the group's positions are.
        group_id: its name.
        partitions: of the topic that is shared.
        now_s: the time.
        session_s: after so long without a poll a member is given up.
    """

    def __init__(
        self, log: FakeLog, group_id: str, partitions: int, now_s: Callable[[], float], session_s: float = 10.0
    ) -> None:
        self.log, self.group_id = log, group_id
        self.owners: dict[int, str | None] = dict.fromkeys(range(partitions))
        self._now_s, self._session_s = now_s, session_s
        self._members: dict[str, FakeMembership] = {}
        self._seen_s: dict[str, float] = {}

    def join(self, member: "FakeMembership") -> None:
        """Take a member in; of one with the same name it takes the place."""
        self._members[member.name] = member
        self._seen_s[member.name] = self._now_s()

    def leave(self, name: str) -> None:
        """Give a member up; its partitions are free."""
        self._members.pop(name, None)
        self._seen_s.pop(name, None)
        for partition, owner in self.owners.items():
            if owner == name:
                self.owners[partition] = None

    @property
    def members(self) -> frozenset[str]:
        """The names of those that the group counts on."""
        self._expire()
        return frozenset(self._members)

    def has(self, member: "FakeMembership") -> bool:
        """Say whether the group counts on this member, and not on another of its name."""
        self._expire()
        return self._members.get(member.name) is member

    def seen(self, member: "FakeMembership") -> frozenset[int]:
        """Hear of a member; let it go of what is to move, and give it what is free; return what it owns now."""
        self._expire()
        if self._members.get(member.name) is not member:
            if member.name in self._members:
                return frozenset()  # another has its name
            self.join(member)
            return frozenset()
        self._seen_s[member.name] = self._now_s()
        mine = sorted(p for p, owner in self.owners.items() if owner == member.name)
        most = -(-len(self.owners) // len(self._members))
        least = len(self.owners) // len(self._members)
        counts = [sum(owner == name for owner in self.owners.values()) for name in self._members]
        if len(mine) > most or (len(mine) > least and min(counts) < least):
            self.owners[mine[-1]] = None
        else:
            free = next((p for p, owner in self.owners.items() if owner is None), None)
            if free is not None and len(mine) == min(counts):
                self.owners[free] = member.name
        return frozenset(p for p, owner in self.owners.items() if owner == member.name)

    def _expire(self) -> None:
        for name, seen_s in list(self._seen_s.items()):
            if self._now_s() - seen_s > self._session_s:
                self.leave(name)


class FakeMembership:
    """One member."""

    def __init__(self, group: FakeGroup, name: str) -> None:
        self.name = name
        self._group = group
        self._mine: frozenset[int] = frozenset()
        group.join(self)

    def poll(self) -> Changes:
        """Return at once with what has changed."""
        if self._group.log.down:
            return Changes()
        now = self._group.seen(self)
        before, self._mine = self._mine, now
        return Changes(gained=now - before, lost=before - now)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Store positions under the group's name."""
        self._group.log.answering()
        if not self._group.has(self):
            raise BrokerUnavailable(f"the group has given {self.name} up")
        with self._group.log.changed:
            self._group.log.groups.setdefault(self._group.group_id, {}).update(positions)

    def committed(self, partitions: Iterable[Partition]) -> dict[Partition, int | None]:
        """Positions stored under the group's name; None where there is none."""
        self._group.log.answering()
        with self._group.log.changed:
            group = self._group.log.groups.setdefault(self._group.group_id, {})
            return {where: group.get(where) for where in partitions}

    def close(self) -> None:
        """End without leaving."""
